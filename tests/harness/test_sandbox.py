"""The cell holds when it is attacked, and says so truthfully when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import sandbox
from harness.sandbox import Mount
from harness.spec import HarnessError

needs_bubblewrap = pytest.mark.skipif(
    sandbox.probe().level != "bubblewrap", reason=f"no bubblewrap here: {sandbox.probe().advice}"
)


def inside(code: str, *mounts: Mount, **environment: str) -> str:
    line = sandbox.command(
        "bubblewrap", [sys.executable, "-c", code], mounts=mounts, environment=environment
    )
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


def test_the_self_test_is_consistent() -> None:
    report = sandbox.probe()
    assert report.level == report.available[0]
    assert report.available[-1] == "process"
    if report.level == "bubblewrap":
        assert len(report.checks) >= 10
        assert all(check.ok for check in report.checks)
        assert not report.advice
    else:
        assert report.advice


def test_without_bubblewrap_it_says_how_to_get_it() -> None:
    code = "from harness.sandbox import probe; r = probe(); print(r.level, '|', r.advice)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": "/nonexistent"}, capture_output=True, text=True
    )
    assert done.stdout.startswith("process | bubblewrap is not installed; `apt install bubblewrap`")


def test_a_bubblewrap_that_does_not_start_is_explained(tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    code = "from harness.sandbox import probe; r = probe(); print(r.level, '|', r.advice)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stdout.startswith("process | ")
    assert "No permissions to create new namespace" in done.stdout
    assert "seccomp" in done.stdout


def test_unknown_levels_are_refused_by_name() -> None:
    with pytest.raises(HarnessError, match="bubblewrap, process"):
        sandbox.command("docker", ["true"])


def test_the_plain_level_is_the_command_itself() -> None:
    assert sandbox.command("process", ["true"], gpu=True) == ["true"]
    assert Mount(Path("/a"), "/b").seen("process") == "/a"
    assert Mount(Path("/a"), "/b").seen("bubblewrap") == "/b"


@needs_bubblewrap
def test_inside_there_is_what_was_mounted_and_nothing_else(tmp_path: Path) -> None:
    shown, hidden = tmp_path / "shown", tmp_path / "hidden"
    shown.write_text("hello")
    hidden.write_text("secret")
    code = f"""
import os, json
print(json.dumps([open('/data/shown').read(), os.path.exists({str(hidden)!r}), os.getcwd(),
                  sorted(os.environ), os.getuid(), sorted(os.listdir('/job'))]))
"""
    text, leaked, cwd, names, uid, job = json.loads(
        inside(code, Mount(shown, "/data/shown"), GIVEN="1")
    )
    assert (text, leaked, cwd, uid, job) == ("hello", False, "/job", 1000, [])
    assert set(names) <= {"GIVEN", "PWD", "LC_CTYPE"}


@needs_bubblewrap
def test_only_writable_mounts_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    code = """
from pathlib import Path
Path('/cache/made').write_text('x'); Path('/tmp/made').write_text('x'); Path('made').write_text('x')
try: Path('/data/made').write_text('x')
except OSError as fault: print(fault.strerror)
"""
    mounts = Mount(tmp_path / "cache", "/cache", writable=True), Mount(tmp_path, "/data")
    assert inside(code, *mounts) == "Read-only file system\n"
    assert [path.name for path in tmp_path.rglob("*")] == ["cache", "made"]


@needs_bubblewrap
def test_our_environment_does_not_shine_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    code = "import os; print(dict(os.environ), open('/proc/1/environ').read())"
    assert "sk-secret" not in inside(code)


@needs_bubblewrap
def test_torch_can_be_imported_inside() -> None:
    assert inside("import importlib.util as u; print(bool(u.find_spec('torch')))") == "True\n"


@needs_bubblewrap
def test_descriptors_pass_and_the_status_pipe_does_not() -> None:
    read, write = os.pipe()
    status, status_end = os.pipe()
    line = sandbox.command(
        "bubblewrap",
        [
            sys.executable,
            "-c",
            f"import os; os.write({write}, b'hi'); os.write({status_end}, b'forged')",
        ],
        status_fd=status_end,
    )
    done = subprocess.run(line, pass_fds=(write, status_end), capture_output=True, text=True)
    for descriptor in (write, status_end):
        os.close(descriptor)
    with os.fdopen(read) as ours, os.fdopen(status) as told:
        assert ours.read() == "hi"
        said = told.read()
    assert "Bad file descriptor" in done.stderr
    assert "forged" not in said
    assert '"exit-code": 1' in said


@needs_bubblewrap
def test_bubblewrap_tells_no_exit_code_of_what_it_never_started() -> None:
    status, status_end = os.pipe()
    line = sandbox.command("bubblewrap", ["/no/such/program"], status_fd=status_end)
    done = subprocess.run(line, pass_fds=(status_end,), capture_output=True, text=True)
    os.close(status_end)
    with os.fdopen(status) as told:
        assert "exit-code" not in told.read()
    assert done.returncode == 1
