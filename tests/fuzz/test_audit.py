"""The audit finds what it looks for: a sound workspace of a real engine is spoilt in each way, and each is told."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from evolve.client import Client
from tests.fuzz import audit, rest
from tests.fuzz.facts import Facts, observe, read_only
from tests.fuzz.ledger import Entry, note, read
from tests.fuzz.person import LIMIT, TITLE, WHO
from tests.fuzz.workshop import PEOPLE, Workshop, git, slay

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, Path]:
    """A workspace in which main has moved and a person has asked for things, and a copy of it."""
    base = tmp_path_factory.mktemp("sound") / "episode"
    base.mkdir()
    shop = Workshop(base, "sleep", "builtin")
    shop.make()
    engine = shop.start()
    try:
        assert engine.boots() is not None, engine.said()
        with closing(Client(shop.workspace)) as client:
            _until(lambda: len(client.candidates()) > 3)
            asked = [
                client.send("set", {"key": LIMIT, "value": "100001"}, WHO),
                client.send("set", {"key": LIMIT, "value": "nonsense"}, WHO),
                client.send(
                    "inject",
                    {"source": client.source(1) + "\nFUZZED_1 = 1\n", "title": f"{TITLE} 1"},
                    WHO,
                ),
            ]
            _until(lambda: one(shop, "SELECT coalesce(max(incumbent), 1) FROM run")[0] != 1)
            client.send("pause", {}, WHO)
            for number in asked:
                assert client.wait_for(number, 20) is not None
        _until(lambda: not rest.quiet(shop))
    finally:
        engine.kill()
        slay(*shop.processes())
    kept = base.parent / "kept"
    shutil.copytree(base, kept, symlinks=True)
    return shop, kept


@pytest.fixture
def shop(sound: tuple[Workshop, Path]) -> Workshop:
    """The sound workspace, as it was."""
    given, kept = sound
    shutil.rmtree(given.base)
    shutil.copytree(kept, given.base, symlinks=True)
    return given


def _until(true: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < 180, "it did not come to that"
        time.sleep(0.2)


def sql(shop: Workshop, *statements: str) -> None:
    """Change the journal behind everybody's back."""
    with closing(sqlite3.connect(shop.journal, isolation_level=None)) as db:
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            assert db.execute(statement).rowcount != 0, f"it changes nothing: {statement}"


def one(shop: Workshop, question: str) -> tuple[object, ...]:
    with closing(read_only(shop.journal)) as db:
        row: tuple[object, ...] = db.execute(question).fetchone()
        return row


def told(shop: Workshop) -> str:
    return "\n".join(rest.quiet(shop))


def test_a_sound_workspace_is_in_order(shop: Workshop) -> None:
    assert rest.quiet(shop) == []
    with closing(read_only(shop.journal)) as db:
        facts = Facts()
        assert facts.take(observe(db)) == []
        assert facts.take(observe(db)) == []
    kinds = {kind for kind, _ in facts.known}
    assert {"run", "candidate", "result", "event", "answer", "setting", "curve"} <= kinds


# ---- facts that were seen ------------------------------------------------------------------------------------

LOST = {
    "event": ("DELETE FROM event WHERE id = 7", "The event 7 is gone"),
    "later event": ("UPDATE event SET text = 'other' WHERE id = 7", "The event 7 has changed"),
    "candidate": (
        "UPDATE candidate SET commit_oid = source_sha WHERE id = 2",
        "The candidate 1/2 has changed",
    ),
    "result": ("UPDATE experiment SET val_bpb = 1.5 WHERE id = 2", "The result 2 has changed"),
    "outcome": (
        "UPDATE experiment SET outcome = NULL, finished = NULL WHERE id = 3",
        "The result 3 is gone",
    ),
    "answer": (
        "UPDATE command SET state = 'pending', answer = '', answered = NULL WHERE id = 1",
        "The answer 1 is gone",
    ),
    "command": ("DELETE FROM command WHERE id = 1", "The command 1 is gone"),
    "setting": ("DELETE FROM setting_change", "The setting 1 is gone"),
    "curve": ("DELETE FROM curve WHERE experiment = 1 AND position = 0", "The curve 1/0 is gone"),
}


@pytest.mark.parametrize("what", LOST)
def test_a_fact_that_was_seen_and_is_gone_is_told(shop: Workshop, what: str) -> None:
    statement, words = LOST[what]
    facts = Facts()
    with closing(read_only(shop.journal)) as db:
        facts.take(observe(db))
    sql(shop, statement)
    with closing(read_only(shop.journal)) as db:
        assert words in "\n".join(facts.take(observe(db)))


# ---- the journal against itself, against the ledger and against the disk ----------------------------------------

SPOILT = {
    "a gap in the candidates": ("UPDATE candidate SET id = 99 WHERE id = 4", "without a gap"),
    "a gap in the experiments": ("UPDATE experiment SET id = 99 WHERE id = 4", "without a gap"),
    "a seed scored twice": (
        "UPDATE experiment SET seed = 0 WHERE id = 2",
        "#1 was scored 2 times with seed 0",
    ),
    "scores that no training has": (
        "UPDATE candidate SET scores = '[1.0]' WHERE id = 1",
        "#1 has the scores",
    ),
    "a score that nobody reached": (
        "UPDATE experiment SET val_bpb = 1.5 WHERE id = 1",
        "which no training has come to",
    ),
    "a result that was thrown away": (
        "UPDATE experiment SET outcome = 'void', val_bpb = NULL, fitness = NULL, sealed_bpb = NULL WHERE id = 1",
        "came to ok on the disk, and is void in the journal",
    ),
    "money": ("UPDATE run SET dollars = 1.0", "were spent, its calls"),
    "a commit that is none": (
        "UPDATE candidate SET commit_oid = replace(commit_oid, substr(commit_oid, 1, 6), '000000') WHERE id = 2",
        "A commit is gone",
    ),
    "a training under way": (
        "UPDATE experiment SET outcome = NULL, finished = NULL, val_bpb = NULL WHERE id = 3",
        "Trainings are under way",
    ),
    "a candidate that trains": (
        "UPDATE candidate SET state = 'training' WHERE id = 3",
        "Candidates train without a training",
    ),
    "a request without an answer": (
        "INSERT INTO command (time, who, verb, args) VALUES (0, 'x', 'pause', '{}')",
        "Nobody has answered",
    ),
    "a setting that was refused and came": (
        "UPDATE command SET state = 'refused' WHERE id = 1",
        "100001 was refused, and is among the changes",
    ),
    "a script that was refused and came": (
        "UPDATE command SET state = 'refused' WHERE verb = 'inject'",
        "was refused, and made 1 candidates",
    ),
    "an answer that was paid for": (
        "INSERT INTO llm_call (run, time, model, operator, status, request, dollars) "
        "VALUES (1, 0, 'm', 'mutate', 'answered', '', 0)",
        "was paid for and not used",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_journal_that_is_not_right_is_told(shop: Workshop, what: str) -> None:
    statement, words = SPOILT[what]
    with closing(sqlite3.connect(shop.journal)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
    sql(shop, statement)
    assert words in told(shop)


def test_a_damaged_journal_is_told(shop: Workshop) -> None:
    with closing(sqlite3.connect(shop.journal)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'candidate'").fetchone()[
            0
        ]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    with shop.journal.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(os.urandom(size))
    assert "journal" in "\n".join(audit.always(shop))


def _line(shop: Workshop, **given: object) -> None:
    first = read(shop.ledger)[0]
    note(shop.ledger, Entry(**first.__dict__ | given))


def test_what_the_ledger_says_against_the_journal_is_told(shop: Workshop) -> None:
    first = read(shop.ledger)[0]
    _line(shop)
    _line(shop, what="overlap")
    assert f"{first.name} was started 2 times" in told(shop)
    assert f"{first.name} began while another training ran" in told(shop)
    _line(shop, name="nobody-e77")
    assert "nobody-e77 was trained, and the journal knows nothing of it" in told(shop)
    assert f"nobody-e77 repeats {first.name}, whose score was there" in told(shop)


def test_a_training_of_another_seed_is_told(shop: Workshop) -> None:
    lines = [json.loads(line) for line in shop.ledger.read_text().splitlines()]
    lines[0]["seed"] = 41
    shop.ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "trained another script or seed than the journal says" in told(shop)


# ---- git and files ---------------------------------------------------------------------------------------------


def _lose_object(shop: Workshop) -> None:
    (oid,) = one(shop, "SELECT commit_oid FROM candidate WHERE id = 2")
    (shop.workspace / ".git" / "objects" / str(oid)[:2] / str(oid)[2:]).unlink()


def _ref(shop: Workshop, number: int) -> str:
    (name,) = one(shop, "SELECT name FROM run")
    return f"refs/autoresearch/{name}/{number}"


def _base(shop: Workshop) -> str:
    return str(one(shop, "SELECT base_commit FROM run")[0])


def _foreign_commit(shop: Workshop) -> None:
    git(shop.workspace, "commit", "--quiet", "--allow-empty", "--message", "whose?")


def _worktree(shop: Workshop) -> Path:
    return next(path for path in (shop.state / "worktrees").iterdir() if path.name != "1")


MISHAPS: dict[str, tuple[Callable[[Workshop], object], str]] = {
    "an object is gone": (_lose_object, "git fsck is not content|A commit is gone"),
    "a ref is gone": (lambda s: git(s.workspace, "update-ref", "-d", _ref(s, 2)), "/2 is None"),
    "a ref is elsewhere": (
        lambda s: git(s.workspace, "update-ref", _ref(s, 2), _ref(s, 1)),
        "/2 is .* and the journal says",
    ),
    "a ref too many": (
        lambda s: git(s.workspace, "update-ref", _ref(s, 4000), _ref(s, 1)),
        "/4000 is .* and the journal says None",
    ),
    "main is back": (
        lambda s: git(s.workspace, "reset", "--quiet", "--hard", _base(s)),
        "main is at .* and the incumbent is",
    ),
    "main is elsewhere": (
        lambda s: git(s.workspace, "reset", "--quiet", "--hard", _base(s) + "~1"),
        "does not follow",
    ),
    "a commit of nobody's": (_foreign_commit, "is nobody's|incumbent is"),
    "a changed file": (
        lambda s: (s.workspace / PEOPLE).write_text("Yours.\n"),
        "the person's own file",
    ),
    "a strange file": (
        lambda s: (s.workspace / "strange").write_text(""),
        "The checkout is not clean",
    ),
    "another branch": (
        lambda s: git(s.workspace, "switch", "--quiet", "--create", "other"),
        "on another branch",
    ),
    "a lock": (lambda s: (s.workspace / ".git" / "index.lock").touch(), "Locks of a killed git"),
    "a worktree is gone": (lambda s: shutil.rmtree(_worktree(s)), "There are worktrees"),
    "a worktree too many": (
        lambda s: git(
            s.workspace,
            "worktree",
            "add",
            "--quiet",
            "--detach",
            str(s.state / "worktrees/999"),
            "main",
        ),
        "git knows other worktrees",
    ),
    "a worktree elsewhere": (
        lambda s: git(_worktree(s), "reset", "--quiet", "--hard", _base(s) + "~1"),
        "shows another commit",
    ),
    "a dirty worktree": (lambda s: (_worktree(s) / "strange").write_text(""), "is not clean"),
    "a table of another day": (
        lambda s: (s.workspace / "results.tsv").write_text("commit\n"),
        "results.tsv is not what the journal says",
    ),
    "a setting out of force": (
        lambda s: (s.state / "live.toml").write_text("[stop]\ncandidates = 5\n"),
        "was set to 100001 last, and live.toml says 5",
    ),
}


@pytest.mark.parametrize("what", MISHAPS)
def test_files_and_refs_that_are_not_right_are_told(shop: Workshop, what: str) -> None:
    spoil, words = MISHAPS[what]
    spoil(shop)
    assert re.search(words, told(shop)), told(shop)


def test_a_process_that_is_left_behind_is_seen(shop: Workshop) -> None:
    assert shop.processes() == {}
    sleeping = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    told = [*sleeping, str(shop.state / "experiments" / "1")]
    candidate = {"AUTORESEARCH_EXPERIMENT": f"{shop.run}-e4"}
    ways: tuple[tuple[list[str], Path, dict[str, str]], ...] = (
        (sleeping, Path("/"), shop.environment()),
        (sleeping, shop.workspace, {}),
        (sleeping, Path("/"), candidate),
        (told, Path("/"), {}),
    )
    for argv, folder, env in ways:
        with subprocess.Popen(
            argv, cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            assert list(shop.processes()) == [process.pid]
            process.kill()
            process.wait()
