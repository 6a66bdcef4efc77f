"""What may live and what may become main: audited, better on the sealed rows, trained at one speed, in one cell.

A booted engine's own judge with a real journal, git and data set; only the trainings are answers made up here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import git
import pytest

from evolve.boot import boot
from evolve.client import Client
from evolve.context import Context
from evolve.judging import Assignment, Judge
from evolve.model import CandidateState, EvolveError, Experiment, Operator, Purpose, Verdict
from evolve.nursery import enrol
from evolve.places import EXPERIMENTS
from evolve.propose.operators import Proposal
from evolve.spec import experiment_spec
from evolve.standing import members
from evolve.workspace import create
from harness.rundir import write_spec
from harness.spec import ExperimentSpec, Outcome, Result
from tests.evolve.test_engine import overrides
from tests.evolve.workbench import faked, report, scored
from tui import listing, plain

Answer = Callable[[ExperimentSpec], Result]
CONFIRMED, GREEDY = {"acceptance.policy": "confirmed"}, {"acceptance.policy": "greedy"}
SECONDS = {"budget.kind": "seconds", "budget.seconds": "5"}


class Desk:
    """The judge of one run, and whoever trains for it."""

    def __init__(self, context: Context) -> None:
        self.context, self.journal = context, context.journal
        self.judge = Judge(context)
        self.specs: list[ExperimentSpec] = []
        self.assigned: list[Assignment] = []
        self.answers: dict[int, Answer] = {1: honest(2.0)}
        self.pauses: list[str] = []  # why the run would pause

    def child(self, answer: Answer, **given: object) -> int:
        """Queue a child of the baseline whose trainings end like this."""
        number = self.journal.next_candidate_id()
        first = self.context.lineage.source(self.journal.candidate(1).commit)
        proposal = Proposal(
            source=f"{first}\nCHILD = {number}\n"
            + "".join(f"V{number}_{i} = {i}\n" for i in range(4)),
            operator=Operator.MUTATE,
            proposer="builtin",
            parents=(1,),
            title=f"idea {number}",
            hypothesis="It may help.",
            category="schedule",
        )
        self.answers[number] = answer
        return enrol(self.context, replace(proposal, **given), f"hash {number}")

    def step(self) -> Assignment | None:
        """One training and its consequences."""
        assignment = self.judge.next_assignment()
        if assignment is None:
            return None
        experiment = self.journal.start_experiment(
            assignment.candidate, assignment.purpose, assignment.seed
        )
        spec = experiment_spec(self.context, experiment)
        self.assigned.append(assignment)
        self.specs.append(spec)
        why = self.judge.settle(experiment, self.answers[assignment.candidate](spec))
        self.pauses += [why] if why else []
        return assignment

    def work(self, steps: int = 60) -> None:
        """Train until nothing is left to do."""
        while self.step() is not None:
            steps -= 1
            assert steps, self.assigned[-12:]

    def plans(self, purpose: Purpose) -> list[ExperimentSpec]:
        pairs = zip(self.assigned, self.specs, strict=True)
        return [spec for assigned, spec in pairs if assigned.purpose is purpose]

    def told(self, kind: str) -> list[str]:
        return [e.text for e in self.journal.events(limit=5000) if e.kind == kind]


def honest(bpb: float, sealed: float | None = None, speed: float = 0.0) -> Answer:
    """A script of this quality; the luck of a seed comes to everybody."""

    def answer(spec: ExperimentSpec) -> Result:
        luck = 0.001 * (spec.seed % 3)
        given = {
            "tokens_per_second": speed,
            "sealed_bpb": (sealed or bpb) + luck if spec.sealed else None,
        }
        return scored(spec, bpb + luck, **given)

    return answer


def unaudited(bpb: float) -> Answer:
    return lambda spec: replace(honest(bpb)(spec), audit=None)


@contextmanager
def desk(tmp_path: Path, **more: str) -> Iterator[Desk]:
    workspace = tmp_path / "work"
    if not workspace.exists():
        create(workspace)
    settings = overrides(tmp_path, **({"population.size": "3"} | CONFIRMED | more))
    with boot(
        workspace, overrides=settings, name=None, allow_weak_sandbox=True, on_event=None
    ) as ready:
        yield Desk(ready.context)


# ---- who is audited -----------------------------------------------------------------------------------------


def test_repeats_are_audited_closely_and_a_screening_where_its_score_could_live(
    tmp_path: Path,
) -> None:
    with desk(tmp_path) as here:
        first = here.child(honest(2.2))  # there is room for any score
        here.work()
        assert here.journal.candidate(first).alive
        here.child(honest(2.1))
        here.work()
        last = here.child(honest(2.5))  # the population of three is full now
        fresh = here.child(honest(2.5), category="architecture")
        here.child(honest(1.9))
        here.work()
        plans = [spec.audit for spec in here.plans(Purpose.SCREEN)]
        assert [plan.below for plan in plans[:2]] == [None, None]
        # A little below where the worst stands: its code is near theirs, and crowding counts against it.
        assert plans[2].below == pytest.approx(2.2, abs=0.01)
        # A quarter of three places is none, so a young structure has to be as good as any other.
        assert plans[3].below == pytest.approx(2.2, abs=0.01)
        assert {plan.probes for plan in plans} == {256}
        assert {plan.champion_probes for plan in plans} == {0}
        confirmed = here.plans(Purpose.CONFIRM)
        assert confirmed
        assert {(s.audit.champion_probes, s.audit.champion_below, s.sealed) for s in confirmed} == {
            (1024, None, True)
        }
        assert all(spec.sealed for spec in here.plans(Purpose.BASELINE))
        assert not any(spec.sealed for spec in here.plans(Purpose.SCREEN))
        told = here.journal.candidate(last)
        assert (told.verdict, told.alive) == (Verdict.REJECTED, False)
        assert told.verdict_reason.endswith("Not among the 3 that live.")
        assert here.journal.candidate(fresh).verdict in (Verdict.REJECTED, Verdict.KEPT)


def test_without_an_audit_nobody_lives_and_main_does_not_move(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        plain_, brilliant = here.child(unaudited(2.0005)), here.child(unaudited(1.5))
        here.work()
        for number in (plain_, brilliant):
            found = here.journal.candidate(number)
            assert (found.verdict, found.alive) == (Verdict.REJECTED, False), found
            assert "was never audited, so it cannot count" in found.verdict_reason
        assert "passed no blind audit" in here.journal.candidate(brilliant).verdict_reason
        assert here.journal.run().incumbent == 1


def test_under_the_ancestors_rule_the_one_training_is_looked_at_closely(tmp_path: Path) -> None:
    with desk(tmp_path, **GREEDY) as here:
        bare, good = here.child(unaudited(1.9)), here.child(honest(1.95))
        here.work()
        (plan, *_) = [spec.audit for spec in here.plans(Purpose.SCREEN)]
        assert (plan.champion_probes, plan.champion_below) == (1024, 2.0)
        assert here.plans(Purpose.SCREEN)[0].sealed  # it alone may move main
        assert here.journal.candidate(bare).verdict is Verdict.REJECTED
        assert here.journal.candidate(good).verdict is Verdict.PROMOTED
        assert here.journal.candidate(good).sealed_gain == pytest.approx(0.05)


def test_where_audits_are_off_the_run_says_so(tmp_path: Path) -> None:
    with desk(tmp_path, **{"scoring.audit_probes": "0"}) as here:
        here.child(unaudited(1.5))
        here.work()
        assert all(spec.audit.probes_for(0.1) == 0 for spec in here.specs)
        assert here.journal.run().incumbent == 2
        assert "[scoring] audit_probes = 0" in here.told("audit")[0]


def test_the_tolerance_is_read_off_the_baselines_own_audits(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        rough = lambda spec: replace(honest(2.0)(spec), audit=report(largest=0.25))  # noqa: E731
        here.answers[1] = rough
        here.child(honest(2.1))
        here.work()
        assert [round(spec.audit.tolerance, 3) for spec in here.specs] == [0.5, 0.75, 0.75, 0.75]


# ---- a faked score ------------------------------------------------------------------------------------------


def test_a_faked_score_disqualifies_and_is_told_and_never_shown_as_achieved(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        cheat = here.child(lambda spec: faked(spec, 0.913))
        here.work()
        found = here.journal.candidate(cheat)
        assert (found.verdict, found.alive, found.mean) == (Verdict.FAILED, False, None)
        assert found.verdict_reason.startswith("The blind audit voids its score of 0.913000: ")
        assert found.voided == "its predictions look ahead, at tokens that come later in the row"
        (told,) = here.told("audit")
        assert told.startswith(
            f"#{cheat} is disqualified: The blind audit voids its score of 0.9130"
        )
        assert cheat not in {member.id for member in members(here.context)}  # nobody's parent
        snapshot = Client(here.context.workspace).snapshot()
        assert (snapshot.failures, snapshot.voided) == (1, 1)
        assert "1 failed (1 voided by the audit)" in plain.status(snapshot)
        assert "voided" in listing.results([found], {}, 1)
        assert "0.913" not in listing.results([found], {}, 1)

        from evolve.briefs import brief
        from evolve.propose.history import table

        (attempt,) = brief(here.context, Operator.MUTATE, (1,), 0).history
        shown = table((attempt,), 0.01)
        assert "voided by the blind audit: its predictions look ahead, at tokens" in shown
        assert "0.913" not in shown


def test_a_repeat_that_is_voided_takes_the_earlier_score_with_it(tmp_path: Path) -> None:
    def later(spec: ExperimentSpec) -> Result:
        return honest(1.8)(spec) if spec.seed == 0 else faked(spec, 1.7)

    with desk(tmp_path) as here:
        cheat = here.child(later)
        here.work()
        found = here.journal.candidate(cheat)
        assert (found.verdict, found.scores) == (Verdict.FAILED, ())
        assert here.journal.scores_by_seed(cheat) == {}
        assert here.context.noise.sigma < 0.01  # 1.8 is not in it


def test_a_baseline_that_is_voided_ends_the_run_in_words(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        here.answers[1] = lambda spec: faked(spec, 0.5)
        with pytest.raises(
            EvolveError, match=r"baseline's own score does not stand.*mend it, commit"
        ):
            here.step()


def test_main_that_fails_again_and_again_is_a_reason_to_pause(tmp_path: Path) -> None:
    with desk(tmp_path, **{"acceptance.baseline_repeats": "1"}) as here:
        here.step()
        here.answers[1] = lambda spec: faked(spec, 0.5)
        here.child(honest(1.9))
        while not here.pauses:
            assert here.step() is not None
        assert "The baseline failed 3 times in a row when it was measured again" in here.pauses[0]
        assert "`autoresearch show 1`" in here.pauses[0]
        assert here.journal.candidate(1).scores == (2.0,)  # what it scored before still counts


# ---- the sealed rows ----------------------------------------------------------------------------------------


def test_a_gain_on_the_sealed_rows_moves_main_and_is_written_down(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        # A person's own commit in between, so that moving main makes a merge with trailers.
        here.work()
        note = here.context.workspace / "notes.md"
        note.write_text("mine\n")
        with git.Repo(here.context.workspace) as repo:
            repo.index.add(["notes.md"])
            repo.index.commit("a note")
        child = here.child(honest(1.9, sealed=1.92))
        here.work()
        found = here.journal.candidate(child)
        assert found.verdict is Verdict.PROMOTED
        assert found.sealed_gain == pytest.approx(0.08)
        assert found.sealed_gap == pytest.approx(0.02)
        assert "Sealed rows: better by 0.0800 (0.0200 less than on the validation rows)." in (
            found.verdict_reason
        )
        event = [e for e in here.journal.events(limit=5000) if e.kind == "verdict"][-1]
        assert event.data["sealed_gap"] == pytest.approx(0.02)
        with git.Repo(here.context.workspace) as repo:
            assert "Sealed-Gain: +0.080000" in repo.git.log("-1", "--format=%B", "main")
        snapshot = Client(here.context.workspace).snapshot()
        assert "+0.08000 on the sealed rows (gap +0.02000)" in plain.status(snapshot)
        assert json.loads(plain.to_json(snapshot))["incumbent"]["sealed_gap"] == pytest.approx(0.02)


def test_what_fits_the_validation_rows_alone_is_refused(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        child = here.child(honest(1.9, sealed=2.0003))
        here.work()
        found = here.journal.candidate(child)
        assert (found.verdict, found.alive) == (Verdict.REJECTED, False)
        assert found.verdict_reason == (
            "Better by 0.1000 on the validation rows, worse by 0.0003 on the sealed ones: it fits the validation "
            "rows."
        )
        assert found.sealed_gain == pytest.approx(-0.0003)
        assert here.journal.run().incumbent == 1


def test_main_is_measured_on_the_sealed_rows_first_where_it_was_not(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        # As an older engine left it: main has scores at the seeds, and none of the sealed rows.
        here.answers[1] = lambda spec: replace(honest(2.0)(spec), sealed_bpb=None)
        here.work()
        here.answers[1] = honest(2.0)
        child = here.child(honest(1.9))
        here.work()
        assert [a.seed for a in here.assigned if a.purpose is Purpose.INCUMBENT] == [1]
        assert here.journal.candidate(child).verdict is Verdict.PROMOTED


def test_where_the_sealed_rows_cannot_be_scored_main_stays_and_the_run_goes_on(
    tmp_path: Path,
) -> None:
    with desk(tmp_path) as here:
        here.answers[1] = lambda spec: replace(honest(2.0)(spec), sealed_bpb=None)
        child = here.child(honest(1.9))
        here.work()
        assert here.journal.candidate(child).verdict is not Verdict.PROMOTED
        assert "could not be scored" in here.journal.candidate(child).verdict_reason


# ---- what compares ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strange", "why"),
    [
        ({"sandbox": "elsewhere"}, "It ran in the sandbox “elsewhere”"),
        (
            {"fingerprint": {"torch": "1.0"}},
            "It was measured with torch = 1.0, and this run is made with",
        ),
    ],
)
def test_a_result_from_elsewhere_is_void(
    tmp_path: Path, strange: dict[str, object], why: str
) -> None:
    with desk(tmp_path) as here:
        child = here.child(lambda spec: replace(honest(1.0)(spec), **strange))
        for _ in range(4):
            here.step()
        (lost,) = here.journal.experiments(child)
        assert lost.outcome is Outcome.VOID
        assert why in lost.reason
        assert here.journal.candidate(child).state is CandidateState.READY
        assert here.journal.candidate(child).scores == ()


def adopted(here: Desk, child: int, below: float | None) -> Experiment:
    """A training of score 1.9 without an audit that an earlier engine began, to be audited below this score."""
    experiment = here.journal.start_experiment(child, Purpose.SCREEN, 0)
    spec = experiment_spec(here.context, experiment)
    spec = replace(spec, audit=replace(spec.audit, below=below))
    directory = here.context.state / EXPERIMENTS / here.journal.directory(experiment.id)
    directory.mkdir(parents=True)
    write_spec(directory, spec)
    here.judge.settle(experiment, unaudited(1.9)(spec), adopted=True)
    return here.journal.experiments(child)[0]


def test_an_adopted_result_of_an_engine_without_audits_is_trained_again(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        here.work()
        child = here.child(honest(1.9))
        assert "without the blind audit" in adopted(here, child, None).reason
        assert here.journal.candidate(child).state is CandidateState.READY
        here.work()
        assert here.journal.candidate(child).verdict is Verdict.PROMOTED


def test_an_adopted_result_owes_no_audit_that_was_not_asked_for_when_it_began(
    tmp_path: Path,
) -> None:
    with desk(tmp_path) as here:
        here.work()
        child = here.child(honest(1.9))
        assert adopted(here, child, 1.8).outcome is Outcome.OK  # no training is repeated for it
        here.work()
        assert here.journal.candidate(child).verdict is not Verdict.PROMOTED


def test_a_run_without_a_sandbox_says_so(tmp_path: Path) -> None:
    with desk(tmp_path, **{"sandbox.level": "process"}) as here:
        assert here.context.sandbox == "process"
        assert here.told("sandbox")[0].startswith("There is no sandbox")


def test_a_run_goes_on_only_with_the_software_that_it_began_with(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        run = here.journal.run()
        assert {"torch", "harness", "audit"} <= run.fingerprint.keys()
        older = {k: v for k, v in run.fingerprint.items() if k not in ("torch", "harness", "audit")}
        here.journal._db.execute("UPDATE run SET fingerprint = ?", (json.dumps(older),))
    with desk(tmp_path) as here:  # a run of before these facts were noted
        assert here.journal.run().fingerprint == older
        changed = older | {"torch": "1.13"}
        here.journal._db.execute("UPDATE run SET fingerprint = ?", (json.dumps(changed),))
    with (
        pytest.raises(EvolveError, match=r"made with torch = 1\.13, and now it is"),
        desk(tmp_path),
    ):
        pass


# ---- drift --------------------------------------------------------------------------------------------------


class Machine:
    """Trains at a speed that can change."""

    def __init__(self) -> None:
        self.speed = 1_000_000.0

    def __call__(self, bpb: float) -> Answer:
        return lambda spec: honest(bpb, speed=self.speed)(spec)


def test_main_does_not_move_while_the_machine_drifts(tmp_path: Path) -> None:
    with desk(tmp_path, **SECONDS) as here:
        machine = Machine()
        here.answers[1] = machine(2.0)
        good = here.child(machine(1.9))
        for _ in range(4):
            here.step()
        machine.speed = 950_000.0  # a neighbour has come
        here.step()  # the repeat of the contender
        assert here.assigned[-1].purpose is Purpose.CONFIRM
        here.step()
        assert here.assigned[-1] == Assignment(1, Purpose.BASELINE, 3)
        (_, sentence) = here.told("drift")
        assert sentence.startswith(
            "The baseline now trains 5.0 % fewer tokens a second than at the start (1,000,000 -> 950,000): main does "
            "not move"
        )
        # Nothing that was measured meanwhile counts: neither the repeat nor the baseline's own measurement.
        assert here.journal.candidate(good).scores == (1.9,)
        assert len(here.journal.candidate(1).scores) == 3

        snapshot = Client(here.context.workspace).snapshot()
        assert snapshot.drift == sentence
        assert "Drift" in plain.status(snapshot)
        for _ in range(5):
            here.child(machine(2.6))
        for _ in range(6):
            here.step()
        assert [a.purpose for a in here.assigned[-6:]] == [Purpose.SCREEN] * 5 + [Purpose.BASELINE]
        assert here.journal.candidate(good).state is CandidateState.CONTENDER
        assert any(f"#{good} may be better than main, and waits" in t for t in here.told("drift"))

        machine.speed = 990_000.0  # gone again: within 3 %
        for _ in range(5):
            here.child(machine(2.6))
        here.work()
        assert any("trains at its first speed again" in text for text in here.told("drift"))
        assert here.journal.candidate(good).verdict is Verdict.PROMOTED
        assert Client(here.context.workspace).snapshot().drift == ""


def test_a_machine_that_never_recovers_lets_the_run_end(tmp_path: Path) -> None:
    more = SECONDS | {"stop.candidates": "1"}
    with desk(tmp_path, **more) as here:
        machine = Machine()
        here.answers[1] = machine(2.0)
        good = here.child(machine(1.9))
        for _ in range(4):
            here.step()
        machine.speed = 1_100_000.0
        here.work()
        assert here.journal.candidate(good).verdict is Verdict.KEPT
        assert "10.0 % more tokens a second" in here.journal.candidate(good).verdict_reason
        assert here.journal.run().incumbent == 1
        assert [a.purpose for a in here.assigned].count(Purpose.BASELINE) == 3 + 3


def test_a_budget_of_tokens_does_not_mind_the_speed(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        machine = Machine()
        here.answers[1] = machine(2.0)
        here.child(machine(1.9))
        for _ in range(4):
            here.step()
        machine.speed = 1.0
        here.work()
        assert here.told("drift") == []
        assert here.journal.run().incumbent == 2
