"""The slot with real runners: handed their lock, adopted after a kill, ended when they hang, and never two of one experiment."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evolve.slot import DetachedSlot, Vigil, ask_to_end, longest
from harness import identity, rundir, runlock
from harness.crashpoints import VARIABLE
from harness.spec import AuditPlan, Budget, Cause, ExperimentSpec, Limits, Outcome, Result
from tests.harness.conftest import write_dataset

pytestmark = pytest.mark.timeout(90)

RESTS = "import signal\nprint('here', flush=True)\nwhile True: signal.pause()\n"
# An engine that dies at a crash point of its slot, or else waits for its training as they do.
ENGINE = """
import asyncio, sys
from pathlib import Path
from evolve.slot import DetachedSlot
from harness.rundir import read_spec
lease, directory = Path(sys.argv[1]), Path(sys.argv[2])
asyncio.run(DetachedSlot(lease, 3.0).run(read_spec(directory), directory))
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture
def spec(dataset: Path) -> ExperimentSpec:
    """A training that takes nothing and rests until it is ended."""
    return ExperimentSpec(
        name=f"slot-{os.getpid()}",
        source=RESTS,
        seed=1,
        dataset=str(dataset),
        budget=Budget("tokens", 20_000),
        sandbox="process",
        limits=Limits(wall_seconds=60, threads=1),
        audit=AuditPlan(probes=0),
    )


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Path]:
    """The lock of an engine that lives."""
    path = tmp_path / "engine.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path


def until(condition: Callable[[], object], patience: float = 20.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        select.select([], [], [], 0.02)


def here(directory: Path) -> Callable[[], bool]:
    log = directory / "run.log"
    return lambda: log.exists() and "here" in log.read_text()


def killed_engine(lease: Path, directory: Path, spec: ExperimentSpec, point: str) -> None:
    """An engine that has died at `point`."""
    directory.mkdir()
    rundir.write_spec(directory, spec)
    line = [sys.executable, "-c", ENGINE, str(lease), str(directory)]
    ended = subprocess.run(line, env=os.environ | {VARIABLE: point}, timeout=30)
    assert ended.returncode == -signal.SIGKILL


def runners(directory: Path) -> list[int]:
    """The processes that run the experiment in `directory`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"harness.experiment" in words and str(directory).encode() in words:
            found.append(int(entry.name))
    return found


def test_an_engine_killed_at_the_spawn_leaves_a_runner_that_holds_its_lock_already(
    tmp_path: Path, lease: Path, spec: ExperimentSpec
) -> None:
    """Five times, with nothing between the kill and the look: a lock that its runner takes itself would be free by then."""
    for attempt in range(5):
        directory = tmp_path / str(attempt)
        killed_engine(lease, directory, replace(spec, sandbox="no such level"), "slot.after-spawn")
        assert rundir.is_running(directory)
        assert len(runners(directory)) == 1
        result = asyncio.run(DetachedSlot(lease, 3.0).adopt(directory))
        assert result is not None  # of the runner that was there, as no other one was started
        assert "no such level" in result.reason
        assert not rundir.is_running(directory)


def test_an_engine_killed_before_the_spawn_leaves_nothing_that_looks_like_a_runner(
    tmp_path: Path, lease: Path, spec: ExperimentSpec
) -> None:
    directory = tmp_path / "e"
    killed_engine(lease, directory, spec, "slot.before-spawn")
    assert not rundir.is_running(directory)
    assert asyncio.run(DetachedSlot(lease, 3.0).adopt(directory)) is None


def test_a_second_runner_never_trains_beside_the_first(
    tmp_path: Path, lease: Path, spec: ExperimentSpec
) -> None:
    directory = tmp_path / "e"
    killed_engine(lease, directory, spec, "slot.after-spawn")
    second = subprocess.run(
        [sys.executable, "-m", "harness.experiment", str(directory)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 1
    assert "already running" in second.stderr
    (first,) = runners(directory)
    until(here(directory))
    ask_to_end(directory)
    result = asyncio.run(DetachedSlot(lease, 3.0).adopt(directory))
    assert result is not None
    assert (result.outcome, result.cause) == (Outcome.VOID, Cause.SIGNAL)
    until(lambda: identity.started(first) is None)


def test_what_is_asked_before_the_adoption_reaches_the_runner(
    tmp_path: Path, lease: Path, spec: ExperimentSpec
) -> None:
    directory = tmp_path / "e"
    killed_engine(lease, directory, spec, "slot.after-spawn")
    until(here(directory))
    slot = DetachedSlot(lease, 3.0)
    slot.stop("a person asked before the engine had found its training")
    result = asyncio.run(slot.adopt(directory))
    assert result is not None
    assert result.cause is Cause.SIGNAL


@pytest.mark.parametrize("adopted", [False, True])
def test_a_runner_that_hangs_is_ended_with_its_cell(
    tmp_path: Path, lease: Path, spec: ExperimentSpec, adopted: bool
) -> None:
    directory = tmp_path / "e"
    slot = DetachedSlot(lease, 60.0, silence=3.0)

    async def hang() -> tuple[object, list[int]]:
        if adopted:
            killed_engine(lease, directory, spec, "slot.after-spawn")
            waiting = asyncio.create_task(slot.adopt(directory))
        else:
            waiting = asyncio.create_task(slot.run(spec, directory))
        while not here(directory)():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        runner = runlock.runner_in(directory)
        assert runner is not None
        family = [runner.pid, *children(runner.pid)]
        os.kill(runner.pid, signal.SIGSTOP)
        return await waiting, family

    result, family = asyncio.run(hang())
    assert result is not None
    assert result.outcome is Outcome.VOID  # type: ignore[attr-defined]
    assert result.cause is Cause.RUNNER_DIED  # type: ignore[attr-defined]
    assert "no sign of life for 3 s" in result.reason  # type: ignore[attr-defined]
    assert not rundir.is_running(directory)
    assert len(family) >= 4  # runner, meter, scorer, script
    until(lambda: all(identity.started(pid) is None for pid in family))


def children(pid: int) -> list[int]:
    from harness.process import descendants

    return descendants(pid)


def test_a_runner_at_work_gives_signs_of_life(
    tmp_path: Path, lease: Path, spec: ExperimentSpec
) -> None:
    directory = tmp_path / "e"
    killed_engine(lease, directory, spec, "slot.after-spawn")
    until(here(directory))
    before = runlock.last_beat(directory)
    until(lambda: runlock.last_beat(directory) != before, 5.0)
    ask_to_end(directory)
    until(lambda: not rundir.is_running(directory))


def test_one_that_outstays_every_limit_is_ended_though_it_lives(
    tmp_path: Path, spec: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert longest(spec) == 60 + 180
    assert longest(replace(spec, audit=AuditPlan())) == 3 * 240
    lock = tmp_path / "lock"
    lock.touch()
    vigil = Vigil(tmp_path, spec, silence=100.0)
    now = time.monotonic()
    for seconds, ended in ((90, False), (180, False), (239, False), (241, True)):
        os.utime(lock, (seconds, seconds))
        monkeypatch.setattr(time, "monotonic", lambda s=seconds: now + s)
        assert bool(vigil.look()) is ended


# A training whose scoring rests the first time: what is scored again is a replay.
RESTS_WHEN_SCORED = """
import os, time, torch
from prepare import MAX_SEQ_LEN, VOCAB_SIZE, Tokenizer, evaluate_bpb, make_dataloader
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(VOCAB_SIZE, VOCAB_SIZE)
    def forward(self, x):
        if 'AUTORESEARCH_REPLAY' not in os.environ:
            print('here', flush=True)
            time.sleep(100)
        return self.table(x)
tokenizer = Tokenizer.from_directory()
for _ in make_dataloader(tokenizer, 8, MAX_SEQ_LEN, 'train'):
    print('a batch')
evaluate_bpb(Model(), tokenizer, 12)
"""


@pytest.fixture
def trained(spec: ExperimentSpec) -> ExperimentSpec:
    return replace(spec, source=RESTS_WHEN_SCORED)


def test_a_runner_that_is_killed_while_it_scores_is_followed_by_another_one(
    tmp_path: Path, lease: Path, trained: ExperimentSpec
) -> None:
    """The engine lives; nothing is trained again, and what the killed one could not remove is gone."""
    directory = tmp_path / "e"

    async def kill() -> Result:
        slot = DetachedSlot(lease, 60.0)
        waiting = asyncio.create_task(slot.run(trained, directory))
        while not (here(directory)() and rundir.has_committed(directory)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        (runner,) = runners(directory)
        os.kill(runner, signal.SIGKILL)
        return await waiting

    result = asyncio.run(kill())
    assert result.outcome is Outcome.OK, result.reason
    assert result.val_bpb
    assert "after its first runner had died" in result.reason
    assert "a batch" in (directory / "run.log").read_text()
    assert "a batch" not in (directory / "again" / "run.log").read_text()
    clean(directory)


def clean(directory: Path) -> None:
    """Nothing of a killed runner is left."""
    left = {path.name for path in directory.iterdir()}
    assert not left & {*rundir.WORKING, rundir.COMMITTED}
    assert not [name for name in left if rundir.WEIGHTS in name]


def test_a_runner_without_an_engine_leaves_its_weights_to_the_next_one(
    tmp_path: Path, trained: ExperimentSpec
) -> None:
    directory, path = tmp_path / "e", tmp_path / "engine.lock"
    with path.open("w") as engine:
        fcntl.flock(engine, fcntl.LOCK_EX)
        killed_engine(path, directory, trained, "slot.after-spawn")
        until(lambda: here(directory)() and rundir.has_committed(directory), 60)
    until(lambda: not rundir.is_running(directory))  # 3 s without an engine
    assert rundir.only_trained(directory)
    assert not {path.name for path in directory.iterdir()} & set(rundir.WORKING)
    with path.open("w") as engine:
        fcntl.flock(engine, fcntl.LOCK_EX)
        slot = DetachedSlot(path, 60.0)
        result = asyncio.run(slot.adopt(directory))
    assert result is not None
    assert result.outcome is Outcome.OK, result.reason
    clean(directory)


def test_what_is_to_be_ended_is_not_scored(
    tmp_path: Path, lease: Path, trained: ExperimentSpec
) -> None:
    directory = left_behind(tmp_path / "e", trained)
    slot = DetachedSlot(lease, 3.0)
    slot.stop("a person asked before the engine had found its training")
    assert asyncio.run(slot.adopt(directory)) is None
    clean(directory)


def left_behind(directory: Path, spec: ExperimentSpec) -> Path:
    """A folder as a runner leaves it that is killed while it scores."""
    directory.mkdir()
    rundir.write_spec(directory, spec)
    rundir.write_committed(directory, {})
    for name in (*rundir.WORKING, "weights-0", ".weights-1.tmp"):
        (directory / name).mkdir() if name in rundir.WORKING else (directory / name).touch()
    (directory / "kernels" / "kernel.so").touch()
    return directory


def test_a_record_that_is_none_ends_as_void_and_the_training_is_repeated(
    tmp_path: Path, lease: Path, trained: ExperimentSpec
) -> None:
    directory = left_behind(tmp_path / "e", trained)
    result = asyncio.run(DetachedSlot(lease, 3.0).adopt(directory))
    assert result is not None
    assert (result.outcome, result.val_bpb) == (Outcome.VOID, None)
    assert "it is trained again" in result.reason
    clean(directory)


def test_a_number_that_names_another_process_now_is_never_signalled(tmp_path: Path) -> None:
    """The lock is held, and what stands in it is of a process that is long gone: its number is ours."""
    stranger = f"{os.getpid()} {(identity.started(os.getpid()) or 0) - 1} {identity.boot()}\n"
    other_boot = f"{os.getpid()} {identity.started(os.getpid())} {'0' * 36}\n"
    for text in (stranger, other_boot, "", "12\n", "x y z\n"):
        with (tmp_path / "lock").open("w") as file:
            file.write(text)
            file.flush()
            fcntl.flock(file, fcntl.LOCK_EX)
            runner = runlock.runner_in(tmp_path)
            assert runner is None or not runner.alive
            ask_to_end(tmp_path)  # a SIGTERM would end this test
            assert runner is None or (not runner.ask_to_end() and runner.end())


def test_a_descriptor_that_is_not_the_lock_is_refused(
    tmp_path: Path, lease: Path, spec: ExperimentSpec
) -> None:
    directory = tmp_path / "e"
    directory.mkdir()
    rundir.write_spec(directory, spec)
    (directory / "lock").touch()
    with lease.open() as other:
        ended = subprocess.run(
            [sys.executable, "-m", "harness.experiment", str(directory), "--lock-fd", str(other.fileno())],
            capture_output=True,
            text=True,
            pass_fds=(other.fileno(),),
            timeout=30,
        )  # fmt: skip
    assert ended.returncode == 1
    assert "is not the lock of" in ended.stderr
