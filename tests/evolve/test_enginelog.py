"""engine.log: no line is lost by its rotation, whoever writes and whoever reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from evolve.enginelog import KEPT, EngineLog, Tail, lines, open_to_append, rotate

# Writes numbered lines to its stdout, and tends the log before each, as an engine does; a child writes to the same file.
WRITER = """
import subprocess, sys
from pathlib import Path
from evolve.enginelog import EngineLog
log = EngineLog(Path(sys.argv[1]), limit=1500)
for number in range(int(sys.argv[2])):
    log.tend()
    print(f"line {number}", flush=True)
    if number % 50 == 0:
        print(f"error {number}", file=sys.stderr, flush=True)
"""


def write(path: Path, count: int) -> subprocess.Popen[bytes]:
    descriptor = open_to_append(path)
    try:
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(count)],
            stdout=descriptor,
            stderr=descriptor,
        )
    finally:
        os.close(descriptor)


def test_a_full_log_is_put_away_and_no_line_is_lost_or_torn(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    assert write(path, 600).wait(30) == 0
    found = lines(path)
    assert [line for line in found if line.startswith("line")] == [f"line {n}" for n in range(600)]
    assert [line for line in found if line.startswith("error")] == [f"error {n}" for n in range(0, 600, 50)]  # fmt: skip
    assert len(list(tmp_path.iterdir())) == KEPT + 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_only_so_much_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    assert write(path, 3000).wait(30) == 0
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1600 * (KEPT + 1)
    assert lines(path, 2) == ["line 2998", "line 2999"]


def test_following_goes_on_through_rotations(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_text("old\n")
    with Tail(path) as tail:
        assert list(tail.more()) == ["old"]
        writer = write(path, 600)  # faster than anybody reads: several rotations between two looks
        seen: list[str] = []
        while writer.poll() is None:
            seen += tail.more()
        seen += tail.more()
    assert [line for line in seen if line.startswith("line")] == [f"line {n}" for n in range(600)]


def test_a_line_without_its_end_waits_for_it(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    with Tail(path) as tail:
        assert list(tail.more()) == []  # there is none yet
        path.write_text("whole\nhal")
        assert list(tail.more()) == ["whole"]
        with path.open("a") as file:
            file.write("f\n")
        rotate(path)
        path.write_bytes(b"n\xffw\n")
        assert list(tail.more()) == ["half", "n\ufffdw"]


def test_output_that_is_not_the_log_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_text("x" * 100)
    log = EngineLog(path, limit=10)
    log.tend()
    assert not log.ours
    assert [file.name for file in tmp_path.iterdir()] == ["engine.log"]
