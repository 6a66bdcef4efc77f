"""The state folder is closed to others, and what others could have put there is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from evolve.boot import boot
from evolve.model import EvolveError
from evolve.ownership import make_private, refuse_open, refuse_strangers
from evolve.places import state_folder
from evolve.workspace import create
from tests.evolve.slots import overrides

ROOT = os.geteuid() == 0
OTHER = 65534  # nobody


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def start(workspace: Path, tmp_path: Path) -> list[str]:
    """Boot an engine once; what it told."""
    with boot(
        workspace,
        overrides=overrides(tmp_path),
        name=None,
        allow_weak_sandbox=True,
        on_event=None,
    ) as ready:
        return [event.text for event in ready.context.journal.events(limit=100)]


def test_whatever_lies_in_the_state_folder_is_closed_and_that_is_told_once(tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    create(workspace)
    state = state_folder(workspace)
    assert mode(state) == 0o700
    start(workspace, tmp_path)
    for path in (state, state / "journal.db"):
        path.chmod(0o777)
    told = start(workspace, tmp_path)
    assert any(text.startswith("Others could read ") and "journal.db" in text for text in told), (
        told
    )
    assert mode(state) == 0o700
    assert {oct(mode(path)) for path in state.iterdir() if path.is_file()} == {"0o600"}
    count = sum("Others could read" in text for text in start(workspace, tmp_path))
    assert count == 1


@pytest.mark.parametrize("name", ["journal.db", "engine.log", "live.toml"])
def test_a_link_in_place_of_a_file_is_refused_and_not_followed(tmp_path: Path, name: str) -> None:
    workspace, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    create(workspace)
    elsewhere.write_bytes(b"precious")
    elsewhere.chmod(0o644)
    (state_folder(workspace) / name).symlink_to(elsewhere)
    with pytest.raises(EvolveError, match=f"{name} is a link"):
        start(workspace, tmp_path)
    assert elsewhere.read_bytes() == b"precious"
    assert mode(elsewhere) == 0o644


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    workspace, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    create(workspace)
    elsewhere.mkdir()
    (workspace / ".autoresearch").symlink_to(elsewhere)
    with pytest.raises(EvolveError, match="is a link"):
        state_folder(workspace)
    assert list(elsewhere.iterdir()) == []


def test_a_workspace_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    create(workspace)
    workspace.chmod(0o777)
    with pytest.raises(EvolveError, match=r"Everybody may write to .*; `chmod o-w"):
        start(workspace, tmp_path)
    workspace.chmod(0o1777)  # others can add to it, and replace nothing
    refuse_open(workspace, "the workspace")


@pytest.mark.skipif(not ROOT, reason="only root can give files away")
def test_what_belongs_to_another_user_is_refused(tmp_path: Path) -> None:
    state = tmp_path / ".autoresearch"
    state.mkdir(mode=0o700)
    journal = state / "journal.db"
    journal.write_bytes(b"")
    os.chown(journal, OTHER, -1)
    with pytest.raises(EvolveError, match=r"journal.db belongs to another user \(uid 65534\)"):
        make_private(state)
    os.chown(state, OTHER, -1)
    with pytest.raises(EvolveError, match="sudo -u '#65534'"):
        make_private(state)
    with pytest.raises(EvolveError, match="a cache, belongs to another user"):
        refuse_strangers(state, "a cache")
