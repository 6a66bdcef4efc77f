"""A real `autoresearch run` with a canary for a key: no child, no process table and no file ever shows it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from evolve.credentials import Credentials
from evolve.workspace import create
from harness import ptree
from tests.evolve.fake_anthropic import Answer, FakeAnthropic, Fault
from tests.evolve.slots import overrides
from tests.evolve.test_paid_answers import change

KEY = "sk-ant-api03-canary-of-the-process-table-0123456789"
TOKEN = "hf_canary0123456789abcdef"
GIT = """#!/bin/sh
printf '%s\\0' "$@" >> "$AUTORESEARCH_SEEN"
printf '\\n' >> "$AUTORESEARCH_SEEN"
exec {git} "$@"
"""


def test_what_was_taken_is_known_and_is_in_the_environment_no_more() -> None:
    given = {"ANTHROPIC_API_KEY": KEY, "MINE": "odd", "HF_TOKEN": TOKEN, "PATH": "/bin"}
    given |= {"HTTPS_PROXY": "http://me:secret@proxy:1", "ANTHROPIC_BASE_URL": "http://here"}
    credentials = Credentials(given)
    assert credentials.get("MINE") == "odd"  # a name of the user's own choosing
    assert "MINE" not in given
    credentials.withdraw()
    assert credentials.get("ANTHROPIC_API_KEY") == credentials.get("ANTHROPIC_API_KEY") == KEY
    assert credentials.get("NOTHING") is None
    # What the client itself looks up at each call stays, for it alone.
    assert set(given) == {"PATH", "HTTPS_PROXY", "ANTHROPIC_BASE_URL"}
    assert KEY not in repr(credentials)


class Sampler(threading.Thread):
    """Looks into the environment and the command line of every process below one, again and again, as root may."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.over = root, threading.Event()
        self.seen: dict[int, str] = {}  # pid -> its command line
        self.leaks: set[str] = set()

    def run(self) -> None:
        while not self.over.wait(0.01):
            for pid in [self.root, *ptree.below(self.root)]:
                with suppress(OSError):
                    line = Path(f"/proc/{pid}/cmdline").read_bytes()
                    shown = Path(f"/proc/{pid}/environ").read_bytes() + line
                    self.seen[pid] = line.replace(b"\0", b" ").decode(errors="replace")
                    # The keeper hands its keys to the engine, which takes them in at its start; the data may need the
                    # hub's token.
                    engine = "run --headless" in self.seen[pid]
                    apart = "harness.apart" in self.seen[pid]
                    if not engine and KEY.encode() in shown:
                        self.leaks.add(self.seen[pid])
                    if not engine and not apart and TOKEN.encode() in shown:
                        self.leaks.add(self.seen[pid])


@pytest.mark.e2e
@pytest.mark.timeout(150)
def test_the_key_is_in_no_process_and_no_hostile_word_in_an_argument(tmp_path: Path) -> None:
    workspace, tools, seen = tmp_path / "work", tmp_path / "bin", tmp_path / "argv"
    create(workspace)
    tools.mkdir()
    git = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout
    (tools / "git").write_text(GIT.format(git=git.strip()))
    (tools / "git").chmod(0o755)
    hostile = f"--upload-pack=/bin/sh $(touch {tmp_path}/x) ../../etc\x00\x1b[2J\u202e {KEY}"
    text = change(3).text
    settings = overrides(tmp_path, **{"llm.proposer": "claude", "stop.candidates": "9"})
    settings |= {"budget.tokens": "2000", "scratchpad.every": "0", "population.buffer": "3"}
    settings |= {"acceptance.baseline_repeats": "1", "vetting.smoke": "never"}
    line = [sys.executable, "-m", "tui", "-C", str(workspace), "run", "--headless"]
    line += ["--allow-weak-sandbox"]
    line += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    with FakeAnthropic() as server:
        server.plan += [
            Answer(text.replace("Title: Softer", f"Title: {hostile}")),
            Fault(529, "overloaded_error", f"busy; you said {KEY}", {"retry-after-ms": "10"}),
            Answer(text.replace("Category: architecture", f"Category: {hostile}")),
            *[change(number) for number in range(4, 40)],
        ]
        engine = subprocess.Popen(
            line,
            cwd=Path(__file__).resolve().parents[2],
            env=os.environ
            | {
                "ANTHROPIC_API_KEY": KEY,
                "HF_TOKEN": TOKEN,
                "ANTHROPIC_BASE_URL": server.url,
                "AUTORESEARCH_SEEN": str(seen),
                "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        sampler = Sampler(engine.pid)
        sampler.start()
        deadline = time.monotonic() + 100
        while engine.poll() is None and time.monotonic() < deadline:
            trained = any("harness.meter" in line for line in list(sampler.seen.values()))
            if trained and len(server.requests) >= 4:
                break
            time.sleep(0.05)
        at_work = next(pid for pid, line in sampler.seen.items() if "--kept" in line)
        shown = Path(f"/proc/{at_work}/environ").read_bytes()
        engine.send_signal(signal.SIGINT)
        said = engine.communicate(timeout=40)[0]
        sampler.over.set()
        sampler.join()
        assert engine.returncode == 130, said
        assert b"ANTHROPIC_API_KEY=" in shown  # the name, and nothing behind it
        assert not any(secret.encode() in shown for secret in (KEY, TOKEN))
        assert KEY in str([request.headers for request in server.requests])
    kinds = " ".join(sampler.seen.values())
    assert all(word in kinds for word in ("git", "harness.experiment", "harness.meter")), kinds
    assert not sampler.leaks
    argv = seen.read_bytes()
    assert argv.count(b"\n") > 20
    for word in (b"upload-pack", b"touch", b"../../etc", b"\x1b", "\u202e".encode(), KEY.encode()):
        assert word not in argv, word
    secrets = (KEY[:24].encode(), TOKEN.encode())
    for path in [seen, *workspace.rglob("*")]:
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in secrets), path
    told = [said]
    for words in (["status", "--json"], ["doctor"], ["results"], ["logs"]):
        done = subprocess.run(
            [sys.executable, "-m", "tui", "-C", str(workspace), *words],
            cwd=Path(__file__).resolve().parents[2],
            env=os.environ | {"ANTHROPIC_API_KEY": KEY, "HF_TOKEN": TOKEN},
            capture_output=True,
            text=True,
            check=False,
        )
        told.append(done.stdout + done.stderr)
    assert json.loads(told[1])
    assert not any(KEY[:24] in text or TOKEN in text for text in told)
    assert not (tmp_path / "x").exists()


OTHER = 65534
HOLDS = """
import os, sys, time
from evolve.credentials import own
credentials = own()
credentials.withdraw()
assert credentials.get("ANTHROPIC_API_KEY")
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become two processes of another user")
def test_no_process_of_the_same_user_can_look_into_an_engine(tmp_path: Path) -> None:
    """Run as nobody, where that user can reach our code: what a candidate without a sandbox could try."""
    as_nobody = ["setpriv", "--reuid", str(OTHER), "--clear-groups"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    can = subprocess.run(
        [*as_nobody, sys.executable, "-c", "import evolve.credentials"], env=env, check=False,
        capture_output=True,
    )  # fmt: skip
    if can.returncode:
        pytest.skip("another user cannot read this installation")
    with subprocess.Popen(
        [*as_nobody, sys.executable, "-c", HOLDS],
        env=env | {"ANTHROPIC_API_KEY": KEY},
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        for name in ("environ", "mem", "maps", "fd"):
            look = subprocess.run(
                [*as_nobody, "ls" if name == "fd" else "cat", f"/proc/{holder.pid}/{name}"],
                capture_output=True, check=False,
            )  # fmt: skip
            assert look.returncode != 0, name
            assert b"Permission denied" in look.stderr
        assert b"Max core file size        0 " in Path(f"/proc/{holder.pid}/limits").read_bytes()
        assert KEY.encode() not in Path(f"/proc/{holder.pid}/environ").read_bytes()
        holder.kill()
