"""A real engine on a disk that is filled to the last byte, at one crash point after the other; a program of its own.

`python -m tests.evolve.small_disk FOLDER` runs in a mount namespace whose FOLDER is a small tmpfs with everything in it
that a run writes: workspace, cache, temporary files. Each crash point fills the disk once, on its first passage; a
second thread sees that the engine says what it waits for, frees the disk, and so on. Trainings only sleep. At the end
one line of JSON on stdout says what was seen.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from evolve import serving, weather
from evolve.client import Client
from evolve.lock import holder
from evolve.model import EvolveError
from evolve.workspace import create
from harness import crashpoints
from tests.evolve.slots import ShortSlot, overrides

WAITING = 20.0  # seconds in which an engine must say that it waits


class Filler:
    """Stands in for the fuse of the crash points: equal to every name, and fills the disk where a fuse would burn."""

    def __init__(self, folder: Path) -> None:
        self.full: list[str] = []  # points at which the disk was filled, in order
        self.armed = threading.Event()
        self._file, self._passed = folder / "filler", ""

    @property
    def name(self) -> Filler:
        return self

    def __eq__(self, name: object) -> bool:
        self._passed = str(name)
        return self.armed.is_set() and str(name) not in self.full

    __hash__ = object.__hash__

    def burn(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.full.append(self._passed)
            self.fill()

    def fill(self) -> None:
        with self._file.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        self._file.unlink(missing_ok=True)

    @property
    def is_full(self) -> bool:
        return self._file.exists()


class Onlooker(threading.Thread):
    """Frees the disk when the engine has said that it waits; asks it to stop when every point was passed."""

    def __init__(self, workspace: Path, filler: Filler, trainings: int) -> None:
        super().__init__(daemon=True)
        self.workspace, self.filler, self.trainings = workspace, filler, trainings
        self.said: list[str] = []
        self.refused = self.fault = ""
        self.seen: list[tuple[int, str]] = []  # events that a client was shown: acknowledged facts

    def run(self) -> None:
        try:
            self._watch()
        except (EvolveError, AssertionError) as error:
            self.fault = repr(error)
            self.filler.free()
            os.kill(os.getpid(), 15)

    def _watch(self) -> None:
        client = Client(self.workspace)
        while client.snapshot().incumbent is None:
            time.sleep(0.05)
        script = (self.workspace / "trainer" / "train.py").read_text()
        better = script + "\n".join(f"BETTER_{n} = {n}" for n in range(6))
        self.filler.armed.set()
        number = client.send("inject", {"source": better, "title": "mine"}, "a tester")
        while True:
            if self.filler.is_full:
                self._wait(client)
            last = self.seen[-1][0] if self.seen else 0
            self.seen += [(event.id, event.text) for event in client.events(last, 100_000)]
            promoted = client.snapshot().promotions
            if promoted and client.snapshot().experiments >= self.trainings:
                self.filler.armed.clear()
                if not self.filler.is_full:
                    break
            time.sleep(0.02)
        assert client.wait_for(number, 1) is not None, "the request has no answer"
        client.wait_for(client.send("stop", {}, "a tester"), 30)

    def _wait(self, client: Client) -> None:
        deadline = time.monotonic() + WAITING
        lock = self.workspace / ".autoresearch" / "engine.lock"
        while True:
            found = holder(lock)
            assert found is not None, "the engine let go of its lock"
            assert found.alive, "the engine is gone"
            if found.waits.startswith("room on the disk"):
                break
            assert time.monotonic() < deadline, f"{self.filler.full[-1]}: {found.waits}"
            time.sleep(0.01)
        self.said.append(found.waits)
        assert client.snapshot().engine.state == "running"  # a full disk is no reason not to look
        if not self.refused:
            try:
                client.send("pause", {}, "a tester")
            except EvolveError as error:
                self.refused = str(error)
        self.filler.free()


def main(folder: Path) -> None:
    for variable, name in (("TMPDIR", "tmp"), ("AUTORESEARCH_CACHE", "cache")):
        (folder / name).mkdir()
        os.environ[variable] = str(folder / name)
    tempfile.tempdir = None
    weather.LOOK, serving.HASTE = 0.05, 0.0
    workspace = folder / "work"
    create(workspace)
    filler = Filler(folder)
    onlooker = Onlooker(workspace, filler, trainings=int(sys.argv[2]))
    crashpoints._FUSE = filler  # type: ignore[assignment]
    onlooker.start()
    code = serving.serve(
        workspace, overrides=overrides(folder), allow_weak_sandbox=True, slot=ShortSlot()
    )
    filler.armed.clear()
    onlooker.join(30)
    client = Client(workspace)
    events = {event.id: event.text for event in client.events(0, 100_000)}
    snapshot = client.snapshot()
    with sqlite3.connect(workspace / ".autoresearch" / "journal.db") as db:
        whole = db.execute("PRAGMA integrity_check").fetchone()[0]
    fsck = subprocess.run(
        ["git", "-C", str(workspace), "fsck", "--strict", "--no-dangling"],
        capture_output=True,
        text=True,
    )
    assert snapshot.run is not None
    report = {
        "code": code,
        "points": filler.full,
        "said": onlooker.said,
        "refused": onlooker.refused,
        "fault": onlooker.fault,
        "told": [text for text in events.values() if text.startswith("The disk was full")],
        "lost": [text for number, text in onlooker.seen if events.get(number) != text],
        "seen": len(onlooker.seen),
        "state": snapshot.run.state,
        "promotions": snapshot.promotions,
        "journal": whole,
        "fsck": [fsck.returncode, fsck.stdout + fsck.stderr],
        "table": (workspace / "results.tsv").read_text(),
        "candidates": [c.commit[:7] for c in client.candidates() if c.verdict],
        "main": _git(workspace, "rev-parse", "main^{tree}"),
        "incumbent": _git(workspace, "rev-parse", f"{snapshot.incumbent.commit}^{{tree}}"),
    }
    print(json.dumps(report))


def _git(workspace: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(workspace), *words], capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
