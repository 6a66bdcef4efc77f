"""Processes end when they are told to, logs stay bounded, and text from a candidate is safe to show."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import process
from harness.boundedlog import LOG_HEAD, LOG_TAIL, BoundedLog
from harness.process import Supervised, clean

STUBBORN = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
print(os.getpid(), flush=True)
signal.pause()
"""


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("plain ünïcode 日本\tand\nlines", "plain ünïcode 日本\tand\nlines"),
        ("\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1H", "red "),
        ("\x1b]0;owned\x07title \x1b]52;c;ZXZpbA==\x1b\\clipboard", "title clipboard"),
        ("\x1bPdevice\x1b\\control \x9b31mC1", "control C1"),
        (
            "\u202ereversed\u2069 zero\u200bwidth \ufeff\u2028tag\U000e0041",
            "reversed zerowidth tag",
        ),
        ("bell\x07 back\x08space nul\x00 del\x7f", "bell backspace nul del"),
        ("one\rtwo\rthree\nfour\r\nfive", "three\nfour\nfive"),
        ("\rstep 1\rstep 2", "step 2"),
        ("half \ud800 surrogate", "half  surrogate"),
        ("\x1b[", ""),
    ],
)
def test_clean_leaves_only_what_can_be_read(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected


def test_clean_never_leaves_an_escape() -> None:
    every = "".join(chr(code) for code in range(0x3000)) * 2
    assert not set(clean(every)) & {
        chr(code) for code in (*range(9), *range(11, 32), *range(0x7F, 0xA0))
    }


def test_clean_takes_linear_time() -> None:
    for unit in ("a", "\r", "\x1b[", "\x1b]", "\x1b[0", "\x1bP", "\x9b", "\x1b]a"):
        clean(unit * 1_000_000)  # minutes, if it backtracked


def test_a_short_log_is_kept_whole_and_readable_while_it_grows(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "run.log")
    log.feed(b"first line\nsecond ")
    log.flush()
    assert (tmp_path / "run.log").read_text() == "first line\nsecond "
    log.feed(b"line\n")
    assert log.text() == "first line\nsecond line\n"
    log.close()


def test_live_lines_collapse_to_their_last_state(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "run.log")
    for step in range(1000):
        log.feed(f"\rstep {step:05d} | loss: 1.0".encode())
    log.feed(b"\n---\nval_bpb: 1\n")
    assert log.text() == "step 00999 | loss: 1.0\n---\nval_bpb: 1\n"
    log.close()


def test_a_flood_keeps_its_head_and_its_tail(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "run.log")
    line = b"x" * 99 + b"\n"
    log.feed(b"the beginning\n")
    for _ in range(100):
        log.feed(line * 1000)
    log.feed(b"the end\n")
    text = log.text()
    log.close()
    assert log.total > 9_000_000
    assert text.startswith("the beginning\n")
    assert text.endswith("the end\n")
    assert "bytes left out" in text
    assert LOG_HEAD + LOG_TAIL <= len(text) <= LOG_HEAD + LOG_TAIL + 110_000


def test_a_line_without_an_end_is_bounded_too(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "run.log")
    for _ in range(200):
        log.feed(b"y" * 50_000)
    assert len(log.text()) < LOG_HEAD + LOG_TAIL + 200_000
    log.close()


def start(code: str, tmp_path: Path, output: int | None = None) -> Supervised:
    with (tmp_path / "out").open("ab") as file:
        return Supervised(
            [sys.executable, "-c", code],
            env={"PATH": os.defpath},
            cwd=tmp_path,
            output=file.fileno() if output is None else output,
        )


def gone(pid: int, patience: float = 5.0) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], patience)[0])
    finally:
        os.close(handle)


def test_exit_codes_and_signals_are_told(tmp_path: Path) -> None:
    child = start("import sys; sys.exit(3)", tmp_path)
    assert child.exited(10)
    assert child.code == 3
    assert child.memory_mb > 1
    child.close()
    child = start("import os; os.abort()", tmp_path)
    assert child.exited(10)
    assert child.code == -signal.SIGABRT
    child.close()


def test_a_daemon_that_ignores_sigterm_is_swept_away(tmp_path: Path) -> None:
    before = set(process.descendants(os.getpid()))
    read, write = os.pipe()
    process.adopt_orphans(True)
    child = start(STUBBORN, tmp_path, write)
    os.close(write)
    with os.fdopen(read) as said:
        pids = [int(said.readline()), int(said.readline())]
        assert len(set(pids)) == 2
        child.kill()
        process.sweep(before)
        assert said.read() == ""  # nobody holds the pipe any more
    process.adopt_orphans(False)
    child.close()
    assert all(gone(pid, 0) for pid in pids)


def test_memory_counts_the_whole_tree(tmp_path: Path) -> None:
    code = """
import subprocess, sys
hold = "x = bytearray(50 << 20); print('ready', flush=True); input()"
children = [subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE) for _ in range(2)]
[child.wait() for child in children]
"""
    read, write = os.pipe()
    child = start(code, tmp_path, write)
    os.close(write)
    with os.fdopen(read) as said:
        assert [said.readline(), said.readline()] == ["ready\n"] * 2
        assert 100 < child.sample_memory() < 300
        child.kill()
    child.close()


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    parent = f"""
import os, sys
from pathlib import Path
from harness.process import Supervised
child = Supervised([sys.executable, "-c", "import signal; signal.pause()"], env={{}}, cwd=Path("/"), output=2)
print(child.pid, flush=True)
os.kill(os.getpid(), {signal.SIGKILL})
"""
    done = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == -signal.SIGKILL
    assert gone(int(done.stdout))


def test_secrets_stay_with_us(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "NVIDIA_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("NCCL_NVLS_ENABLE", "0")
    environment = process.machine_env()
    assert "secret" not in environment.values()
    assert environment["NCCL_NVLS_ENABLE"] == "0"
