"""Runners that are killed, have no room or no memory: nothing outlives them, and no result is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness import compilecache, process, ptree, rundir, sandbox
from harness.boundedlog import BoundedLog
from harness.bounds import CANDIDATE, TRUSTED
from harness.spec import AuditPlan, Cause, ExperimentSpec, Outcome, Result
from tests.harness.fleeing import PHASES, script

Run = Callable[..., Result]
LEVELS = [
    pytest.param(
        level, marks=pytest.mark.skipif(level not in sandbox.probe().available, reason="not here")
    )
    for level in sandbox.LEVELS
]


def start(spec: ExperimentSpec, directory: Path) -> subprocess.Popen[bytes]:
    directory.mkdir()
    rundir.write_spec(directory, spec)
    return subprocess.Popen(
        [sys.executable, "-m", "harness.experiment", str(directory)], start_new_session=True
    )


def within(seconds: float, condition: Callable[[], bool]) -> float:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it never came true"
        time.sleep(0.02)
    return time.monotonic() - begun


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("level", LEVELS)
def test_whenever_a_runner_is_killed_everything_below_it_is_gone(
    tiny_spec: ExperimentSpec, tmp_path: Path, level: str, phase: str
) -> None:
    """Daemons in sessions of their own, which ignore SIGTERM, too."""
    folder = tmp_path / "e"
    log = folder / ("audit" if phase == "audit" else "") / "run.log"
    audit = AuditPlan(probes=64 if phase == "audit" else 0)
    with start(replace(tiny_spec, source=script(phase), sandbox=level, audit=audit), folder) as it:
        within(60, lambda: log.exists() and "here" in log.read_text())
        family = ptree.below(it.pid)
        assert len(family) >= 4  # meter, scorer, the script and its daemon, at least
        it.kill()
        it.wait(10)

    def gone() -> bool:
        return not any(
            (now := ptree.look(pid)) and now.started == seen.started for pid, seen in family.items()
        )

    within(5, gone)
    assert not rundir.is_running(folder)
    assert rundir.read_result(folder) is None


# ---- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_for_want_of_memory_the_kernel_takes_the_candidate_first_and_the_engine_last(
    tiny_spec: ExperimentSpec, tmp_path: Path, level: str
) -> None:
    folder = tmp_path / "e"
    says = "print('I have', open('/proc/self/oom_score_adj').read().strip(), flush=True)\n"
    source = says + "import time; print('here', flush=True); time.sleep(100)"

    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    with start(replace(tiny_spec, source=source, sandbox=level), folder) as runner:
        try:
            log = folder / "run.log"
            within(60, lambda: log.exists() and "here" in log.read_text())
            assert f"I have {CANDIDATE}" in log.read_text()
            assert score(runner.pid) == TRUSTED
            children = [
                p for p, seen in ptree.below(runner.pid).items() if seen.parent == runner.pid
            ]
            assert sorted(map(score, children)) == [TRUSTED, TRUSTED, CANDIDATE]
        finally:
            runner.terminate()
    assert score(os.getpid()) < TRUSTED


# ---- room --------------------------------------------------------------------------------------------------

# Runs inside a small tmpfs at argv[1]: fills it when the training begins, and makes room when the runner waits for it.
CROWDED = """
import json, subprocess, sys, time
from pathlib import Path
from harness import process, rundir
folder = Path(sys.argv[1])
rundir.write_spec(folder, rundir.read_spec(Path(sys.argv[2])))
runner = subprocess.Popen([sys.executable, '-m', 'harness.experiment', str(folder)])
while not any(seen.phase == 'training' for seen in rundir.read_progress(folder)[0]):
    time.sleep(0.02)
with (folder / 'ballast').open('wb', buffering=0) as ballast:
    for size in (1 << 16, 1 << 12, 1):
        try:
            while ballast.write(bytes(size)): pass
        except OSError: pass
print('full', flush=True)
while process.descendants(runner.pid):
    time.sleep(0.02)
time.sleep(1.5)  # longer than it rests between two attempts
waits = runner.poll() is None and rundir.is_running(folder) and rundir.read_result(folder) is None
(folder / 'ballast').unlink()
code = runner.wait(60)
print(json.dumps({
    'waits': waits, 'code': code, 'result': json.loads((folder / 'result.json').read_text()),
    'log': (folder / 'run.log').read_text(), 'moments': len(rundir.read_progress(folder)[0]),
}))
"""
SLOW = script("").replace("    reached('training')", "    time.sleep(0.01)")
LOUD = "for n in range(2000): print('line', n, 'x' * 80)\n"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap makes the small disk")
@pytest.mark.parametrize(
    ("before", "after", "outcome", "cause"),
    [
        ("", LOUD, Outcome.OK, Cause.NONE),
        # What it could not write may be why it fails.
        (f"{LOUD}raise OSError('No space left on device')\n", "", Outcome.VOID, Cause.DISK_FULL),
    ],
    ids=["scored", "failed"],
)
def test_on_a_full_disk_a_result_waits_for_room(
    tiny_spec: ExperimentSpec,
    tmp_path: Path,
    before: str,
    after: str,
    outcome: Outcome,
    cause: Cause,
) -> None:
    source = SLOW.replace("evaluate_bpb(Model()", f"{before}evaluate_bpb(Model()") + after
    asked, small = tmp_path / "asked", tmp_path / "small"
    asked.mkdir()
    small.mkdir()
    rundir.write_spec(asked, replace(tiny_spec, source=source))
    line = ["bwrap", "--dev-bind", "/", "/", "--size", str(900 << 10), "--tmpfs", str(small)]
    line += [sys.executable, "-c", CROWDED, str(small), str(asked)]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=120, env=process.own_env(), check=False
    )
    if "bwrap:" in done.stderr:
        pytest.skip("bubblewrap cannot make a small disk here")
    full, _, told = done.stdout.partition("\n")
    assert full == "full", done.stderr
    facts = json.loads(told)
    result = Result.from_json(facts["result"])
    assert (facts["waits"], facts["code"]) == (True, 0)
    assert (result.outcome, result.cause) == (outcome, cause)
    assert (result.val_bpb is not None) == (outcome is Outcome.OK)
    # The end of the log is in the result; the file has what there was room for while the script ran.
    assert re.findall(r"line (\d+) ", result.log_tail)[-1] == "1999"
    there = re.findall(r"line (\d+) ", facts["log"])
    assert there == [str(n) for n in range(len(there))]
    assert facts["moments"] >= 2


def test_a_log_on_a_full_disk_catches_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = BoundedLog(tmp_path / "run.log"), os.pwrite

    def half(descriptor: int, data: memoryview, at: int) -> int:
        if at >= 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: 4 - at], at)

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", half)
        log.feed(b"one\ntwo\n")
        log.flush()
        assert (tmp_path / "run.log").read_text() == "one\n"
        assert log.text() == "one\ntwo\n"
    log.close()
    assert (tmp_path / "run.log").read_text() == "one\ntwo\n"


def test_a_damaged_or_missing_kernel_cache_is_only_slower(run: Run, tmp_path: Path) -> None:
    """Its folder may be deleted at any time, or be something else altogether."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "compile").write_text("this is no folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_CACHE", str(cache))
        assert run("print('came through')", cache="write").reason.startswith("The script ended")
    root = tmp_path / "kernels"
    loan = compilecache.borrow(root, "source", tmp_path / "mine", trusted=False)
    (loan.folder / "kernel").write_text("new")
    shutil.rmtree(root)
    loan.keep()
    assert compilecache.borrow(root, "source", tmp_path / "again", trusted=False).warm
    (root / "new-left-by-a-killed-runner").mkdir()
    compilecache.borrow(root, "source", tmp_path / "later", trusted=False)
    assert not list(root.glob("new-*"))


KEEPING = """
import sys
from pathlib import Path
from harness import compilecache
folder = Path(sys.argv[1])
loan = compilecache.borrow(folder / 'root', 'source', folder / sys.argv[2], trusted=False)
(loan.folder / 'kernel').write_text('whole')
loan.keep()
"""


@pytest.mark.parametrize("point", ["compilecache.before-keep", "compilecache.before-layer"])
def test_who_is_killed_while_kernels_are_kept_leaves_none_or_all(
    tmp_path: Path, point: str
) -> None:
    line = [sys.executable, "-c", KEEPING, str(tmp_path)]
    killed = subprocess.run(
        [*line, "first"], env=process.own_env(AUTORESEARCH_CRASH=point), check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("root/layers/*"))
    assert subprocess.run([*line, "second"], env=process.own_env(), check=False).returncode == 0
    assert [path.read_text() for path in tmp_path.glob("root/layers/*/kernel")] == ["whole"]
    assert not list(tmp_path.glob("root/new-*"))
