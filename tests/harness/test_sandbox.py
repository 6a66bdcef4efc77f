"""Every cell holds when it is attacked, and says so truthfully when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import landlock, sandbox
from harness.sandbox import Mount
from harness.spec import HarnessError

CELLS = [
    pytest.param(
        level,
        marks=pytest.mark.skipif(level not in sandbox.probe().available, reason=f"no {level} here"),
    )
    for level in ("bubblewrap", "landlock")
]
needs_bubblewrap = pytest.mark.skipif(
    sandbox.probe().level != "bubblewrap", reason=f"no bubblewrap here: {sandbox.probe().advice}"
)
needs_landlock = pytest.mark.skipif(
    "landlock" not in sandbox.probe().available, reason="no Landlock here"
)
# What a guardian may find: no namespaces, some, or all; and whether Landlock itself stops signals.
SPACES = [
    pytest.param(
        words[0],
        ours,
        marks=pytest.mark.skipif(
            landlock.spaces() not in words or (ours and not landlock.scopes_signals()),
            reason="the kernel grants less",
        ),
    )
    for words in (("none", "some", "all"), ("some", "all"), ("all",))
    for ours in (False, True)
]


def inside(level: str, code: str, folder: Path, *mounts: Mount, **environment: str) -> str:
    """What a Python in a cell prints, errors too."""
    argv = [sys.executable, "-c", code]
    with sandbox.command(
        level, argv, folder=folder, mounts=mounts, environment=environment
    ) as cell:
        done = subprocess.run(
            cell.argv,
            env={**os.environ, **cell.environment} if level == "bubblewrap" else cell.environment,
            pass_fds=cell.descriptors,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    return done.stdout + done.stderr


# ---- the self-test ---------------------------------------------------------------------------------------


def test_the_self_test_is_consistent() -> None:
    report = sandbox.probe()
    assert report.level == report.available[0]
    assert report.available[-1] == "process"
    assert list(report.available) == [x for x in sandbox.LEVELS if x in report.available]
    if report.level != "process":
        assert len(report.checks) >= 30
        assert all(check.ok for check in report.checks)
    assert bool(report.advice) == (report.level != "bubblewrap")


def test_without_a_cell_the_attack_gets_hold_of_everything() -> None:
    """So a check that holds is the cell's doing."""
    broken = {check.name for check in sandbox.attack("process") if not check.ok}
    assert broken >= {
        *("validation data unreadable", "mounts read-only", "file modes unchangeable"),
        *("network blocked", "no datagrams", "no sockets of the host"),
        *("no abstract sockets of the host", "environment of others hidden"),
        *("no signals to others", "memory of others unreadable", "no tracing", "no keystrokes"),
        *("no pidfd_getfd", "no process_madvise"),
    }  # the rest depends on who we are, and on how strict this kernel is anyway


@needs_landlock
@pytest.mark.parametrize(("spaces", "scoped"), SPACES)
def test_landlock_holds_with_and_without_namespaces(
    spaces: str, scoped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "spaces", lambda: spaces)
    monkeypatch.setattr(landlock, "scopes_signals", lambda: scoped)
    assert [check for check in sandbox.attack("landlock") if not check.ok] == []


def report_with(path: str) -> str:
    code = "from harness.sandbox import probe; r = probe(); print(r.level, '|', r.advice)"
    return subprocess.run(
        [sys.executable, "-c", code], env={"PATH": path}, capture_output=True, text=True, check=True
    ).stdout


def test_without_bubblewrap_it_says_how_to_get_it() -> None:
    level, advice = report_with("/nonexistent").split(" | ", 1)
    assert level == ("landlock" if "landlock" in sandbox.probe().available else "process")
    assert advice.startswith("bubblewrap is not installed; `apt install bubblewrap`")


def test_a_bubblewrap_that_does_not_start_is_explained(tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    said = report_with(f"{tmp_path}:{os.defpath}")
    assert not said.startswith("bubblewrap")
    assert "No permissions to create new namespace" in said
    assert "seccomp=unconfined" in said


@needs_landlock
def test_a_bubblewrap_that_lets_something_through_is_passed_over(tmp_path: Path) -> None:
    leaky = tmp_path / "bwrap"
    leaky.write_text(
        '#!/bin/sh\nif [ "$1" = --help ]; then exit; fi\n'
        'while [ "$1" != -- ]; do [ "$3" = /data/attack.py ] && it=$2; shift; done\n'
        'shift; exec "$1" "$2" "$3" "$it" "$5"\n'
    )
    leaky.chmod(0o755)
    said = report_with(f"{tmp_path}:{os.defpath}")
    assert said.startswith("landlock | bubblewrap starts, but does not hold (validation data")


# ---- what is seen from inside ----------------------------------------------------------------------------


def test_unknown_levels_are_refused_by_name(tmp_path: Path) -> None:
    with (
        pytest.raises(HarnessError, match="bubblewrap, landlock, process"),
        sandbox.command("docker", ["true"], folder=tmp_path),
    ):
        pass


def test_the_plain_level_is_the_command_under_a_guardian(tmp_path: Path) -> None:
    with sandbox.command(
        "process", ["true"], folder=tmp_path, environment={"A": "1"}, gpu=True
    ) as cell:
        assert (cell.environment, cell.descriptors) == ({"A": "1"}, ())
        assert cell.argv[-1] == "true"
        assert subprocess.run(cell.argv, env=cell.environment, check=False).returncode == 0
    assert Mount(Path("/a"), "/b").seen("process") == "/a"
    assert Mount(Path("/a"), "/b").seen("landlock") == "/a"
    assert Mount(Path("/a"), "/b").seen("bubblewrap") == "/b"


@pytest.mark.parametrize("level", CELLS)
def test_inside_there_is_what_was_mounted_and_nothing_else(level: str, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    shown, hidden = tmp_path / "shown", tmp_path / "hidden"
    shown.write_text("hello")
    hidden.write_text("secret")
    mount = Mount(shown, "/data/shown")
    code = f"""
import os, json
def get(path):
    try: return open(path).read()
    except OSError: return None
print(json.dumps([get({mount.seen(level)!r}), get({str(hidden)!r}), os.getcwd(), sorted(os.environ),
                  sorted(os.listdir('.'))]))
"""
    text, leaked, cwd, names, job = json.loads(
        inside(level, code, tmp_path / "job", mount, GIVEN="1")
    )
    assert (text, leaked, job) == ("hello", None, [])
    assert cwd == ("/job" if level == "bubblewrap" else str(tmp_path / "job"))
    assert set(names) - {"TORCHINDUCTOR_COMPILE_THREADS"} <= {"GIVEN", "PWD", "LC_CTYPE"}


@pytest.mark.parametrize("level", CELLS)
def test_a_part_of_the_interpreter_can_be_covered(level: str, tmp_path: Path) -> None:
    """So is a package that holds the validation text."""
    packages = Path(pytest.__file__).parents[1]
    (tmp_path / "nothing").mkdir()
    (tmp_path / "job").mkdir()
    cover = Mount(tmp_path / "nothing", str(packages / "_pytest"))
    code = f"""
def size(path):
    try: return len(open(path).read()) > 0
    except OSError: return None
print(size({str(packages / "_pytest" / "fixtures.py")!r}), size({str(packages / "pytest" / "__init__.py")!r}))
import numpy.linalg, sqlite3, json.decoder
"""
    assert inside(level, code, tmp_path / "job", cover) == "None True\n"
    assert inside(level, code, tmp_path / "job") == "True True\n"


@pytest.mark.parametrize("level", CELLS)
def test_only_writable_mounts_and_the_working_folder_can_be_written(
    level: str, tmp_path: Path
) -> None:
    for name in ("cache", "data", "job"):
        (tmp_path / name).mkdir()
    cache = Mount(tmp_path / "cache", "/cache", writable=True)
    data = Mount(tmp_path / "data", "/data")
    code = f"""
from pathlib import Path
Path({cache.seen(level)!r}, 'made').write_text('x')
Path({cache.seen(level)!r}, 'made').rename(Path({cache.seen(level)!r}, 'moved'))
Path('made').write_text('x')
Path('folder').mkdir()
with open('/dev/null', 'w') as nowhere: nowhere.write('x')
for path in ({data.seen(level)!r}, '/usr'):
    try: Path(path, 'made').write_text('x')
    except OSError: print('refused')
"""
    assert inside(level, code, tmp_path / "job", cache, data) == "refused\n" * 2
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    own = set() if level == "bubblewrap" else {"job/made", "job/folder"}
    assert made == {"cache", "data", "job", "cache/moved"} | own


@pytest.mark.parametrize("level", CELLS)
def test_our_environment_does_not_shine_through(
    level: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    code = """
import os, glob
print(dict(os.environ))
for path in glob.glob('/proc/[0-9]*/environ'):
    try: print(open(path).read())
    except OSError: pass
"""
    assert "sk-secret" not in inside(level, code, tmp_path)


@pytest.mark.parametrize("level", CELLS)
def test_what_a_training_needs_is_there(level: str, tmp_path: Path) -> None:
    code = """
import importlib.util, os, subprocess, sys, multiprocessing, tempfile, socket
assert importlib.util.find_spec('torch')
left, right = socket.socketpair()
left.send(b'x')
memory = os.memfd_create('m')
os.ftruncate(memory, 1 << 20)
with tempfile.TemporaryFile() as file: file.write(b'x')
subprocess.run([sys.executable, '-c', 'pass'], check=True)
print(multiprocessing.get_context('fork').Pool(2).map(abs, [-1, -2])) if os.access('/dev/shm', os.W_OK) else None
print(len(open('/proc/self/maps').read()) > 100, 'MemTotal' in open('/proc/meminfo').read())
"""
    said = inside(level, code, tmp_path, TMPDIR="/tmp" if level == "bubblewrap" else str(tmp_path))
    assert said.endswith("True True\n")
    if level == "bubblewrap" or landlock.spaces() != "none":
        assert said.startswith("[1, 2]\n")


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("level", CELLS)
def test_torch_compiles_inside(level: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    mount = Mount(cache, "/compile", writable=True)
    code = "import torch; print(torch.compile(lambda x: (2 * x).sin().sum())(torch.zeros(1000)))"
    said = inside(
        level,
        code,
        tmp_path,
        mount,
        PATH=os.defpath,
        TORCHINDUCTOR_CACHE_DIR=mount.seen(level),
        TMPDIR="/tmp" if level == "bubblewrap" else str(tmp_path),
    )
    assert said.endswith("tensor(0.)\n"), said
    assert list(cache.rglob("*.so"))


# ---- descriptors, and what is told -----------------------------------------------------------------------


@pytest.mark.parametrize("level", CELLS)
def test_descriptors_pass_and_the_status_pipe_does_not(level: str, tmp_path: Path) -> None:
    read, write = os.pipe()
    status, status_end = os.pipe()
    code = f"import os; os.write({write}, b'hi'); os.write({status_end}, b'forged')"
    with sandbox.command(
        level, [sys.executable, "-c", code], folder=tmp_path, status_fd=status_end
    ) as cell:
        done = subprocess.run(
            cell.argv, pass_fds=(write, *cell.descriptors), capture_output=True, text=True
        )
    for descriptor in (write, status_end):
        os.close(descriptor)
    with os.fdopen(read) as ours, os.fdopen(status) as told:
        assert ours.read() == "hi"
        said = told.read()
    assert "Bad file descriptor" in done.stderr
    assert "forged" not in said
    assert '"exit-code": 1' in said


@pytest.mark.parametrize("level", CELLS)
def test_no_exit_code_is_told_of_what_never_started(level: str, tmp_path: Path) -> None:
    status, status_end = os.pipe()
    with sandbox.command(
        level, ["/no/such/program"], folder=tmp_path, status_fd=status_end
    ) as cell:
        done = subprocess.run(cell.argv, pass_fds=cell.descriptors, capture_output=True, text=True)
    os.close(status_end)
    with os.fdopen(status) as told:
        assert "exit-code" not in told.read()
    assert done.returncode == 1
    assert "No such file" in done.stderr
