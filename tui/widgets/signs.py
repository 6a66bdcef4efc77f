"""What people did to a candidate, as a sign in a list and in words; and what all signs and words mean, for the help. Pure."""

from __future__ import annotations

from evolve.model import Candidate
from tui.figures import asked
from tui.state import ViewState
from tui.widgets.ink import Ink, Span

MARK, MARK_ASCII = "»", ">"


def lead(state: ViewState, candidate: Candidate) -> Span:
    """The first column of a row: whether you marked it."""
    if candidate.id not in state.marks:
        return " ", Ink.PLAIN
    return MARK if state.glyphs.braille else MARK_ASCII, Ink.BOLD


def told(state: ViewState, candidate: Candidate) -> str:
    """`marked, pinned, boosted 3: `, or nothing: goes before a title."""
    marked = ("marked",) if candidate.id in state.marks else ()
    said = ", ".join((*marked, *asked(candidate)))
    return f"{said}: " if said else ""


def meanings(state: ViewState) -> tuple[tuple[str, str], ...]:
    """Signs and words of the screen with what they mean."""
    glyphs = state.glyphs
    return (
        (MARK if glyphs.braille else MARK_ASCII, "you marked it: D compares two, the filter is:marked finds all"),
        ("*", "main holds it: the best that is confirmed"),
        ("+", "a member of the population: it may have children"),
        ("!", "banned: it has no more children"),
        (f"{glyphs.plus_minus}0.0021", "one standard deviation of a corrected score"),
        ("val_bpb", "bits per byte on the validation rows, as measured; lower is better"),
        ("corrected", "the score without what luck explains, drawn towards its relatives"),
        ("P(better)", "chance that it is better than what main holds"),
        ("provisional", "it rests on one training, so much of it may be luck"),
        ("confirmed", "several trainings with other seeds say the same"),
        ("repeats", "a contender: it trains again before anything is decided"),
        ("pruned", "its training was stopped because it could not win any more"),
        ("voided", "the blind audit found that its score was not earned"),
        ("pending", "the engine has not answered yet"),
        (glyphs.sigma, "how much the score of the same script moves from seed to seed"),
    )  # fmt: skip
