"""What several commands need from a run that may or may not be there: its newest state, and whether it lives.

Light on purpose (no settings, no git): `status` starts through here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from evolve.client import Client
from evolve.model import NothingToDo

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.view import Snapshot

# States of an engine that answers, or that will: one that is started again finds what was asked meanwhile.
ALIVE = ("running", "paused", "stopping", "restarting")


@contextmanager
def run_in(folder: Path) -> Iterator[tuple[Client, Snapshot]]:
    """A client on the workspace with the state of its newest run; raises NothingToDo where there is none."""
    with closing(Client(folder)) as client:
        yield client, look(client, folder)


def look(client: Client, folder: Path) -> Snapshot:
    """The state of the newest run; raises NothingToDo where there is none."""
    snapshot = client.snapshot(curve=False)
    if snapshot.run is not None:
        return snapshot
    if snapshot.engine.state in ALIVE:
        raise NothingToDo(
            f"The engine in {folder} (process {snapshot.engine.pid}) is still getting ready; "
            "look again in a moment."
        )
    raise NothingToDo(f"There is no run in {folder} yet; start one with `autoresearch run`.")


def current_snapshot(folder: Path) -> Snapshot | None:
    """The state of the newest run, or None where nothing has ever run."""
    with closing(Client(folder)) as client:
        snapshot = client.snapshot(curve=False)
    return None if snapshot.run is None else snapshot
