"""What two scores must share to mean the same: the fingerprint of a run, and results that do not fit it.

It compares facts and says in a sentence what differs. It never makes a score comparable that is not: such a
run does not go on, and such a result is void.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from evolve import audits, fitness
from evolve.model import EvolveError
from evolve.places import EXPERIMENTS
from harness import device as machines
from harness.rundir import read_spec
from harness.spec import Budget, ExperimentSpec, Outcome

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.metric import Weights
    from evolve.model import Experiment, Run
    from evolve.settings import Settings
    from harness.dataset import Dataset
    from harness.device import Machine
    from harness.spec import Result

SOFTWARE = ("torch", "driver", "harness")  # of the facts that every result carries too


def fingerprint(
    settings: Settings,
    machine: Machine,
    dataset: Dataset,
    device: str,
    level: str,
    weights: Weights,
) -> dict[str, str]:
    """What the scores of a run mean, as text; `device` is cpu or cuda:N, `level` one of the sandbox."""
    budget = settings.budget
    amount = budget.seconds if budget.kind == "seconds" else budget.tokens
    gpu = machines.gpu_of(device, machine)
    return {
        "device": gpu.name if gpu else "cpu",
        "budget": f"{amount:g} {budget.kind}",
        "data": json.dumps(settings.data.model_dump(mode="json"), sort_keys=True),
        "dataset": dataset.manifest_sha256,
        "eval_tokens": str(settings.data.eval_tokens),
        "byte_count": settings.scoring.byte_count,
        "sandbox": level,
        "audit": _audit(settings),
        "metric": fitness.in_words(weights),
        "memory_limit": fitness.limit_in_words(weights),
        **_software(settings, dataset, device, level),
    }


def check(run: Run, now: dict[str, str]) -> None:
    """A resumed run goes on only where its scores mean the same; what an older one did not note is the same."""
    noted = {"metric": "val_bpb"} | run.fingerprint  # older runs went by nothing else
    for key, value in now.items():
        before = noted.get(key, value)
        if before != value:
            raise EvolveError(
                f"Run “{run.name}” was made with {key} = {before}, and now it is {value}: its scores could not "
                "be compared any more. Put it back, or start a new run with `autoresearch run --name NAME`."
            )


def fault(context: Context, experiment: Experiment, result: Result, *, adopted: bool) -> str:
    """Why the score of a finished training does not count in this run, or an empty string.

    `adopted`: an earlier engine, perhaps of an older version, had asked for it.
    """
    if result.sandbox not in ("", context.sandbox):
        return f"It ran in the sandbox “{result.sandbox}”, and this run's is “{context.sandbox}”."
    run = context.journal.run().fingerprint
    for key, value in result.fingerprint.items():
        # A run calls every processor "cpu": a budget of tokens does not depend on which it is.
        if run.get(key, value) != value and (key, run[key]) != ("device", "cpu"):
            return f"It was measured with {key} = {value}, and this run is made with {run[key]}."
    if adopted and result.outcome is Outcome.OK and audits.enabled(context.settings):
        directory = context.state / EXPERIMENTS / context.journal.directory(experiment.id)
        if audits.owed(read_spec(directory).audit, result):
            return "An earlier engine trained it without the blind audit."
    return ""


def _audit(settings: Settings) -> str:
    if not audits.enabled(settings):
        return "off"
    return f"{settings.scoring.audit_probes} / {audits.champion_probes(settings)}"


def _software(settings: Settings, dataset: Dataset, device: str, level: str) -> dict[str, str]:
    """Driver, torch and harness, in the words of the harness itself."""
    budget = settings.budget
    asked = ExperimentSpec(
        name="",
        source="",
        seed=0,
        dataset=str(dataset.path),
        budget=Budget(budget.kind, budget.seconds),
        device=device,
        sandbox=level,
    )
    facts = machines.fingerprint(asked, dataset)
    return {key: facts[key] for key in SOFTWARE if key in facts}
