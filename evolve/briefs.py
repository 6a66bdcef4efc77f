"""Builds what a proposer is told: parents with their curves beside main's, the nearest history, what the search learned.

It reads the journal and git; it decides nothing. Failures are part of the history, never of the numbers.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from evolve import fitness
from evolve.kinship import Line, reached
from evolve.model import Candidate, CandidateState, Experiment, Operator, Smoke, Verdict
from evolve.outlook import Look
from evolve.places import head_of
from evolve.propose.history import REFUSED, VOIDED, WAITING
from evolve.propose.operators import Attempt, Brief, ParentView, Refused
from evolve.propose.scratchpad import Scratchpad, parse
from evolve.trends import in_words
from harness.spec import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.context import Context

HISTORY = 200  # attempts handed to a proposer, newest last; it shows what is near
PROGRAM = 1 << 20  # bytes of program.md that are looked at


def brief(
    context: Context,
    operator: Operator,
    parents: tuple[int, ...],
    seed: int,
    direction: str = "",
) -> Brief:
    """Gather everything that a proposer may know about one child; `direction`: a category that it is to look at."""
    journal, pad = context.journal, scratchpad(context)
    return replace(
        _common(context),
        operator=operator,
        parents=tuple(_view(context, journal.candidate(number)) for number in parents),
        ancestor=_ancestor(context, parents),
        seed=seed,
        known_hashes=context.codes(),
        incumbent=_incumbent(context),
        waiting=_waiting(context, parents),
        refused=_refused(context, parents),
        scratchpad=pad.learned() if pad else "",
        recommendation=_drawn(pad, seed),
        direction=direction,
    )


def review(context: Context) -> Brief:
    """Gather what whoever rewrites the scratchpad may know: main, the latest attempts, and the version in force."""
    incumbent, note = context.incumbent(), context.journal.scratchpad()
    author = (
        f"Written by {'a person' if note.source == 'human' else note.source}.\n\n" if note else ""
    )
    return replace(
        _common(context),
        parents=() if incumbent is None else (_view(context, incumbent),),
        incumbent=_incumbent(context),
        kinds=in_words(Look(context.journal, None, context.believed()).trends("category")),
        scratchpad=f"{author}{note.text}" if note else "",
    )


def scratchpad(context: Context) -> Scratchpad | None:
    """The scratchpad in force, None before the first one."""
    note = context.journal.scratchpad()
    return None if note is None else parse(note.text)


# ---- private ---------------------------------------------------------------------------------------------


def _common(context: Context) -> Brief:
    """What is the same for every child of this moment."""
    settings, run = context.settings, context.journal.run()
    program = context.workspace / settings.workspace.program
    confirmed = settings.acceptance.policy == "confirmed"
    return Brief(
        operator=Operator.MUTATE,
        parents=(),
        ancestor=None,
        program=_text(program),
        history=_history(context),
        seed=0,
        sigma=context.noise.sigma,
        budget=f"{context.budget_in_words()}{fitness.aside(context.weights)}",
        script=context.lineage.script.rsplit("/", 1)[-1],
        templates={name: text for name, text in settings.prompts.model_dump().items() if text},
        confidence=settings.acceptance.confidence if confirmed else None,
        goes_by=run.fingerprint.get("metric", "val_bpb"),
        memory_limit=run.fingerprint.get("memory_limit", "none"),
    )


def _text(program: Path) -> str:
    """What a person wrote for proposers; nothing where it cannot be read: a search does not end for that."""
    try:
        return head_of(program, PROGRAM).decode("utf-8", "replace")
    except OSError:
        return ""


def _drawn(pad: Scratchpad | None, seed: int) -> str:
    """One recommendation, drawn by the brief's seed, as in ShinkaEvolve: all at once would make all children alike."""
    if pad is None or not pad.recommendations:
        return ""
    return random.Random(f"recommendation {seed}").choice(pad.recommendations)  # noqa: S311


def _incumbent(context: Context) -> ParentView | None:
    incumbent = context.incumbent()
    return None if incumbent is None else _view(context, incumbent, source=False)


def _view(context: Context, candidate: Candidate, *, source: bool = True) -> ParentView:
    experiments = context.journal.experiments(candidate.id, curve=True)
    scored = [e for e in experiments if e.val_bpb is not None]
    best = scored[-1] if scored else None
    tried: list[Smoke | Experiment] = [*context.journal.smokes(candidate.id), *experiments]
    failed = tried[-1] if tried and not scored else None
    return ParentView(
        id=candidate.id,
        source=context.lineage.source(candidate.commit) if source else "",
        mean_bpb=candidate.mean,
        scores=candidate.scores,
        title=candidate.title,
        curve=tuple((p.fraction, p.loss) for p in best.curve) if best else (),
        tokens_per_second=best.tokens_per_second if best else None,
        peak_memory_mb=best.peak_memory_mb if best else None,
        steps=best.steps if best else None,
        traceback=(failed.traceback or failed.reason) if failed else "",
        hypothesis=candidate.hypothesis,
        mfu_percent=best.mfu_percent if best else None,
        passes=_passes(context, best) if best else None,
    )


def _passes(context: Context, experiment: Experiment) -> float | None:
    """How often a training read all rows that there are: 1.4; None where the meter did not count."""
    rows = context.dataset.train_rows * context.dataset.sequence_length
    return experiment.train_tokens / rows if rows and experiment.epochs else None


def _waiting(context: Context, parents: tuple[int, ...]) -> tuple[Attempt, ...]:
    """Children without a result, those of these parents last, so that they are not proposed a second time."""
    states = (CandidateState.READY, CandidateState.TRAINING)
    there = [c for state in states for c in context.journal.candidates_in(state)]
    open_ = [c for c in there if c.verdict is None and c.parents]
    open_.sort(key=lambda c: (bool(set(parents) & set(c.parents)), c.id))
    return tuple(_attempt(context, c, {}) for c in open_[-WAITING:])


def _refused(context: Context, parents: tuple[int, ...]) -> tuple[Refused, ...]:
    """What the vetting refused among the children of the first parent, newest last; told once each."""
    told = {
        (title, reason): Refused(title, str(event.data.get("category", "")), reason)
        for event in context.journal.refusals(parents[0], 2 * REFUSED)
        for title, reason in [(str(event.data.get("title", "")), str(event.data.get("reason", "")))]
    }
    return tuple(told.values())[-REFUSED:]


def _ancestor(context: Context, parents: tuple[int, ...]) -> ParentView | None:
    """The youngest candidate from which both parents of a crossover descend."""
    if len(parents) < 2:
        return None
    shared = ancestors(context, parents[0]) & ancestors(context, parents[1])
    return _view(context, context.journal.candidate(max(shared))) if shared else None


def ancestors(context: Context, number: int) -> set[int]:
    """`number` and everything that it descends from."""
    return reached([number], Line(context.believed().roster))


def _history(context: Context) -> tuple[Attempt, ...]:
    believed = context.believed().field()
    return tuple(_attempt(context, c, believed) for c in context.journal.latest_settled(HISTORY))


def _attempt(context: Context, candidate: Candidate, believed: Mapping[int, float]) -> Attempt:
    first = candidate.parents[0]
    parent, mean = context.journal.candidate(first).mean, candidate.mean
    both = candidate.id in believed and first in believed
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
        hypothesis=candidate.hypothesis,
        believed=believed[candidate.id] - believed[first] if both else None,
    )


def _status(candidate: Candidate) -> str:
    """A verdict's word; a failure says which, for the next proposal learns from that."""
    if candidate.outcome is Outcome.PRUNED:
        return candidate.outcome.value
    if candidate.verdict is not Verdict.FAILED or candidate.outcome is None:
        return str(candidate.verdict or candidate.state)
    return VOIDED if candidate.voided else candidate.outcome.value
