"""Where a candidate came from, against a real repository and a real journal."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.client import Client
from evolve.model import EvolveError, UsageError
from evolve.provenance import Turn, read_request
from tests.evolve.family import ANSWER, KEY, Family


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    made = Family(tmp_path / "work")
    yield made
    made.close()


@pytest.fixture
def client(family: Family) -> Iterator[Client]:
    made = Client(family.folder)
    yield made
    made.close()


def test_the_script_of_every_candidate_comes_from_its_commit(
    family: Family, client: Client
) -> None:
    assert client.source(1) == family.source
    assert "F.silu(hidden) * hidden" in client.source(2)
    assert client.source(4).count("WARMDOWN = 0.6") == 1
    with pytest.raises(UsageError, match="no candidate #99"):
        client.source(99)


def test_of_two_scripts_in_a_commit_the_one_that_was_trained_is_shown(
    family: Family, client: Client
) -> None:
    """`trainer/train.py` is looked for first; a run of train.py at the top must not show the other one."""
    from evolve.gitrun import GitRunner

    git = GitRunner(family.folder)
    blob = git.run("hash-object", "-w", "--stdin", feed="decoy = 1\n")
    theirs = git.run("rev-parse", f"{family.commits[2]}:trainer/train.py")
    sub = git.run("mktree", feed=f"100644 blob {blob}\ttrain.py\n")
    tree = git.run("mktree", feed=f"100644 blob {theirs}\ttrain.py\n040000 tree {sub}\ttrainer\n")
    commit = git.run("-c", "user.name=t", "-c", "user.email=t@x", "commit-tree", "-m", "x", tree)
    with sqlite3.connect(family.journal.path, isolation_level=None) as db:
        (fixed,) = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'candidate' AND sql LIKE '%UPDATE OF%commit_oid%'"
        ).fetchone()
        db.execute(f"DROP TRIGGER {fixed}")  # no engine writes such a row
        db.execute("UPDATE candidate SET commit_oid = ? WHERE id = 2", (commit,))
    db.close()
    assert "F.silu(hidden)" in client.source(2)


def test_a_script_that_git_no_longer_has_is_a_sentence_that_says_what_to_do(
    family: Family, client: Client
) -> None:
    objects = family.folder / ".git/objects" / family.commits[3][:2]
    shutil.rmtree(objects)
    with pytest.raises(EvolveError, match=f"no commit {family.commits[3][:12]} here.*Bring"):
        client.source(3)
    shutil.rmtree(family.folder / ".git")
    with pytest.raises(EvolveError, match="no git repository any more"):
        client.source(1)


def test_the_calls_that_made_a_candidate_with_what_was_said(family: Family, client: Client) -> None:
    assert client.calls_of(3) == ()
    (asking,) = client.calls_of(2)
    assert asking.turns == (Turn("system", "You improve train.py."), Turn("user", "Parent #1:\nx"))
    assert asking.options == "max_tokens 32000, effort medium"
    assert asking.answer == ANSWER
    assert (asking.call.operator, asking.call.dollars, asking.call.candidate) == (
        "mutate",
        0.031,
        2,
    )


def test_no_key_is_ever_shown(
    family: Family, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that looks like a key nor the very one that the engine was told to use, nor half of it."""
    monkeypatch.setenv("FAMILY_KEY", "plain-words-of-a-local-server")
    call = family.call(
        answer=f"{KEY} and plain-words-of-a-local-server and plain-words-of-a-l",
        system=f"Authorization: Bearer {KEY}",
    )
    family.add(family.source + "# 5\n", 1, calls=(call,))
    (asking,) = client.calls_of(5)
    shown = asking.answer + "".join(turn.text for turn in asking.turns)
    assert "sk-ant" not in shown
    assert "plain-words" not in shown
    logged = client.log_of(2)
    assert logged is not None
    assert "sk-ant" not in logged.text
    assert "step 1 loss 8.0" in logged.text


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        (
            '{"model": "m", "system": "s", "messages": [{"role": "user", "content": "u"}]}',
            (Turn("system", "s"), Turn("user", "u")),
        ),
        ("no json", (Turn("request", "no json"),)),
        ('["a list"]', (Turn("request", '["a list"]'),)),
        ('{"messages": 3}', (Turn("request", '{"messages": 3}'),)),
        ("", (Turn("request", ""),)),
    ],
)
def test_requests_of_every_server_can_be_read(
    request_text: str, expected: tuple[Turn, ...]
) -> None:
    assert read_request(request_text)[0] == expected


def test_the_end_of_a_log_begins_with_a_whole_line(family: Family, client: Client) -> None:
    family.train(4, 2.0, "".join(f"step {n} loss 1.0\n" for n in range(1000)))
    whole = client.log_of(4)
    assert whole is not None
    assert (whole.cut, whole.kind, whole.text.count("\n")) == (False, "training", 1000)
    end = client.log_of(4, 100)
    assert end is not None
    assert end.cut
    assert end.total == whole.total
    assert end.text.splitlines() == [f"step {n} loss 1.0" for n in range(995, 1000)]


def test_a_candidate_without_a_training_shows_its_smoke_run(family: Family, client: Client) -> None:
    assert client.log_of(4) is None
    smoke = family.journal.start_smoke(4)
    folder = family.folder / ".autoresearch/experiments" / smoke.directory
    folder.mkdir(parents=True)
    (folder / "run.log").write_text("RuntimeError: shapes\n")
    logged = client.log_of(4)
    assert logged is not None
    assert (logged.kind, logged.text) == ("smoke run", "RuntimeError: shapes\n")
    assert [entry.id for entry in client.smokes(4)] == [smoke.id]


def test_only_a_living_candidate_has_a_worktree(family: Family, client: Client) -> None:
    path = client.worktree(2)
    assert path == family.folder / ".autoresearch/worktrees/2"
    assert (path / "trainer/train.py").read_text() == client.source(2)
    assert client.worktree(3) is None
