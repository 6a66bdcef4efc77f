"""Which earlier attempts a model is shown, and the table in which it sees them.

Pure. Failures are shown beside gains, and so are children that wait for their training and proposals that were refused
unseen: a proposer that does not see what was rejected proposes it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evolve.propose.operators import Attempt, Brief, Refused
from evolve.propose.quoting import cell, inline

SHOWN = 24  # attempts at most
WAITING = 4  # children without a result
REFUSED = 6  # proposals
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
    "dropped": "dropped by a person, never trained",
}


def gained(attempt: Attempt, sigma: float | None) -> bool:
    """Did it help? It became main, or beat its first parent by more than half a sigma."""
    if attempt.status in FAILURES or attempt.delta_bpb is None:
        return False
    return attempt.status == "promoted" or attempt.delta_bpb < -0.5 * (sigma or 0.0)


def signed(difference: float | None) -> str:
    """`-0.00120`; what rounds to nothing is +0.00000, and what is not known is empty."""
    return "" if difference is None else f"{round(difference, 5) + 0.0:+.5f}"


def outcome_of(attempt: Attempt) -> str:
    """What became of an attempt, in words."""
    return _WORDS.get(attempt.status, attempt.status)


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


def what_counts(sigma: float | None, confidence: float | None) -> str:
    """What a difference must be to mean something, under the noise that was measured."""
    if sigma is None:
        return "The noise of one training is not measured yet: trust no small difference."
    rule = (
        "main moves to any better score"
        if confidence is None
        else f"main moves when repeats make it better with a probability of {confidence:.0%}"
    )
    return (
        f"Trainings of one version scatter with sigma {sigma:.5f} bpb. A difference below {2 * sigma:.5f} after one "
        f"training each says nothing; {rule}."
    )


def table(
    attempts: Sequence[Attempt], title: str = "What was tried near here", *, reasons: bool = False
) -> str:
    """The attempts as a table for a model: newest last, each with what became of it; with `reasons`, why it was made."""
    if not attempts:
        return "# What was tried\n\nNothing yet: this is one of the first children."
    heads = [
        "id",
        "parents",
        "operator",
        "category",
        "change",
        "difference",
        "corrected",
        "outcome",
    ]
    heads += ["reason given"] if reasons else []
    rows = "\n".join(_row(attempt, reasons=reasons) for attempt in attempts)
    return (
        f"# {title}, newest last\n\n"
        "The difference is in mean val_bpb against the first parent, negative is better; corrected, what of it is "
        "believed without the luck of a training.\n\n"
        f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n{rows}"
    )


def not_measured(waiting: Sequence[Attempt], refused: Sequence[Refused]) -> str:
    """Children that are on their way and proposals that never became one; empty without any."""
    lines = [
        f"- {a.operator} of {_of(a)}: {inline(_what(a), 140)} waits for its training"
        for a in waiting[-WAITING:]
    ]
    lines += [
        f"- {inline(r.title, 72)} ({cell(r.category, 20)}) was refused unseen: {cell(r.reason, 160)}"
        for r in refused[-REFUSED:]
    ]
    return "\n".join(["# Proposed from here, and not measured", "", *lines]) if lines else ""


# ---- private ---------------------------------------------------------------------------------------------


def _what(attempt: Attempt) -> str:
    """The title, with what was changed unless it says that already."""
    silent = [change[:200] for change in attempt.changes[:6] if change not in attempt.title]
    return f"{attempt.title[:200]} ({'; '.join(silent)})" if silent else attempt.title[:200]


def _of(attempt: Attempt) -> str:
    return " × ".join(f"#{parent}" for parent in attempt.parents)


def _row(attempt: Attempt, *, reasons: bool) -> str:
    voided = attempt.status == VOIDED
    outcome = outcome_of(attempt)
    if voided:
        outcome = f"voided by the blind audit: {attempt.note}"
    elif attempt.delta_bpb is not None:
        outcome += ", confirmed" if attempt.confirmed else ", one training"
    unmeasured = attempt.delta_bpb is None or voided
    cells = [
        f"#{attempt.id}",
        _of(attempt),
        str(attempt.operator),
        cell(attempt.category, 20),
        cell(_what(attempt), 160),
        "" if unmeasured else signed(attempt.delta_bpb),
        "" if unmeasured else signed(attempt.believed),
        cell(outcome, 160 if voided else 60),
    ]
    cells += [cell(attempt.hypothesis, 200)] if reasons else []
    return f"| {' | '.join(cells)} |"
