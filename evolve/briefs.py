"""Builds what a proposer is told: parents with their curves, the nearest history, the words for the budget.

It reads the journal and git; it decides nothing. Failures are part of the history, never of the numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.model import Candidate, Operator, Verdict
from evolve.propose.history import VOIDED
from evolve.propose.operators import Attempt, Brief, ParentView

if TYPE_CHECKING:
    from evolve.context import Context

HISTORY = 200  # attempts handed to a proposer, newest last; it shows what is near


def brief(context: Context, operator: Operator, parents: tuple[int, ...], seed: int) -> Brief:
    """Gather everything that a proposer may know about one child."""
    settings = context.settings
    candidates = {c.id: c for c in context.journal.candidates()}
    program = context.workspace / settings.workspace.program
    return Brief(
        operator=operator,
        parents=tuple(_view(context, candidates[number]) for number in parents),
        ancestor=_ancestor(context, candidates, parents),
        program=program.read_text(encoding="utf-8", errors="replace") if program.is_file() else "",
        history=_history(candidates),
        seed=seed,
        sigma=context.noise.sigma,
        budget=context.budget_in_words(),
        script=context.lineage.script.rsplit("/", 1)[-1],
        known_hashes=frozenset(c.code_hash for c in candidates.values()),
        templates={name: text for name, text in settings.prompts.model_dump().items() if text},
    )


def _view(context: Context, candidate: Candidate) -> ParentView:
    experiments = context.journal.experiments(candidate.id, curve=True)
    scored = [e for e in experiments if e.val_bpb is not None]
    best = scored[-1] if scored else None
    failed = experiments[-1] if experiments and not scored else None
    return ParentView(
        id=candidate.id,
        source=context.lineage.source(candidate.commit),
        mean_bpb=candidate.mean,
        scores=candidate.scores,
        title=candidate.title,
        curve=tuple((p.fraction, p.loss) for p in best.curve) if best else (),
        tokens_per_second=best.tokens_per_second if best else None,
        peak_memory_mb=best.peak_memory_mb if best else None,
        steps=best.steps if best else None,
        traceback=(failed.traceback or failed.reason) if failed else "",
    )


def _ancestor(
    context: Context, candidates: dict[int, Candidate], parents: tuple[int, ...]
) -> ParentView | None:
    """The youngest candidate from which both parents of a crossover descend."""
    if len(parents) < 2:
        return None
    shared = ancestors(candidates, parents[0]) & ancestors(candidates, parents[1])
    return _view(context, candidates[max(shared)]) if shared else None


def ancestors(candidates: dict[int, Candidate], number: int) -> set[int]:
    """`number` and everything that it descends from."""
    found: set[int] = set()
    open_ = [number]
    while open_:
        current = open_.pop()
        if current not in found:
            found.add(current)
            open_.extend(candidates[current].parents)
    return found


def _history(candidates: dict[int, Candidate]) -> tuple[Attempt, ...]:
    settled = [c for c in candidates.values() if c.verdict is not None and c.parents]
    return tuple(_attempt(candidates, c) for c in settled[-HISTORY:])


def _attempt(candidates: dict[int, Candidate], candidate: Candidate) -> Attempt:
    parent = candidates[candidate.parents[0]].mean
    mean = candidate.mean
    return Attempt(
        id=candidate.id,
        parents=candidate.parents,
        operator=candidate.operator,
        title=candidate.title,
        category=candidate.category,
        changes=candidate.changes,
        status=_status(candidate),
        delta_bpb=None if mean is None or parent is None else mean - parent,
        confirmed=not candidate.provisional,
        note=candidate.voided,
    )


def _status(candidate: Candidate) -> str:
    """A verdict's word; a failure says which, for the next proposal learns from that."""
    if candidate.verdict is not Verdict.FAILED or candidate.outcome is None:
        return str(candidate.verdict)
    return VOIDED if candidate.voided else candidate.outcome.value
