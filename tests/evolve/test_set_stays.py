"""What a person has set stays set: through starts of the engine, and through a kill between the answer and the file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from evolve.boot import boot
from evolve.client import Client
from evolve.context import Context
from evolve.model import CommandState
from evolve.steering import Steering
from evolve.workspace import create
from tests.evolve.slots import overrides


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A run that was begun with a population of 4."""
    folder = tmp_path / "work"
    create(folder)
    given = overrides(tmp_path, **{"sandbox.level": "process", "population.size": "4"})
    with started(folder, given) as context:
        assert context.settings.population.size == 4
    return folder


@contextmanager
def started(folder: Path, given: dict[str, str], *, again: bool = False) -> Iterator[Context]:
    with boot(
        folder,
        overrides=given,
        name=None,
        allow_weak_sandbox=True,
        on_event=None,
        again=again,
    ) as ready:
        yield ready.context


def ask(context: Context, value: str) -> tuple[Steering, int]:
    """A person's request to set the size of the population."""
    steering = Steering(
        context, on_settings=lambda _: None, on_trim=lambda: None, on_kill=lambda _: None
    )
    with closing(Client(context.workspace)) as client:
        return steering, client.send("set", {"key": "population.size", "value": value}, "a person")


def on_disk(folder: Path) -> object:
    live = folder / ".autoresearch" / "live.toml"
    return tomllib.loads(live.read_text())["population"]["size"] if live.exists() else None


@pytest.mark.parametrize(
    ("given", "again", "then"),
    [
        ({}, False, 7),  # `autoresearch run`
        ({"population.size": "4"}, True, 7),  # a keeper, in the words of the first start
        ({"population.size": "5"}, False, 5),  # a person who says something else by now
    ],
)
def test_a_setting_outlives_the_engine(
    workspace: Path, given: dict[str, str], again: bool, then: int
) -> None:
    with started(workspace, {}) as context:
        steering, _ = ask(context, "7")
        steering.answer_all()
        assert context.settings.population.size == 7
        assert on_disk(workspace) == 7
    with started(workspace, given, again=again) as context:
        assert context.settings.population.size == then
        assert context.journal.settings_in_force()["population.size"] == str(then)


def test_an_engine_killed_before_the_file_is_written_loses_no_setting(workspace: Path) -> None:
    with started(workspace, {}) as context:
        steering, number = ask(context, "7")
        steering._grant(context.journal.command(number))  # and nothing of what is to follow
        assert context.journal.command(number).state is CommandState.DONE
        assert on_disk(workspace) is None
    with started(workspace, {}) as context:
        assert context.settings.population.size == 7
        assert on_disk(workspace) == 7


def test_a_broken_file_of_settings_refuses_the_request_and_changes_nothing(workspace: Path) -> None:
    with started(workspace, {}) as context:
        (context.state / "live.toml").write_text("[population\n")
        steering, number = ask(context, "7")
        steering.answer_all()
        answer = context.journal.command(number)
        assert answer.state is CommandState.REFUSED
        assert "live.toml" in answer.answer
        assert context.settings.population.size == 4
        assert context.journal.settings_in_force()["population.size"] == "4"
