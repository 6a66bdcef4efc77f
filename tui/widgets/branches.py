"""How the rows of the lineage look: indentation, signs, score and verdict. Pure; what is open is `tree`'s to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from tui.state import ViewState, belief, candidate_of
from tui.widgets.ink import Ink, Line, Span, bpb, line_width, row, times
from tui.widgets.signs import lead, told
from tui.widgets.tables import mark, status, words

if TYPE_CHECKING:
    from evolve.model import Candidate
    from tui.widgets.tree import Forest
    from tui.widgets.treerows import Chains

DEEPEST = 3  # an indentation takes one column in this many at most
STEP = 2  # columns a level


@dataclass(frozen=True, slots=True)
class Branch:
    """One row: a candidate, or the failures of its parent drawn together."""

    id: int  # of the candidate, or minus that of the parent
    depth: int  # below the shallowest row on the screen
    hidden: int  # candidates below it that are not shown
    opened: bool
    trunk: bool  # main, or an ancestor of it
    crowned: bool  # it is or was main
    head: int  # the first of a line of single children that ends here; the candidate itself outside one
    candidate: Candidate | None  # None: failures


class Branches(Sequence[Branch]):
    """The rows of a forest at one instant, made when they are looked at."""

    def __init__(
        self,
        state: ViewState,
        forest: Forest,
        rows: Sequence[int],
        *,
        folds: bool = True,
        drawn: Chains | None = None,
    ) -> None:
        """`folds`: False where everything above a row is shown anyway. `drawn`: the rows with lines drawn together."""
        self._state, self._forest, self._folds = state, forest, folds
        self.rows = rows
        self._heads = drawn.heads if drawn is not None else {}
        self._next = drawn.next if drawn is not None else {}
        self._depths = None if drawn is None else drawn.depths

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Branch: ...
    @overload
    def __getitem__(self, place: slice) -> list[Branch]: ...
    def __getitem__(self, place: int | slice) -> Branch | list[Branch]:
        if not isinstance(place, slice):
            return self._branch(range(len(self.rows))[place], 0)
        places = range(*place.indices(len(self.rows)))
        shallowest = min((self._depth(at) for at in places), default=0)
        return [self._branch(at, shallowest) for at in places]

    def _depth(self, place: int) -> int:
        return self._forest.depth(self.rows[place]) if self._depths is None else self._depths[place]

    def _branch(self, place: int, shallowest: int) -> Branch:
        forest, at = self._forest, self.rows[place]
        opened = forest.is_open(at) or not self._folds
        return Branch(
            id=at,
            depth=self._depth(place) - shallowest,
            hidden=0 if opened else forest.size(at),
            opened=opened and forest.size(at) > 0,
            trunk=at in forest.trunk,
            crowned=at > 0 and forest.crowned(at),
            head=self._heads.get(at, at),
            candidate=candidate_of(self._state, at) if at > 0 else None,
        )

    def place(self, row: int) -> int | None:
        """Where a row is, or else the nearest one above it that is shown."""
        known = len(self._forest.roster)
        while row and abs(row) <= known:
            while row in self._next:
                row = self._next[row]
            try:
                return self.rows.index(row)
            except ValueError:
                row = self._forest.holder(row)
        return None


def branch_row(state: ViewState, branch: Branch, columns: int) -> Line:
    """`  v =*#187 x #12 qk-norm            0.9712 +-0.0015 promoted  (19)`."""
    glyphs = state.glyphs
    indent = min(branch.depth * STEP, columns // DEEPEST)
    folding = glyphs.opened if branch.opened else glyphs.closed if branch.hidden else " "
    indented = f"{' ' * indent}{folding} "
    if branch.candidate is None:
        number = branch.hidden or 0
        text = times(number, "failure") if number else "failures"
        return ((f"{indented}  {text}", Ink.DIM),)
    candidate = branch.candidate
    right = _figures(state, branch, candidate, columns)
    name_ink = Ink.BOLD if branch.trunk else Ink.PLAIN
    sign, sign_ink = mark(state, candidate)
    path = glyphs.trunk if branch.trunk else " "
    left: list[Span] = [
        (indented, Ink.DIM),
        (path, Ink.RIVAL),
        lead(state, candidate),
        (sign, sign_ink),
    ]
    if branch.head != branch.id:
        left.append((f"#{branch.head}{glyphs.ellipsis}> ", Ink.DIM))
    left.append((candidate.label, name_ink))
    if len(candidate.parents) > 1:
        left.append((f" {glyphs.times}#{candidate.parents[1]}", Ink.CURVE))
    room = columns - line_width(tuple(left)) - line_width(right) - 2
    if room >= 6:
        left.append(
            (
                f" {told(state, candidate)}{words(state, candidate.title)}"[: max(0, room)],
                Ink.PLAIN if candidate.alive else Ink.DIM,
            )
        )
    return row(tuple(left), right, columns)


def _figures(state: ViewState, branch: Branch, candidate: Candidate, columns: int) -> Line:
    """Score, verdict and what is hidden, at the right edge."""
    known = belief(state, candidate)
    word, ink = status(candidate)
    running = state.snapshot.running if state.snapshot is not None else None
    if (
        running is not None
        and running.candidate.id == candidate.id
        and running.progress is not None
    ):
        word = f"{word} {running.progress.fraction:.0%}"
    elif branch.crowned and not branch.trunk:
        word = f"{word}, was main"
    score = candidate.mean if known is None else known.mean
    spans: list[Span] = [("  ", Ink.PLAIN)]
    if score is not None:
        spans.append((bpb(score), Ink.BOLD if candidate.alive else Ink.PLAIN))
        if columns >= 60 and known is not None:
            spans.append((f" {state.glyphs.plus_minus}{known.sd:.4f}", Ink.DIM))
    if columns >= 44:
        spans.append((f" {word}", ink))
    hidden = f" ({branch.hidden})" if branch.hidden else ""
    spans.append((hidden.rjust(7) if columns >= 60 else hidden, Ink.DIM))
    return tuple(spans)


def legend(state: ViewState) -> str:
    """What the signs mean, for the title."""
    return f"{state.glyphs.trunk} the way to main, * main, + alive"
