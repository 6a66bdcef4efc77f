"""Who is audited blindly, and what a score without a passed audit may not do: live, or become main.

The audit itself is the harness's; this module plans it for each training of a run and reads the reports. It
changes nothing, and it never lets a score pass that nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from evolve.entry import useful_below
from evolve.model import Candidate, Experiment, Purpose
from harness.spec import AuditPlan, Outcome, Result

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.settings import Settings

MARGIN = 3.0  # sigmas above the worst of the living, up to which a child is audited
TOLERANCE = (
    0.5,
    1.0,
)  # nats that honest arithmetic may differ by at one place, at least and at most
TIMES = 3.0  # what the baseline's own audits showed counts so many times


def enabled(settings: Settings) -> bool:
    """Are scores audited in this run?"""
    return settings.scoring.audit_probes > 0


def champion_probes(settings: Settings) -> int:
    """Places to probe in what may become main."""
    return max(settings.scoring.champion_probes, settings.scoring.audit_probes)


def plan(context: Context, experiment: Experiment) -> AuditPlan:
    """Which scores of this training are audited, and how closely.

    Repeats and the baseline always are; a child that is screened, where its score could let it live. A population
    with room, a structural idea and a pinned child may live with any score. The greedy rule moves main by a
    screening, so a score below main's is looked at as closely as a repeat. Where [metric] pays for more than the score,
    all are audited.
    """
    settings = context.settings
    if not enabled(settings):
        return AuditPlan(probes=0)
    probes = settings.scoring.audit_probes
    allowed = tolerance(context.journal.experiments(1))
    if experiment.purpose is Purpose.CONFIRM:
        return AuditPlan(probes, None, champion_probes(settings), None, allowed)
    if experiment.purpose is not Purpose.SCREEN:
        return AuditPlan(probes, tolerance=allowed)
    if context.weights.composite:  # what may live does not follow from the score alone
        closely = champion_probes(settings) if settings.acceptance.policy == "greedy" else 0
        return AuditPlan(probes, None, closely, None, allowed)
    below = _limit(context, context.journal.candidate(experiment.candidate))
    incumbent = context.incumbent()
    if settings.acceptance.policy == "greedy" and incumbent is not None:
        return AuditPlan(probes, below, champion_probes(settings), incumbent.mean, allowed)
    return AuditPlan(probes, below, tolerance=allowed)


def tolerance(baseline: Iterable[Experiment]) -> float:
    """Nats by which honest arithmetic may differ at one place on this machine.

    Read off the audits that the baseline passed: how far predictions moved that should not have moved at all.
    """
    passed = [e.audit for e in baseline if e.purpose is Purpose.BASELINE and e.audit is not None]
    largest = max((report.largest for report in passed if report.passed), default=0.0)
    least, most = TOLERANCE
    return min(most, max(least, TIMES * largest))


def owed(asked: AuditPlan, result: Result) -> bool:
    """Does a finished training lack the audit that was asked for when it began? So it is after an older engine.

    What would be asked for by now does not matter: the population may have changed since, as beside any training.
    """
    if result.outcome is not Outcome.OK or result.val_bpb is None or result.audit is not None:
        return False
    return asked.probes_for(result.val_bpb) > 0


def objection(context: Context, candidate: Candidate) -> str:
    """Why this candidate may neither live nor become main, or an empty string."""
    if not enabled(context.settings):
        return ""
    trained = context.journal.experiments(candidate.id)
    scored = [e for e in trained if e.val_bpb is not None and not e.discounted]
    bare = next((e for e in scored if not _passed(e)), None)
    # A score too poor for an audit stands beside one that a person wished for: all of those are audited closely, and an
    # audit is of the script, whatever its seed.
    if bare is None or any(e.wished and _passed(e) for e in scored):
        return ""
    assert bare.val_bpb is not None  # noqa: S101 - it is among the scored
    if plan(context, bare).probes_for(bare.val_bpb) == 0:
        return f"Not among the {context.settings.population.size} that live."
    return (
        f"Its score of {bare.val_bpb:.6f} (seed {bare.seed}) was never audited, so it cannot count."
    )


def unproven(context: Context, candidate: Candidate) -> str:
    """Why main may not move to this candidate although its scores are good, or an empty string."""
    if not enabled(context.settings):
        return ""
    greedy = context.settings.acceptance.policy == "greedy"
    wanted = Purpose.SCREEN if greedy else Purpose.CONFIRM
    trained = context.journal.experiments(candidate.id)
    scored = [e for e in trained if e.val_bpb is not None and not e.discounted]
    latest = next((e for e in reversed(scored) if e.purpose is wanted), None)
    if latest is not None and _passed(latest):
        return objection(context, candidate)
    what = "its training" if greedy else "its latest repeat"
    return f"Main does not move, because {what} has passed no blind audit."


def _limit(context: Context, candidate: Candidate) -> float | None:
    """The score from which this child can neither enter the population nor beat main; None while any might do.

    Where [metric] counts more than the score, a score alone tells too little to go without an audit.
    """
    if context.believed().roster.priced:
        return None
    useful = useful_below(context, candidate)
    return None if useful is None else useful + MARGIN * context.noise.sigma


def _passed(experiment: Experiment) -> bool:
    return experiment.audit is not None and experiment.audit.passed
