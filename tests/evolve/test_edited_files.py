"""Files that people edit while an engine runs: half a file is never taken, and a broken one changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evolve import settings as config
from evolve.model import EvolveError, UsageError
from evolve.places import LIVE_FILE, head_of
from evolve.steering import ABSENT, QUIET, Stamp, _stamp, _Watched

TOML = '[population]\nsize = 5\n[stop]\ncandidates = 70\n[llm]\nmodel = "claude-haiku-5-5"\n'


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(path: Path, clock: Clock) -> _Watched:
    return _Watched(_stamp(path), clock)


def test_a_file_that_is_written_byte_by_byte_is_taken_once_and_whole(tmp_path: Path) -> None:
    path, clock = tmp_path / "autoresearch.toml", Clock()
    path.write_text("[population]\nsize = 8\n")
    watch = watched(path, clock)
    taken: list[str] = []
    with path.open("w") as file:  # as an editor does: truncate, then write
        for letter in TOML:
            if watch.is_new(_stamp(path)):
                taken.append(path.read_text())
            file.write(letter)
            file.flush()
            clock.now += 0.05
    for _ in range(40):
        clock.now += 0.25
        if watch.is_new(_stamp(path)):
            taken.append(path.read_text())
    assert taken == [TOML]


@pytest.mark.parametrize(
    ("stamp", "wait"), [((2, 10, 1), QUIET), ((2, 0, 1), ABSENT), (None, ABSENT)]
)
def test_an_empty_file_or_none_at_all_is_waited_for_longer(stamp: Stamp, wait: float) -> None:
    clock = Clock()
    watch = _Watched((1, 10, 1), clock)
    assert not watch.is_new(stamp)
    clock.now = wait - 0.01
    assert not watch.is_new(stamp)
    clock.now = wait
    assert watch.is_new(stamp)
    assert not watch.is_new(stamp)


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("size = 5")
    watch = watched(path, clock := Clock())
    other.write_text("size = 6")
    os.utime(other, ns=(0, path.stat().st_mtime_ns))
    other.replace(path)
    assert not watch.is_new(_stamp(path))
    clock.now = QUIET
    assert watch.is_new(_stamp(path))


def make(kind: str, path: Path) -> None:
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "huge":
            with path.open("wb") as file:
                file.truncate(100 << 20)
        case "latin-1":
            path.write_bytes("# fünf\n".encode("latin-1"))
        case "zeros":
            path.write_bytes(b"[population]\x00\nsize = 5\n")
        case "nested":
            path.write_text("a = " + "[" * 100_000)
        case "half":
            path.write_text("[population]\nsize = ")


@pytest.mark.timeout(20)  # a pipe that is waited for would never end
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("folder", "is a folder; move it away"),
        ("pipe", "cannot be read: no regular file"),
        ("huge", "larger than 4 MB"),
        ("latin-1", "is not UTF-8 text"),
        ("zeros", "line 1 is not valid TOML"),
        ("nested", "nested too deeply|not valid TOML"),
        ("half", "at its end, is not valid TOML"),
    ],
)
@pytest.mark.parametrize("name", ["autoresearch.toml", LIVE_FILE])
def test_whatever_stands_in_place_of_settings_is_one_sentence(
    tmp_path: Path, kind: str, sentence: str, name: str
) -> None:
    (tmp_path / LIVE_FILE).parent.mkdir()
    make(kind, tmp_path / name)
    with pytest.raises(EvolveError, match=sentence) as caught:
        config.load(tmp_path, gpu=False, overrides={})
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value)


def test_live_settings_are_private_whole_and_survive_what_a_killed_engine_left(
    tmp_path: Path,
) -> None:
    (tmp_path / LIVE_FILE).parent.mkdir()
    left = (tmp_path / LIVE_FILE).with_suffix(".tmp")
    left.symlink_to(tmp_path / "elsewhere")  # whatever lies there is replaced, not followed
    config.save_live(tmp_path, {"population.size": "5"})
    config.save_live(tmp_path, {"stop.candidates": "7"})
    assert (tmp_path / LIVE_FILE).stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "elsewhere").exists()
    assert not left.exists()
    settings = config.load(tmp_path, gpu=False, overrides={})
    assert (settings.population.size, settings.stop.candidates) == (5, 7)
    (tmp_path / LIVE_FILE).write_text("size = ")
    with pytest.raises(UsageError, match="not valid TOML"):
        config.save_live(tmp_path, {"population.size": "6"})
    assert (tmp_path / LIVE_FILE).read_text() == "size = "


def test_of_a_text_for_proposers_no_more_is_read_than_is_wanted(tmp_path: Path) -> None:
    make("huge", tmp_path / "program.md")
    assert len(head_of(tmp_path / "program.md", 1000)) == 1000
