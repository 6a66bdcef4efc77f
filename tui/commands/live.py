"""What several commands need from a run that may or may not be there: its journal, its newest run, its engine.

Light on purpose (no settings, no git): `status` starts through here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.client import Client
from evolve.model import NothingToDo
from evolve.places import JOURNAL, STATE

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.view import Snapshot

ALIVE = ("running", "paused", "stopping")  # states of an engine that answers


def client_of(folder: Path) -> Client:
    """A client on the workspace's journal; raises NothingToDo where nothing has ever run."""
    if not _journal(folder).is_file():
        raise NothingToDo(f"no run in {folder} yet; start one with `autoresearch run`")
    return Client(folder)


def snapshot_of(client: Client, folder: Path) -> Snapshot:
    """The state of the newest run; raises NothingToDo where there is none."""
    snapshot = client.snapshot()
    if snapshot.run is None:
        raise NothingToDo(f"no run in {folder} yet; start one with `autoresearch run`")
    return snapshot


def current_snapshot(folder: Path) -> Snapshot | None:
    """The state of the newest run, or None where nothing has ever run."""
    if not _journal(folder).is_file():
        return None
    snapshot = Client(folder).snapshot()
    return None if snapshot.run is None else snapshot


def _journal(folder: Path) -> Path:
    return folder / STATE / JOURNAL
