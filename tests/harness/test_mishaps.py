"""What goes wrong around a candidate is VOID, with a cause, and never blamed on it nor turned into a number."""

from __future__ import annotations

import gc
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness import experiment, mishaps, process, ptree
from harness.bounds import Bounds
from harness.spec import (
    AuditPlan,
    Budget,
    Cause,
    ExperimentSpec,
    HarnessError,
    Limits,
    Outcome,
    Progress,
    Result,
)
from tests.harness.conftest import write_dataset
from tests.harness.fleeing import script

Run = Callable[..., Result]
AUDITED = AuditPlan(probes=64)


def child(module: str) -> int | None:
    """The pid of our child that runs a module of the harness."""
    for pid in process.descendants(os.getpid()):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if f"harness.{module}".encode() in line.split(b"\0"):
            return pid
    return None


class Saboteur:
    """Kills one trusted process once the script has said where it is; asked like a person who may cancel."""

    def __init__(self, log: Path, module: str) -> None:
        self.log, self.module, self.at = log, module, 0.0

    def __call__(self) -> None:
        if not self.at and self.log.exists() and "here" in self.log.read_text():
            pid = child(self.module)
            assert pid is not None
            self.at = time.monotonic()
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("module", "phase", "cause"),
    [
        ("meter", "setup", Cause.METER_DIED),
        ("meter", "training", Cause.METER_DIED),
        ("meter", "audit", Cause.METER_DIED),
        ("scorer", "setup", Cause.SCORER_DIED),
        ("scorer", "training", Cause.SCORER_DIED),
        ("scorer", "scoring", Cause.SCORER_DIED),
        ("auditor", "audit", Cause.AUDITOR_DIED),
    ],
)
def test_a_killed_trusted_process_is_void_at_once_and_leaves_nothing(
    run: Run, tmp_path: Path, module: str, phase: str, cause: Cause
) -> None:
    folder = tmp_path / "experiment" / ("audit" if phase == "audit" else "")
    saboteur = Saboteur(folder / "run.log", module)
    audit = AUDITED if phase == "audit" else AuditPlan(probes=0)
    result = run(script(phase), cancelled=saboteur, audit=audit)
    assert time.monotonic() - saboteur.at < 10  # 0.2 to 0.4 s, as measured on a busy machine
    assert (result.outcome, result.cause) == (Outcome.VOID, cause)
    assert module in result.reason
    assert "SIGKILL" in result.reason
    assert result.val_bpb is None
    assert process.descendants(os.getpid()) == []


@pytest.mark.parametrize(
    ("point", "cause"),
    [
        ("meter.after-commit", Cause.METER_DIED),
        ("scorer.before-score", Cause.SCORER_DIED),
        ("scorer.after-score", Cause.SCORER_DIED),
    ],
)
def test_a_script_that_ends_when_its_examiner_dies_is_not_blamed(
    run: Run, monkeypatch: pytest.MonkeyPatch, point: str, cause: Cause
) -> None:
    """It sees the end of the line as soon as we do, and fails; weights without a hash are no score either."""
    monkeypatch.setenv("AUTORESEARCH_CRASH", point)
    result = run(script(""))
    assert (result.outcome, result.cause, result.val_bpb) == (Outcome.VOID, cause, None)


# ---- the machine -------------------------------------------------------------------------------------------


def sleeping(monkeypatch: pytest.MonkeyPatch, seconds: float, when: Callable[[], bool]) -> None:
    """A machine that sleeps once: CLOCK_BOOTTIME goes on, CLOCK_MONOTONIC does not."""
    offset = mishaps.asleep()
    assert -0.1 < offset < 1e9
    monkeypatch.setattr(mishaps, "asleep", lambda: offset + (seconds if when() else 0.0))


@pytest.mark.parametrize("phase", ["training", "scoring"])
def test_a_training_in_which_the_machine_slept_is_void(
    run: Run, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    told: list[Progress] = []
    sleeping(monkeypatch, 7260, lambda: any(moment.phase == phase for moment in told))
    result = run(script(""), progress=told)
    assert (result.outcome, result.cause, result.val_bpb) == (Outcome.VOID, Cause.SUSPENDED, None)
    assert result.reason == "The machine was suspended for 2.0 h during it."


def test_two_clocks_that_waver_are_no_sleep(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Progress] = []
    sleeping(monkeypatch, 1.5, lambda: bool(told))
    result = run(script(""), progress=told)
    assert result.outcome is Outcome.OK


def test_no_deadline_goes_by_the_clock_on_the_wall() -> None:
    """`time.time` may jump. In the harness it is told to people, and nothing is computed with it."""
    allowed = {"experiment.py": 4, "replay.py": 1, "rescoring.py": 1, "trial.py": 1}  # Progress
    found = {
        path.name: count
        for path in Path(mishaps.__file__).parent.rglob("*.py")
        if (count := path.read_text().count("time.time()"))
    }
    assert found == allowed


# ---- data --------------------------------------------------------------------------------------------------


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data")


def test_data_that_is_gone_says_how_to_get_it_back(
    tiny_spec: ExperimentSpec, own_data: Path, tmp_path: Path
) -> None:
    (own_data / "train.bin").unlink()
    spec = replace(tiny_spec, dataset=str(own_data), source="pass")
    with pytest.raises(HarnessError, match=r"train\.bin is missing.*autoresearch prepare") as told:
        experiment.run(spec, tmp_path / "e", lambda _: None, lambda: None)
    assert told.value.cause is Cause.DATA_MISSING


def when_training(folder: Path, act: Callable[[], None]) -> Callable[[], None]:
    done: list[bool] = []

    def look() -> None:
        log = folder / "run.log"
        if not done and log.exists() and "batch" in log.read_text():
            done.append(True)
            act()

    return look


BATCHES = script("").replace("reached('training')", "print('batch', flush=True); time.sleep(0.01)")


def test_data_cut_short_in_the_middle_of_a_training_is_named(
    run: Run, own_data: Path, tmp_path: Path
) -> None:
    """The meter reads beyond the end of what it has mapped: the kernel ends it with SIGBUS."""
    cut = when_training(tmp_path / "experiment", lambda: os.truncate(own_data / "train.bin", 0))
    result = run(BATCHES, dataset=str(own_data), budget=Budget("tokens", 1e9), cancelled=cut)
    assert (result.outcome, result.cause) == (Outcome.VOID, Cause.DATA_MISSING)
    assert "train.bin has 0 bytes" in result.reason


def test_rows_deleted_in_the_middle_of_a_training_are_still_served(
    run: Run, own_data: Path, tmp_path: Path
) -> None:
    """Who cleans up a cache takes nothing from a training that has begun."""
    gone = when_training(tmp_path / "experiment", (own_data / "train.bin").unlink)
    result = run(BATCHES, dataset=str(own_data), cancelled=gone)
    assert result.outcome is Outcome.OK


def test_validation_rows_that_are_gone_are_no_fault_of_the_script(
    run: Run, own_data: Path, tmp_path: Path
) -> None:
    gone = when_training(tmp_path / "experiment", (own_data / "val.bin").unlink)
    result = run(BATCHES, dataset=str(own_data), cancelled=gone)
    assert (result.outcome, result.cause) == (Outcome.VOID, Cause.DATA_MISSING)
    assert "val.bin is missing" in result.reason


# ---- processes that no signal ends -------------------------------------------------------------------------


@pytest.fixture
def immortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a call into a driver that never returns: no signal has an effect."""
    patience = {"SWEEP_PATIENCE": 0.3, "KILL_PATIENCE": 0.1}
    with monkeypatch.context() as patched:
        for name, seconds in patience.items():
            patched.setattr(process, name, seconds)
        patched.setattr(os, "killpg", lambda pid, number: None)
        patched.setattr(ptree, "kill", lambda found: 0)
        patched.setattr(Bounds, "kill", lambda self: None)
        yield
    for pid in process.descendants(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    process.sweep(set())
    with (
        warnings.catch_warnings()
    ):  # their objects never learn of it, and must not spoil a later test
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.usefixtures("immortal")
def test_a_process_that_cannot_be_killed_holds_up_nobody(run: Run) -> None:
    begun = time.monotonic()
    with pytest.raises(HarnessError, match="hang in the kernel and cannot be killed") as told:
        run("import time; time.sleep(100)", limits=Limits(wall_seconds=1))
    assert told.value.cause is Cause.NONE  # on a CPU no driver is to blame
    assert time.monotonic() - begun < 30
