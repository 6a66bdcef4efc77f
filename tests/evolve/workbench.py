"""A journal with a run in it, filled through the journal's own methods, and the answers of an honest harness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evolve.journal import Journal, state_folder
from evolve.model import CandidateState, Operator, Purpose, Verdict
from evolve.propose.operators import Proposal
from harness.spec import AuditReport, CurvePoint, ExperimentSpec, Outcome, Result

SETTINGS: dict[str, Any] = {
    "profile": "cpu",
    "budget": {"kind": "tokens"},
    "population": {"size": 6, "buffer": 2},
    "llm": {"model": "claude-opus-5-5", "prices": {"m": {"input": 1.0}}},
    "stop": {"candidates": 12, "hours": 0.0, "dollars": 0.0, "target_bpb": 0.0, "plateau": 0},
}


def open_journal(workspace: Path) -> Journal:
    return Journal.open(state_folder(workspace) / "journal.db")


def begin(journal: Journal, name: str = "try") -> None:
    journal.create_run(
        name=name,
        branch="main",
        base_commit=oid(1),
        settings=SETTINGS,
        fingerprint={"device": "cpu"},
    )


def oid(number: int) -> str:
    return f"{number:040x}"


def proposal(number: int, *parents: int, **given: Any) -> Proposal:
    operator = {0: Operator.SEED, 1: Operator.MUTATE}.get(len(parents), Operator.CROSSOVER)
    plain: dict[str, Any] = {
        "source": f"x = {number}\n",
        "operator": operator,
        "proposer": "builtin" if parents else "human",
        "parents": parents,
        "title": f"idea {number}",
        "hypothesis": "It may help.",
        "category": "optimizer",
        "changes": (f"LR: {number} -> {number + 1}",),
    }
    return Proposal(**(plain | given))


def add(journal: Journal, *parents: int, **given: Any) -> int:
    number = journal.next_candidate_id()
    return journal.add_candidate(
        number, proposal(number, *parents, **given), commit=oid(number), code_hash=f"h{number}"
    )


def result(score: float | None, **given: Any) -> Result:
    ended = {"outcome": Outcome.OK, "reason": "It ended by itself."}
    if score is None:
        ended = {"outcome": Outcome.CRASH, "reason": "ValueError: no"}
    return Result(**(ended | {"val_bpb": score, "total_seconds": 12.0} | given))


def report(passed: bool = True, claimed: float = 1.0, **given: Any) -> AuditReport:
    plain: dict[str, Any] = {"probes": 64, "reason": "At 64 places the loss stayed the same."}
    if not passed:
        plain["reason"] = "its predictions look ahead, at tokens that come later in the row"
    return AuditReport(passed=passed, claimed_bpb=claimed, **(plain | given))


def scored(spec: ExperimentSpec, bpb: float, **given: Any) -> Result:
    """What the harness answers to an honest script of this score: audited and sealed where it was asked."""
    audited = report(claimed=bpb) if spec.audit.probes_for(bpb) else None
    plain: dict[str, Any] = {
        "val_bpb": bpb,
        "sealed_bpb": bpb + 0.01 if spec.sealed else None,
        "audit": audited,
        "seed": spec.seed,
        "sandbox": spec.sandbox,
    }
    return Result(Outcome.OK, "It ended by itself.", **(plain | given))


def faked(spec: ExperimentSpec, bpb: float) -> Result:
    """What the harness answers when the audit finds out about a script that looks ahead."""
    found = report(passed=False, claimed=bpb)
    words = f"The blind audit voids its score of {bpb:.6f}: {found.reason}."
    return Result(Outcome.INVALID, words, audit=found, seed=spec.seed, sandbox=spec.sandbox)


def train(
    journal: Journal,
    number: int,
    score: float | None,
    purpose: Purpose = Purpose.SCREEN,
    then: CandidateState = CandidateState.CONTENDER,
    **given: Any,
) -> int:
    experiment = journal.start_experiment(number, purpose, len(journal.experiments(number)))
    journal.finish_experiment(experiment.id, result(score, **given), then)
    return experiment.id


def baseline(journal: Journal, *scores: float) -> None:
    """The seed, trained and crowned."""
    begin(journal)
    add(journal)
    for score in scores or (1.0,):
        train(
            journal,
            1,
            score,
            Purpose.BASELINE,
            CandidateState.JUDGED,
            curve=(CurvePoint(0.5, 10.0, 100, 3.0), CurvePoint(1.0, 20.0, 200, 2.5)),
        )
    journal.crown_baseline(1)


def judged(journal: Journal, score: float | None, verdict: Verdict, *parents: int) -> int:
    """A child with its verdict."""
    number = add(journal, *(parents or (1,)))
    train(
        journal,
        number,
        score,
        then=CandidateState.JUDGED if score is None else CandidateState.CONTENDER,
    )
    if verdict is Verdict.PROMOTED:
        journal.promote(number, "It is better.")
    else:
        journal.judge(number, verdict, "As it is.", alive=verdict is Verdict.KEPT)
    return number
