"""The guardian of a Landlock cell: it tells how its candidate ended, and nothing outlives either of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import landlock, sandbox

pytestmark = pytest.mark.skipif(
    "landlock" not in sandbox.probe().available, reason="no Landlock here"
)
SPACES = [
    pytest.param(
        words[0],
        marks=pytest.mark.skipif(landlock.spaces() not in words, reason="no such namespaces here"),
    )
    for words in (("none", "some", "all"), ("some", "all"), ("all",))
]
# A daemon that has fled twice and ignores what can be ignored; both hold the pipe open.
FLEES = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
    print('daemon', flush=True)
    while True: time.sleep(60)
"""


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-I", "-S", "-c", code]
    with sandbox.command("landlock", argv, folder=folder) as cell:
        return subprocess.Popen(
            cell.argv,
            env=cell.environment,
            pass_fds=cell.descriptors,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(params=SPACES)
def spaces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the guardian may open."""
    monkeypatch.setattr(landlock, "spaces", lambda: request.param)
    return str(request.param)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", 0),
        ("raise SystemExit(7)", 7),
        ("import os; os.abort()", 128 + signal.SIGABRT),
        ("import os; os.kill(os.getpid(), 9)", 128 + signal.SIGKILL),
    ],
)
def test_it_passes_on_how_the_candidate_ended(
    spaces: str, code: str, expected: int, tmp_path: Path
) -> None:
    child = start(code, tmp_path)
    assert child.communicate(timeout=30)[0] == ""
    assert child.returncode == expected


def test_nothing_survives_the_candidate(spaces: str, tmp_path: Path) -> None:
    child = start(FLEES + "time.sleep(0.3)", tmp_path)
    # Returns only once nobody holds the other end of the pipe.
    assert child.communicate(timeout=30)[0] == "daemon\n"
    assert child.returncode == 0


@pytest.mark.parametrize("killed", ["guardian", "runner"])
def test_nothing_survives_a_guardian_whose_runner_is_killed(
    spaces: str, killed: str, tmp_path: Path
) -> None:
    """The runner dies without a word, and so may, in namespaces, the guardian itself."""
    if killed == "guardian" and spaces == "none":
        pytest.skip("then the runner is there to sweep; see test_containment")
    runner = f"""
import os, signal, sys, time
from pathlib import Path
from harness import landlock, sandbox
from harness.process import Supervised
landlock.spaces = lambda: {spaces!r}
argv = [sys.executable, "-I", "-S", "-c", {FLEES + "time.sleep(60)"!r}]
with sandbox.command("landlock", argv, folder=Path({str(tmp_path)!r})) as cell:
    child = Supervised(cell.argv, env=cell.environment, cwd=Path("/"), output=1, pass_fds=cell.descriptors)
print(child.pid, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", runner], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    said = {process.stdout.readline().strip() for _ in range(2)}
    assert "daemon" in said
    guardian = int((said - {"daemon"}).pop())
    begun = time.monotonic()
    os.kill(process.pid if killed == "runner" else guardian, signal.SIGKILL)
    if killed == "guardian":
        process.kill()  # it would sleep on; the daemon must be gone without it
    assert process.stdout.read() == ""  # the end of the pipe, which the daemon held
    assert time.monotonic() - begun < 10
    process.wait()
    process.stdout.close()


def test_a_cell_that_cannot_be_built_starts_nothing(tmp_path: Path) -> None:
    missing = tmp_path / "gone"
    child = start("print('started')", missing)
    said = child.communicate(timeout=30)[0]
    assert said.startswith("The Landlock cell could not be built: ")
    assert "started" not in said
    assert child.returncode == 1


def test_a_broken_filter_starts_nothing(tmp_path: Path) -> None:
    """Neither does a kernel that refuses the filter: the candidate never runs with less than was asked."""
    handle = os.memfd_create("filter")
    os.write(handle, b"\xff" * 16)
    os.lseek(handle, 0, os.SEEK_SET)
    job = {
        "cell": True,
        "read": ["/usr", "/lib", "/lib64", "/bin"],
        "hidden": [],
        "write": [],
        "devices": [],
        "folder": "/",
        "filter": handle,
        "spaces": "none",
        "gpu": False,
        "status": None,
    }
    done = subprocess.run(
        landlock.command(job, ["/bin/echo", "started"]),
        pass_fds=(handle,),
        capture_output=True,
        text=True,
        timeout=30,
    )
    os.close(handle)
    assert done.stdout == ""
    assert "could not be built: [Errno 22] prctl" in done.stderr
