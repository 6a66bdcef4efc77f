"""What a run will be, checked and shown before anything is spent: budget, data, sandbox, proposer, stop rules.

Reads the workspace and the machine; changes nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolve.settings import Settings
    from harness.device import Machine

_LABEL = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """The facts that the table shows."""

    workspace: Path
    name: str | None  # asked for; None = the engine names it
    resumed: str | None  # the name of the run that goes on, or None for a new one
    candidates: int  # that it has already
    settings: Settings
    machine: Machine
    sandbox: str


def check(folder: Path, name: str | None, overrides: dict[str, str], *, allow_weak: bool) -> Plan:
    """Check settings, git, engine and sandbox. Raises EvolveError with what is wrong and what to do."""
    from evolve import settings as config
    from evolve.boot import goes_on, remembered
    from evolve.levels import sandbox_level
    from evolve.lineage import Lineage
    from harness.device import detect
    from tui.commands.live import ALIVE, current_snapshot

    machine = detect()
    overrides = remembered(folder, name) | overrides
    settings = config.load(folder, gpu=bool(machine.gpus), overrides=overrides)
    lineage = Lineage(folder, settings.workspace.script, settings.workspace.branch, name or "check")
    if not goes_on(folder, name):
        lineage.check()
    snapshot = current_snapshot(folder)
    if snapshot is not None and snapshot.engine.state in ALIVE:
        from evolve.model import EvolveError

        raise EvolveError(
            f"An engine works in {folder} already (process {snapshot.engine.pid}); look at it with "
            "`autoresearch`, end it with `autoresearch stop`."
        )
    resumes = (
        snapshot is not None and snapshot.run is not None and name in (None, snapshot.run.name)
    )
    return Plan(
        workspace=folder,
        name=name,
        resumed=snapshot.run.name if resumes and snapshot and snapshot.run else None,
        candidates=snapshot.candidates if resumes and snapshot else 0,
        settings=settings,
        machine=machine,
        sandbox=sandbox_level(settings, allow_weak=allow_weak),
    )


def plan_table(plan: Plan) -> str:
    """The plan as a table of two columns, with the rehearsal's banner where it is one."""
    from evolve import stopping
    from evolve.fitness import asked, in_words
    from tui.figures import GREEDY
    from tui.plain import REHEARSAL

    settings, data = plan.settings, plan.settings.data
    wanted = asked(settings)
    rows = (
        ("Workspace", str(plan.workspace)),
        ("Run", _run_in_words(plan)),
        ("Budget", f"{_budget(settings)} a training, on {_device(plan)}"),
        (
            "Data",
            f"{data.source} text, rows of {data.sequence_length:,} tokens, vocabulary {data.vocabulary:,}",
        ),
        ("Sandbox", plan.sandbox),
        ("Audit", _audit(settings)),
        ("Policy", GREEDY if settings.acceptance.policy == "greedy" else ""),
        ("Goes by", in_words(wanted) if wanted.composite else ""),
        ("Proposer", _proposer(settings)),
        ("Population", str(settings.population.size)),
        ("Ends after", stopping.in_words(settings)),
    )
    lines = [f"{label:<{_LABEL}}{text}" for label, text in rows if text]
    return "\n".join([*([REHEARSAL] if settings.profile == "cpu" else []), *lines])


def _run_in_words(plan: Plan) -> str:
    if plan.resumed is not None:
        return (
            f"{plan.resumed} goes on after {plan.candidates} candidates "
            "(`--name NAME` starts a new one)"
        )
    return f"a new one{f', {plan.name}' if plan.name else ''}"


def _budget(settings: Settings) -> str:
    budget = settings.budget
    amount = budget.seconds if budget.kind == "seconds" else budget.tokens
    return f"{amount:,.0f} {budget.kind}"


def _audit(settings: Settings) -> str:
    """How closely scores are looked at."""
    from evolve.audits import champion_probes, enabled

    if not enabled(settings):
        return "off: a script that looks ahead is not found out"
    most = champion_probes(settings)
    return f"the future hidden at {settings.scoring.audit_probes:,} places, at {most:,} before main moves"


def _device(plan: Plan) -> str:
    if plan.settings.device.device == "cpu" or not plan.machine.gpus:
        return "a CPU"
    return plan.machine.gpus[0].name


def _proposer(settings: Settings) -> str:
    llm = settings.llm
    if llm.proposer == "builtin":
        return "built in"
    if llm.proposer == "claude":
        return llm.model
    if os.environ.get(llm.api_key_env) or os.environ.get(llm.auth_token_env) or llm.base_url:
        return f"{llm.model}, and the built-in one where it cannot answer"
    return f"built in (export {llm.api_key_env} to let a language model propose)"
