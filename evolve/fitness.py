"""Brings the figures of a training together and has them weighed: the bridge from the journal to `metric`.

It decides nothing and writes nothing. A training without a figure that `[metric]` asks for has no fitness: where the
machine failed to measure it the training is lost, where the script keeps it back it is the script's failure.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from evolve import metric
from evolve.metric import Figures, MissingFigure, Weights
from evolve.model import EvolveError
from evolve.propose.vetting import normalise
from harness import device as machines
from harness.spec import CurvePoint, Outcome, Result

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate, Experiment
    from evolve.settings import Settings
    from harness.device import Machine

LIMIT_SHARE = 0.95  # of a GPU's memory, that a training may use before it costs anything
NO_NVML = "install the Python binding to NVML (`pip install 'autoresearch[gpu]'`)"
_WHY = {
    "tokens_per_second": (Outcome.INVALID, "it trained for no measurable time"),
    "stability": (
        Outcome.INVALID,
        f"it printed fewer than {metric.FEWEST} losses in the second half of its training",
    ),
    "peak_memory": (Outcome.VOID, "its memory could not be measured"),
    "memory_limit_mb": (Outcome.VOID, "its memory could not be measured"),
    "lines": (Outcome.INVALID, "there is no line of code in it"),
}


def asked(settings: Settings) -> Weights:
    """What the settings price, whatever the machine can measure; without a soft limit where they leave it open."""
    section = settings.metric
    return Weights(
        val_bpb=section.val_bpb,
        tokens_per_second=section.tokens_per_second,
        peak_memory=section.peak_memory,
        lines=section.lines,
        stability=section.stability,
        memory_limit_mb=section.memory_limit_mb,
        memory_penalty=section.memory_penalty,
    )


def weights(settings: Settings, machine: Machine, device: str) -> Weights:
    """What counts in a run; the soft limit of memory is that of the device where the settings leave it open.

    Raises EvolveError when a figure is asked for that this machine cannot measure.
    """
    _check(settings, machine, device)
    wanted = asked(settings)
    limit = wanted.memory_limit_mb or _limit_of(machine, device)
    return replace(wanted, memory_limit_mb=limit)


def weighed(
    context: Context, experiment: Experiment, result: Result
) -> tuple[Result, float | None]:
    """The result, and its fitness in bits per byte (lower is better); None for one without a score.

    A figure that is missing makes it a result without a score: VOID where the machine owes it, INVALID where the script
    does.
    """
    if result.val_bpb is None:
        return result, None
    wanted = context.weights
    if wanted.plain:
        return result, result.val_bpb
    candidate = context.journal.candidate(experiment.candidate)
    ours = _figures(context, candidate, result, result.curve)
    try:
        return result, metric.fitness(wanted, ours, reference(context) or ours)
    except MissingFigure as missing:
        outcome, why = _WHY[missing.figure]
        reason = f"{missing} Here {why}."
        return replace(
            result, outcome=outcome, reason=reason, val_bpb=None, val_nats=None, sealed_bpb=None
        ), None


def reference(context: Context) -> Figures | None:
    """The first scored training of the baseline, to which all others are compared; None while it is awaited.

    Always the same one: a mean over later repeats would move the scale on which earlier candidates were measured.
    """
    baseline = context.journal.candidate(1)
    trainings = context.journal.experiments(baseline.id)
    first = next((e for e in trainings if e.val_bpb is not None), None)
    if first is None:
        return None
    return _figures(context, baseline, first, context.journal.curve(first.id))


def gain_beside_score(context: Context, ours: Candidate, theirs: Candidate) -> float:
    """What one candidate has over another in everything but the score, bits per byte of fitness; positive is better.

    On the sealed rows nothing but the score is measured: a child that was meant to be faster rather than better may lie
    behind there by what its speed is worth, and by no more.
    """
    if context.weights.plain:
        return 0.0
    beside = []
    for candidate in (theirs, ours):
        scores = context.journal.scores_by_seed(candidate.id)
        counted = context.journal.fitness_by_seed(candidate.id)
        beside.append(fmean(counted[s] - context.weights.val_bpb * scores[s] for s in scores))
    return beside[0] - beside[1]


def in_words(wanted: Weights) -> str:
    """`val_bpb`, or `val_bpb, 0.01 for twice the speed`: what selection goes by, for the fingerprint and people."""
    parts = ["val_bpb" if wanted.val_bpb == 1.0 else f"{wanted.val_bpb:g} x val_bpb"]
    parts += [
        f"{worth:g} for {what}"
        for worth, what in (
            (wanted.tokens_per_second, "twice the speed"),
            (wanted.peak_memory, "half the memory"),
            (wanted.lines, "half the lines"),
            (wanted.stability, "each nat of a rougher curve"),
        )
        if worth
    ]
    return ", ".join(parts)


def limit_in_words(wanted: Weights) -> str:
    """`77,462 MB, 0.5 for twice as much`, or `none`: the soft limit of memory."""
    if not wanted.limited:
        return "none"
    return f"{wanted.memory_limit_mb:,.0f} MB, {wanted.memory_penalty:g} for twice as much"


def _figures(
    context: Context,
    candidate: Candidate,
    training: Result | Experiment,
    curve: tuple[CurvePoint, ...],
) -> Figures:
    """What a scored training measured; on a GPU its memory counts, else that of the host."""
    assert training.val_bpb is not None  # noqa: S101 - it is scored
    on_gpu = context.device != "cpu"
    return Figures(
        val_bpb=training.val_bpb,
        tokens_per_second=training.tokens_per_second,
        memory_mb=training.device_memory_mb if on_gpu else training.host_memory_mb,
        lines=_lines(context, candidate),
        roughness=metric.roughness(curve),
    )


def aside(wanted: Weights) -> str:
    """` (selection goes by val_bpb, 0.01 for twice the speed)`, to follow a budget in words; empty for val_bpb alone."""
    parts = [f"selection goes by {in_words(wanted)}"] if wanted.composite else []
    if wanted.limited:
        parts.append(f"memory softly limited to {limit_in_words(wanted)}")
    return f" ({'; '.join(parts)})" if parts else ""


def _check(settings: Settings, machine: Machine, device: str) -> None:
    section = settings.metric
    needed = [
        name
        for name, value in (
            ("peak_memory", section.peak_memory),
            ("memory_limit_mb", section.memory_limit_mb and section.memory_penalty),
        )
        if value
    ]
    if needed and not _measurable(machine, device):
        raise EvolveError(
            f"[metric] {needed[0]} needs the memory in use on {device}, and nothing here measures it: {NO_NVML}, or "
            "set it to 0."
        )


def _limit_of(machine: Machine, device: str) -> float:
    """The soft limit by default: none on a CPU, and none where nothing measures the memory of the GPU."""
    gpu = machines.gpu_of(device, machine)
    if gpu is None or not _measurable(machine, device):
        return 0.0
    return round(LIMIT_SHARE * gpu.memory_mb)


def _measurable(machine: Machine, device: str) -> bool:
    gpu = machines.gpu_of(device, machine)
    return gpu is None or machines.memory_used_mb(gpu.index) is not None


def _lines(context: Context, candidate: Candidate) -> int:
    """Lines of the normalised code, so that neither comments nor statements joined in one line pay."""
    return _normal_lines(context.lineage.source(candidate.commit))


@functools.lru_cache(maxsize=16)
def _normal_lines(source: str) -> int:
    return len(normalise(source).splitlines())
