"""Temporary folders of killed processes go at the next start, and nobody else's do."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness import scratch
from harness.process import own_env

MAKES = """
import sys
from harness import scratch
folder = scratch.make('test')
(folder / 'deep').mkdir()
(folder / 'deep' / 'file').write_text('left')
print(folder, flush=True)
sys.stdin.read()
"""


def test_only_what_dead_processes_have_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", MAKES],
        env=own_env(TMPDIR=str(tmp_path)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout
        left = Path(other.stdout.readline().strip())
        kept = [
            tmp_path / name for name in ("autoresearch-test-of-a-person", "autoresearch-testing")
        ]
        for folder in kept:
            folder.mkdir()
        mine = scratch.make("test")
        assert left.is_dir()  # its maker lives
        other.kill()
        other.wait()
    assert scratch.sweep("other") == []
    assert scratch.sweep("test") == [left]
    assert not left.exists()
    assert all(folder.is_dir() for folder in (*kept, mine))
    assert mine.stat().st_mode & 0o777 == 0o700
