"""Runners that are killed behind the commit of the weights: another one scores them, and nothing is trained twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import committed, device, rundir, sandbox, wire
from harness.committed import Committed, Safe, take
from harness.crashpoints import VARIABLE
from harness.dataset import load_dataset
from harness.device import fingerprint
from harness.spec import AuditPlan, Cause, CurvePoint, ExperimentSpec, HarnessError, Outcome, Result
from tests.harness.test_replay import script

LEVEL = sandbox.probe().available[0]
TRAINED = script(step="print('step', model.seen, flush=True); model.seen += 1")
MEASURED = ("val_bpb", "val_nats", "sealed_bpb", "weights_sha256", "train_tokens", "eval_tokens")
ALIKE = (*MEASURED, "epochs", "seed", "sandbox", "curve", "fingerprint", "transport")


@pytest.fixture
def spec(tiny_spec: ExperimentSpec) -> ExperimentSpec:
    """A training that is audited and has sealed rows; the first run of a fresh cache compiles nothing."""
    plan = AuditPlan(probes=64)
    return replace(tiny_spec, source=TRAINED, sandbox=LEVEL, audit=plan, sealed=True)


def runner(directory: Path, *options: str, crash: str = "") -> int:
    """A runner in `directory`, to its end."""
    line = [sys.executable, "-m", "harness.experiment", str(directory), *options]
    ended = subprocess.run(line, env=os.environ | {VARIABLE: crash}, timeout=200, check=False)
    return ended.returncode


def folder(spec: ExperimentSpec, directory: Path) -> Path:
    directory.mkdir()
    rundir.write_spec(directory, spec)
    return directory


def result_in(directory: Path) -> Result:
    result = rundir.read_result(directory)
    assert result is not None
    return result


def files(directory: Path) -> set[str]:
    """What is not kept of an experiment that is over."""
    found = {path.name for path in directory.iterdir()}
    return {n for n in found if n.startswith((".", "weights", "committed")) or n in rundir.WORKING}


def measured(result: Result) -> list[Any]:
    return [getattr(result, name) for name in ALIKE]


def steps(directory: Path) -> int:
    return (directory / "run.log").read_text().count("step ")


def test_wherever_a_runner_dies_behind_the_commit_the_score_is_what_it_would_have_been(
    spec: ExperimentSpec, tmp_path: Path
) -> None:
    """At crash points, and at any instant of the scoring and of the audit; to the last bit, and trained once."""
    whole = folder(spec, tmp_path / "whole")
    assert runner(whole) == 0
    expected, trained = result_in(whole), steps(whole)
    assert expected.outcome is Outcome.OK, expected.reason
    assert expected.audit
    assert expected.audit.passed
    assert files(whole) == set()
    luck = random.Random(7)
    for number, crash in enumerate(("runner.after-commit", "")):
        directory = folder(spec, tmp_path / str(number))
        if crash:
            assert runner(directory, crash=crash) == -signal.SIGKILL
        else:
            killed_somewhere(directory, luck.uniform(0.0, 0.5))
        assert rundir.only_trained(directory)
        assert runner(directory, "--again", crash="runner.before-score") == -signal.SIGKILL
        assert rundir.only_trained(directory)
        assert runner(directory, "--again") == 0
        found = result_in(directory)
        assert measured(found) == measured(expected)
        assert found.train_seconds > 0
        assert found.outcome is Outcome.OK
        assert "after its first runner had died" in found.reason
        assert found.audit
        assert found.audit.passed
        assert found.total_seconds == pytest.approx(sum(found.timeline.values()), abs=0.01)
        assert list(found.timeline) == list(expected.timeline)
        assert 0 < steps(directory) <= trained  # the log is the training's own
        assert (
            "step" not in (directory / "again" / "run.log").read_text()
        )  # no row was served again
        assert files(directory) == set()


def killed_somewhere(directory: Path, later: float) -> None:
    """A runner that is killed `later` seconds after its weights are on the disk."""
    line = [sys.executable, "-m", "harness.experiment", str(directory)]
    with subprocess.Popen(line) as process:
        until(lambda: rundir.has_committed(directory))
        time.sleep(later)
        process.kill()


def until(condition: Callable[[], bool], patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


@pytest.mark.parametrize("crash", ["meter.after-commit", "committed.before-record"])
def test_a_death_before_the_record_leaves_nothing_to_go_on_with(
    spec: ExperimentSpec, tmp_path: Path, crash: str
) -> None:
    directory = folder(spec, tmp_path / "e")
    code = runner(directory, crash=crash)
    assert not rundir.has_committed(directory)
    if crash.startswith("meter"):
        assert code == 0
        assert result_in(directory).cause is Cause.METER_DIED
        return
    assert code == -signal.SIGKILL
    assert runner(directory, "--again") == 0
    found = result_in(directory)
    assert (found.outcome, found.val_bpb) == (Outcome.VOID, None)
    assert "trained again" in found.reason
    assert files(directory) == set()


# ---- what is damaged, or another's ---------------------------------------------------------------------------

DATA = b"w" * 70_000


@pytest.fixture
def kept(spec: ExperimentSpec, tmp_path: Path) -> Path:
    """A folder in which weights are kept, which nobody has trained."""
    directory = folder(spec, tmp_path / "kept")
    with Safe(directory) as safe:
        safe.put(sealed(DATA), facts(spec))
        assert safe.holds()
    return directory


def sealed(data: bytes) -> int:
    weights = os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(weights, data)
    wire.seal(weights)
    return weights


def facts(spec: ExperimentSpec, size: int = len(DATA)) -> Committed:
    import hashlib

    return Committed(
        asked=committed._digest(spec.to_json()),
        fingerprint=fingerprint(spec, load_dataset(Path(spec.dataset))),
        weights_sha256=hashlib.sha256(DATA).hexdigest(),
        size=size,
        seconds=2.0,
        fraction=1.0,
        tokens=20_000,
        epochs=1,
        waited=0.1,
        setup_seconds=0.5,
        timeline={"launch": 0.1, "training": 2.0},
        memory_mb=100.0,
        device_memory_mb=None,
        curve=(CurvePoint(0.5, 1.0, 10_000, 3.0),),
    )


def test_what_is_kept_comes_back_as_it_was_and_only_its_owner_may_read_it(
    kept: Path, spec: ExperimentSpec
) -> None:
    dataset = load_dataset(Path(spec.dataset))
    for tries in range(1, committed.TRIES + 1):
        left = take(kept, spec, dataset)
        assert left.facts == replace(facts(spec), tries=tries)
        assert os.pread(left.weights, len(DATA) + 1, 0) == DATA
        assert wire.is_immutable(left.weights)
        os.close(left.weights)
    (weights,) = kept.glob("weights-*")
    assert weights.stat().st_mode & 0o777 == 0o600
    with pytest.raises(HarnessError, match=f"{committed.TRIES} runners died of scoring them"):
        take(kept, spec, dataset)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def weights_of(kept: Path) -> Path:
    (path,) = kept.glob("weights-*")
    return path


def become_a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def promise_more_speed(kept: Path) -> None:
    record = json.loads((kept / rundir.COMMITTED).read_text())
    record["facts"]["tokens"] *= 2
    (kept / rundir.COMMITTED).write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda kept: flip(weights_of(kept)), "their hash is another"),
        (lambda kept: os.truncate(weights_of(kept), 100), "another size"),
        (lambda kept: weights_of(kept).unlink(), "No such file"),
        (lambda kept: become_a_link(weights_of(kept)), "symbolic links"),
        (promise_more_speed, "its hash is another"),
        (lambda kept: (kept / rundir.COMMITTED).write_text("{}"), "cannot be read"),
        (lambda kept: os.truncate(kept / rundir.COMMITTED, 200), "cannot be read"),
        (lambda kept: (kept / rundir.COMMITTED).unlink(), "No such file"),
    ],
    ids=["bit", "short", "gone", "link", "speed", "empty", "cut", "no record"],
)  # fmt: skip
def test_damaged_weights_are_never_scored(
    kept: Path, spec: ExperimentSpec, damage: Callable[[Path], object], said: str
) -> None:
    damage(kept)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(HarnessError, match=f"(?s){said}.*it is trained again"):
        take(kept, spec, load_dataset(Path(spec.dataset)))
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


@pytest.mark.parametrize(
    "changes",
    [{"source": TRAINED + "\n"}, {"seed": 2}, {"sandbox": "process"}, {"audit": AuditPlan(0)}],
    ids=["source", "seed", "sandbox", "audit"],
)
def test_weights_of_another_experiment_are_not_taken(
    kept: Path, spec: ExperimentSpec, changes: dict[str, Any]
) -> None:
    with pytest.raises(HarnessError, match="another experiment"):
        take(kept, replace(spec, **changes), load_dataset(Path(spec.dataset)))


def test_weights_are_not_taken_under_another_torch(
    kept: Path, spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = fingerprint(spec, load_dataset(Path(spec.dataset)))
    monkeypatch.setattr(device, "fingerprint", lambda *_: now | {"torch": "1.0"})
    with pytest.raises(HarnessError, match="torch has changed since"):
        take(kept, spec, load_dataset(Path(spec.dataset)))


def test_what_a_second_runner_finds_damaged_is_void_and_leaves_nothing(
    kept: Path, spec: ExperimentSpec
) -> None:
    flip(weights_of(kept))
    assert runner(kept, "--again") == 0
    found = result_in(kept)
    assert (found.outcome, found.val_bpb, found.audit) == (Outcome.VOID, None, None)
    assert files(kept) == set()


def test_a_script_that_cannot_be_replayed_is_trained_again(
    kept: Path, spec: ExperimentSpec
) -> None:
    """The weights that are kept are no weights: what goes wrong then is not held against the script."""
    assert runner(kept, "--again") == 0
    found = result_in(kept)
    assert (found.outcome, found.val_bpb) == (Outcome.VOID, None)
    assert "from its committed weights it could not be" in found.reason


# ---- room --------------------------------------------------------------------------------------------------


def test_without_room_nothing_is_kept_and_nothing_fails(
    spec: ExperimentSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = folder(spec, tmp_path / "e")
    weights = sealed(DATA)
    with monkeypatch.context() as low, Safe(directory) as safe:
        low.setattr(committed, "_has_room", lambda *_: False)
        safe.put(weights, facts(spec))
        assert not safe.holds()
    with Safe(directory) as safe:
        safe.put(weights, facts(spec, size=committed.LIMIT + 1))
        assert not safe.holds()
    assert files(directory) == set()


def test_a_disk_that_fills_meanwhile_is_left_as_it_was(
    spec: ExperimentSpec, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A quota of no file: the size that a process may write."""
    program = (
        "import os, resource, signal, sys\n"
        "from pathlib import Path\n"
        "from harness import rundir\n"
        "from harness.committed import Safe\n"
        "from tests.harness.test_committed import DATA, facts, sealed\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "directory = Path(sys.argv[1])\n"
        "spec = rundir.read_spec(directory)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "with Safe(directory) as safe:\n"
        "    safe.put(int(sys.argv[2]), facts(spec))\n"
        "    assert not safe.holds()\n"
    )
    directory, weights = folder(spec, tmp_path / "e"), sealed(DATA)
    line = [sys.executable, "-c", program, str(directory), str(weights)]
    subprocess.run(line, check=True, pass_fds=(weights,), cwd=Path(__file__).parents[2])
    assert "are not kept on the disk" in capfd.readouterr().err
    assert files(directory) == set()


def test_weights_that_are_wanted_no_more_are_not_waited_for(
    spec: ExperimentSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, written = folder(spec, tmp_path / "e"), []
    monkeypatch.setattr(committed, "CHUNK", 1000)
    sync = os.fdatasync

    def slow(descriptor: int) -> None:
        written.append(os.fstat(descriptor).st_size)
        time.sleep(0.05)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    with Safe(directory) as safe:
        safe.put(sealed(DATA), facts(spec))
        until(lambda: bool(written))
        safe.clear()
    assert len(written) < 10
    assert files(directory) == set()
