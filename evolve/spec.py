"""Turns a journalled experiment, or a smoke run, into what the harness is asked to do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evolve import audits
from evolve.model import Purpose
from harness.compilecache import source_key
from harness.spec import AuditPlan, Budget, ExperimentSpec, Limits

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate, Experiment, Smoke

SETUPS = 2  # limits of the set-up that a smoke run may take: as long as a training may get ready


def experiment_spec(context: Context, experiment: Experiment) -> ExperimentSpec:
    """The spec of one experiment; everything but source, seed and scrutiny is frozen in the run."""
    candidate = context.journal.candidate(experiment.candidate)
    return replace(
        _plain(context, candidate, f"e{experiment.id}", experiment.seed),
        audit=audits.plan(context, experiment),
        sealed=_sealed(context, experiment),
    )


def smoke_spec(context: Context, smoke: Smoke) -> ExperimentSpec:
    """The spec of a smoke run: as the training that it stands before, without a score to look at."""
    candidate = context.journal.candidate(smoke.candidate)
    plain = _plain(context, candidate, f"s{smoke.id}", seed=0)
    seconds = min(plain.limits.wall_seconds, SETUPS * plain.budget.setup_limit)
    return replace(
        plain,
        smoke_steps=context.settings.vetting.smoke_steps,
        limits=replace(plain.limits, wall_seconds=seconds),
        audit=AuditPlan(probes=0),
    )


def _plain(context: Context, candidate: Candidate, name: str, seed: int) -> ExperimentSpec:
    """What any run of this candidate's script shares."""
    settings = context.settings
    budget = settings.budget
    parents = [context.journal.candidate(parent) for parent in candidate.parents]
    return ExperimentSpec(
        name=f"{context.journal.run().name}-{name}",
        source=context.lineage.source(candidate.commit),
        seed=seed,
        dataset=str(context.dataset.path),
        budget=Budget(
            kind=budget.kind,
            amount=budget.seconds if budget.kind == "seconds" else budget.tokens,
            setup_limit=budget.setup_limit,
        ),
        device=context.device,
        sandbox=context.sandbox,
        script=context.lineage.script.rsplit("/", 1)[-1],
        limits=Limits(
            wall_seconds=budget.wall_limit,
            memory_mb=settings.sandbox.memory_mb,
            log_mb=settings.sandbox.log_mb,
            threads=settings.sandbox.threads,
        ),
        eval_tokens=settings.data.eval_tokens,
        byte_count=settings.scoring.byte_count,
        # The user's own file is vouched for; a child inherits its parents' kernels together with their code.
        cache="read" if parents else "write",
        kin=tuple(source_key(context.lineage.source(parent.commit)) for parent in parents),
    )


def _sealed(context: Context, experiment: Experiment) -> bool:
    """Selection never sees the sealed rows: a screening is scored there only where it alone may move main."""
    if experiment.purpose is Purpose.SCREEN and context.settings.acceptance.policy != "greedy":
        return False
    return context.sealed
