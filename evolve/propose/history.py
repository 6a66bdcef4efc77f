"""Which earlier attempts a model is shown, and the table in which it sees them.

Pure. Failures are shown beside gains: a proposer that does not see what was rejected proposes it again.
"""

from __future__ import annotations

from collections.abc import Iterable

from evolve.propose.operators import Attempt, Brief
from evolve.text import one_line

SHOWN = 24  # attempts at most
VOIDED = "voided"  # the status of an attempt whose score the blind audit took away
FAILURES = frozenset({"failed", "crash", "oom", "nan", "timeout", "invalid", VOIDED})

_WORDS = {
    "promoted": "better, became main",
    "kept": "kept in the population",
    "rejected": "rejected: no better",
    "crash": "crashed",
    "oom": "out of memory",
    "nan": "became NaN",
    "timeout": "took too long",
    "invalid": "broke the rules",
    "pruned": "stopped early: hopeless",
}


def history_for(brief: Brief, category: str = "") -> tuple[Attempt, ...]:
    """The attempts nearest to a brief, oldest first, at most SHOWN.

    In order of claim: the parents and their children, their siblings, attempts of `category`, the best gains, the
    latest failures; what room is left goes to the latest of all.
    """
    family = {parent.id for parent in brief.parents}
    elders = {elder for a in brief.history if a.id in family for elder in a.parents}
    newest = brief.history[::-1]
    gains = sorted(
        (a for a in newest if (a.delta_bpb or 0.0) < 0), key=lambda a: a.delta_bpb or 0.0
    )
    claims: tuple[tuple[Iterable[Attempt], int], ...] = (
        ((a for a in newest if family & {a.id, *a.parents}), 8),
        ((a for a in newest if elders & set(a.parents)), 4),
        ((a for a in newest if a.category == category), 4),
        (gains, 4),
        ((a for a in newest if a.status in FAILURES), 4),
        (newest, SHOWN),
    )
    chosen: dict[int, Attempt] = {}
    for attempts, quota in claims:
        fresh = [a for a in attempts if a.id not in chosen][: min(quota, SHOWN - len(chosen))]
        chosen |= {a.id: a for a in fresh}
    return tuple(a for a in brief.history if a.id in chosen)


def table(attempts: tuple[Attempt, ...], sigma: float | None) -> str:
    """The attempts as a table for a model: newest last, each with what became of it."""
    if not attempts:
        return "# What was tried\n\nNothing yet: this is one of the first children."
    noise = f"{sigma:.5f}" if sigma is not None else "not measured yet"
    rows = "\n".join(_row(attempt) for attempt in attempts)
    return (
        "# What was tried near here, newest last\n\n"
        f"The change is in mean val_bpb against the first parent; negative is better; sigma of one training: {noise}.\n\n"
        "| id | parents | operator | category | change | difference | outcome |\n"
        "|---|---|---|---|---|---|---|\n"
        f"{rows}"
    )


def _row(attempt: Attempt) -> str:
    what = attempt.title
    if attempt.changes:
        what += f" ({'; '.join(attempt.changes[:6])})"
    outcome = _WORDS.get(attempt.status, attempt.status)
    if attempt.status == VOIDED:
        outcome = f"voided by the blind audit: {attempt.note}"
    elif attempt.delta_bpb is not None:
        outcome += ", confirmed" if attempt.confirmed else ", one training"
    cells = (
        f"#{attempt.id}",
        " × ".join(f"#{parent}" for parent in attempt.parents),
        str(attempt.operator),
        one_line(attempt.category, 20),
        one_line(what, 200),
        ""
        if attempt.delta_bpb is None or attempt.status == VOIDED
        else f"{attempt.delta_bpb:+.5f}",
        one_line(outcome, 60 if attempt.status != VOIDED else 240),
    )
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
