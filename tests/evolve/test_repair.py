"""A journal that is damaged in every way a disk, a power cut or a person can: said in one sentence, and made whole again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from evolve import backup
from evolve.journal import Journal
from evolve.lock import EngineLock
from evolve.model import CandidateState, EvolveError, Purpose, Verdict
from evolve.pages import Pages
from evolve.places import JOURNAL, LOCK, REPAIRED, STATE, state_folder
from evolve.propose.operators import Asked, Usage
from evolve.recordings import DEMO, unpack
from evolve.repair import UNFINISHED, behind, finish, look, repair
from evolve.salvage import KEYS, Tables, _by_pages, rows_of
from evolve.serving import serve
from evolve.workspace import create
from harness.spec import CurvePoint
from tests.evolve.slots import ShortSlot, overrides
from tests.evolve.workbench import add, baseline, judged, open_journal, train
from tui.cli import main
from tui.commands.repairing import repair_journal

PAGE = 4096
FACTS = ("candidate", "experiment", "event", "llm_call", "curve", "scratchpad", "run")


def tell(journal: Journal, children: int) -> None:
    """A run with trainings, curves, and calls whose texts take several pages."""
    for _ in range(children):
        judged(journal, 0.9, Verdict.KEPT, 1)
        call = journal.reserve_call(
            model="m",
            asked=Asked("mutate", (1,)),
            request="ask " * 3000,
            request_sha="s",
            dollars=0.5,
        )
        journal.answer_call(
            call,
            response="reply " * 500,
            usage=Usage(1, 2),
            dollars=0.1,
            seconds=1.0,
            stop_reason="end",
        )
    curve = tuple(CurvePoint(i / 100, float(i), i, 3.0) for i in range(100))
    train(journal, add(journal, 1), 0.98, curve=curve)
    journal.write_scratchpad("# Summary", source="human", who="ann", settled=children)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose journal has a copy, and twenty more candidates since."""
    workspace = tmp_path_factory.mktemp("whole")
    with open_journal(workspace) as journal:
        baseline(journal, 1.0, 1.01)
        tell(journal, 20)
        assert backup.take(journal.path) is not None
        tell(journal, 20)
    return workspace


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "work"))


def journal_of(workspace: Path) -> Path:
    return workspace / STATE / JOURNAL


def mend(workspace: Path) -> None:
    repair(workspace, workspace / STATE, "train.py")


def everything(path: Path) -> Tables:
    return rows_of(path)


def goes_on(workspace: Path) -> None:
    """The file is whole by every rule, and a run goes on with it."""
    found = look(journal_of(workspace))
    assert found.whole, found
    with open_journal(workspace) as journal:
        number = judged(journal, 0.95, Verdict.KEPT, 1)
        assert number == journal.next_candidate_id() - 1
        assert journal.tally().candidates == number


def until_looked(backups: backup.Backups) -> None:
    deadline = time.monotonic() + 20
    while backups._found is None and time.monotonic() < deadline:
        time.sleep(0.01)


# ---- damage ------------------------------------------------------------------------------------------------


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE + 100)


def zeroed(path: Path) -> None:
    """Every eighth page is gone, but for the first."""
    with path.open("r+b") as file:
        for page in range(3, path.stat().st_size // PAGE, 8):
            file.seek(page * PAGE)
            file.write(bytes(PAGE))


def flipped(path: Path) -> None:
    rng = random.Random(7)
    data = bytearray(path.read_bytes())
    for _ in range(200):
        data[rng.randrange(PAGE, len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def garbage_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(random.Random(3).randbytes(PAGE))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def deleted(path: Path) -> None:
    path.unlink()


WAYS = [truncated, zeroed, flipped, garbage_header, empty, deleted]


@pytest.mark.parametrize("damage", WAYS, ids=lambda way: way.__name__)
def test_with_a_copy_nothing_that_it_had_is_lost(
    workspace: Path, template: Path, damage: Callable[[Path], None]
) -> None:
    copy = everything(workspace / STATE / backup.LAST)
    whole = everything(journal_of(template))
    damage(journal_of(workspace))
    mend(workspace)
    goes_on(workspace)
    found = everything(journal_of(workspace))
    for table in FACTS:
        assert copy[table].keys() <= found[table].keys(), table
    for key, row in copy["experiment"].items():
        assert found["experiment"][key] == row
    assert {k: found["event"][k] for k in copy["event"]} == copy["event"]
    if damage is zeroed:  # what only the damaged file had, on pages that can be read
        new = whole["event"].keys() - copy["event"].keys()
        assert len(new & found["event"].keys()) > len(new) / 2


@pytest.mark.parametrize("damage", [truncated, zeroed, flipped], ids=lambda way: way.__name__)
def test_without_a_copy_what_can_be_read_comes_back(
    workspace: Path, template: Path, damage: Callable[[Path], None]
) -> None:
    (workspace / STATE / backup.LAST).unlink()
    whole = everything(journal_of(template))
    damage(journal_of(workspace))
    mend(workspace)
    goes_on(workspace)
    found = everything(journal_of(workspace))
    assert len(found["event"]) > len(whole["event"]) / 3
    with open_journal(workspace) as journal:
        numbers = [c.id for c in journal.candidates()]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_file_without_its_first_page_is_read_page_by_page(
    workspace: Path, template: Path
) -> None:
    """Neither names of tables nor the tree are left, and there is no copy."""
    (workspace / STATE / backup.LAST).unlink()
    whole = everything(journal_of(template))
    garbage_header(journal_of(workspace))
    mend(workspace)
    goes_on(workspace)
    found = everything(journal_of(workspace))
    for table in ("experiment", "event", "llm_call", "curve"):
        assert {k: found[table][k] for k in whole[table]} == whole[table], table


def test_damage_is_one_sentence_that_says_what_to_do(workspace: Path) -> None:
    path = journal_of(workspace)
    zeroed(path)
    with pytest.raises(EvolveError, match=r"is damaged \(.+\); `autoresearch doctor --repair`"):
        backup.check_at_start(path)
    garbage_header(path)
    with pytest.raises(EvolveError, match="autoresearch doctor --repair"):
        Journal.open(path)


def test_the_damaged_file_is_kept_as_it_was(workspace: Path) -> None:
    zeroed(journal_of(workspace))
    before = journal_of(workspace).read_bytes()
    mend(workspace)
    (aside,) = (workspace / STATE).glob("journal.damaged-*.db")
    assert aside.read_bytes() == before
    for path in (aside, journal_of(workspace)):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not list((workspace / STATE).glob("repair-*"))


def test_nothing_to_go_by_is_said_and_changes_nothing(tmp_path: Path) -> None:
    path = state_folder(tmp_path) / JOURNAL
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(EvolveError, match="Nothing of the run can be read"):
        mend(tmp_path)
    assert path.read_bytes() == b"no database " * 1000


def test_a_file_of_a_newer_version_is_left_alone(workspace: Path) -> None:
    with closing(sqlite3.connect(journal_of(workspace))) as db:
        db.execute("PRAGMA user_version = 99")
    before = journal_of(workspace).read_bytes()
    with pytest.raises(EvolveError, match="newer autoresearch"):
        mend(workspace)
    assert journal_of(workspace).read_bytes() == before


# ---- the write-ahead log -------------------------------------------------------------------------------------


@pytest.fixture
def logged(template: Path, tmp_path: Path) -> Path:
    """A workspace as a killed engine leaves it: the last candidates stand in the log only."""
    workspace = tmp_path / "work"
    state = state_folder(Path(shutil.copytree(template, tmp_path / "origin")))
    with Journal.open(state / JOURNAL) as journal:
        journal._db.execute("PRAGMA wal_autocheckpoint = 0")
        tell(journal, 3)
        shutil.copytree(state.parent, workspace)
    (workspace / STATE / f"{JOURNAL}-shm").unlink()
    return workspace


def test_the_log_of_a_killed_engine_counts_without_its_index(logged: Path) -> None:
    with open_journal(logged) as journal:
        assert journal.next_candidate_id() - 1 == 47


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_torn_log_is_as_if_the_last_steps_had_not_happened(logged: Path, part: float) -> None:
    log = logged / STATE / f"{JOURNAL}-wal"
    os.truncate(log, int(log.stat().st_size * part))
    assert look(journal_of(logged)).whole
    goes_on(logged)


def test_pages_of_the_log_count_for_a_repair_too(logged: Path) -> None:
    (logged / STATE / backup.LAST).unlink()
    garbage_header(journal_of(logged))
    # Its newest first page may stand in the log, and heal the file.
    found = _by_pages(journal_of(logged), ["candidate"])
    assert len(found["candidate"]) == 47
    mend(logged)
    goes_on(logged)


def test_a_log_that_somebody_deleted_is_noticed_by_the_copy(logged: Path) -> None:
    state = logged / STATE
    with open_journal(logged) as journal:
        backup.take(journal.path)
        journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(state.parent.parent / "origin" / STATE / JOURNAL, state / JOURNAL)
    for ending in ("-wal", "-shm"):
        (state / f"{JOURNAL}{ending}").unlink(missing_ok=True)
    with closing(sqlite3.connect(state / JOURNAL)) as db:
        db.executescript("DROP TRIGGER rule_event_lasts; DELETE FROM event WHERE id > 100")
    assert "more events" in behind(state)[0]
    mend(logged)
    assert behind(state) == ()
    goes_on(logged)


# ---- what git and the folders know -----------------------------------------------------------------------------


def test_every_record_of_a_real_run_is_told_by_its_shape(tmp_path: Path) -> None:
    """The pages alone, against what SQLite reads."""
    path = unpack(DEMO, tmp_path / "demo")
    Journal.open(path).close()
    tables = [table for table in KEYS if table != "parent"]
    by_pages, by_sqlite = _by_pages(path, tables), everything(path)
    for table in tables:
        assert by_pages[table].keys() == by_sqlite[table].keys(), table
        for key, row in by_pages[table].items():  # shorter where a column is younger than the row
            assert row.items() <= by_sqlite[table][key].items()
            assert len(row) > len(by_sqlite[table][key]) - 3
    assert len(Pages(path)) * PAGE == path.stat().st_size


def test_candidates_that_only_git_knows_come_back(tmp_path: Path) -> None:
    """The newest rows of a real run are lost, and there is no copy: its commits are in git."""
    path = unpack(DEMO, tmp_path / "demo")
    workspace = path.parent.parent
    Journal.open(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        run = db.execute("SELECT name FROM run").fetchone()[0]
        refs = "".join(
            f"create refs/autoresearch/{run}/{row['id']} {row['commit_oid']}\n"
            for row in db.execute("SELECT id, commit_oid FROM candidate WHERE id != 21")
        )
        kept = dict(db.execute("SELECT * FROM candidate WHERE id = 20").fetchone())
        db.executescript(
            "DROP TRIGGER rule_candidate_lasts; DELETE FROM candidate WHERE id IN (20, 21)"
        )
    git = ["git", "-C", str(workspace)]
    subprocess.run([*git, "update-ref", "--stdin"], input=refs, text=True, check=True)
    assert look(path).damage
    found = repair(workspace, path.parent, "trainer/train.py")
    assert (found.mended.from_git, found.mended.lost) == ([20], [21])
    assert look(path).whole
    with Journal.open(path) as journal:
        back, nobody = journal.candidate(20), journal.candidate(21)
        assert (back.commit, back.source_sha) == (kept["commit_oid"], kept["source_sha"])
        assert (back.title, str(back.operator)) == (kept["title"], kept["operator"])
        assert back.code_hash == kept["code_hash"]
        assert back.state in (CandidateState.CONTENDER, CandidateState.READY)
        assert (nobody.state, nobody.verdict) == (CandidateState.DROPPED, Verdict.DROPPED)
        assert (
            "#20 came back from git; #21 could not be brought back"
            in journal.recent_events(1)[0].text
        )


# ---- copies ----------------------------------------------------------------------------------------------------


def test_a_copy_is_private_and_complete_while_the_journal_is_written(workspace: Path) -> None:
    with open_journal(workspace) as journal:
        add(journal, 1)
        found = backup.take(journal.path)
        assert found is not None
        assert found.whole
        add(journal, 1)
        copy = workspace / STATE / backup.LAST
        assert copy.stat().st_mode & 0o777 == 0o600
        assert not copy.with_name(f"{copy.name}-wal").exists()
        assert len(everything(copy)["candidate"]) == len(journal.candidates()) - 1


def test_a_good_copy_is_never_replaced_by_one_of_a_damaged_file(workspace: Path) -> None:
    copy = workspace / STATE / backup.LAST
    before = copy.read_bytes()
    zeroed(journal_of(workspace))
    found = backup.take(journal_of(workspace))
    assert found is not None
    assert found.damage
    assert copy.read_bytes() == before
    assert not (workspace / STATE / backup.UNFINISHED).exists()


def test_the_copy_of_the_day_before_is_kept(workspace: Path) -> None:
    state = workspace / STATE
    first = (state / backup.LAST).read_bytes()
    with open_journal(workspace) as journal:
        add(journal, 1)
        backup.take(journal.path)
        second = (state / backup.LAST).read_bytes()
        assert (state / backup.OLDER).read_bytes() == first
        add(journal, 1)
        backup.take(journal.path)
        assert (state / backup.OLDER).read_bytes() == first  # not a day old
        os.utime(state / backup.OLDER, (0, 0))
        backup.take(journal.path)
        assert (state / backup.OLDER).read_bytes() != second
        assert [p.name for p in backup.copies(state)] == [backup.LAST, backup.OLDER]


def test_damage_that_comes_up_during_a_run_is_told_to_the_engine(workspace: Path) -> None:
    zeroed(journal_of(workspace))
    backups = backup.Backups(workspace / STATE, after=0.0)
    with backups:
        until_looked(backups)
        with pytest.raises(EvolveError, match="doctor --repair"):
            backups.oddities()


def test_what_does_not_fit_is_told_once(workspace: Path) -> None:
    with closing(sqlite3.connect(journal_of(workspace))) as db:
        db.execute("UPDATE candidate SET children = 99 WHERE id = 3")
        db.execute("UPDATE candidate SET scores = '[0.5]' WHERE id = 4")
        db.execute("UPDATE run SET dollars = 7")
        db.commit()
    backups = backup.Backups(workspace / STATE, after=0.0)
    with backups:
        until_looked(backups)
        told = backups.oddities()
        assert backups.oddities() == ()
    assert told[:2] == (
        "#3 has 0 children, but counts 99.",
        "#4 keeps other scores than its trainings have.",
    )
    assert told[2].startswith("The calls of run “try” cost $4.0000, but $7.0000")
    mend(workspace)
    goes_on(workspace)


# ---- kills -------------------------------------------------------------------------------------------------------

KILLED = """
import sys
from pathlib import Path
from evolve import backup
from evolve.lock import EngineLock
from evolve.serving import serve
from evolve.workspace import create
from tests.evolve.slots import ShortSlot, overrides
from tui.cli import main
from tui.commands.repairing import repair_journal
from evolve.repair import repair
workspace = Path(sys.argv[2])
if sys.argv[1] == "backup":
    backup.take(workspace / ".autoresearch/journal.db")
else:
    repair(workspace, workspace / ".autoresearch", "train.py")
"""


def killed_at(point: str, what: str, workspace: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, what, str(workspace)],
        env={**os.environ, "AUTORESEARCH_CRASH": point},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("point", ["backup.before-rename", "backup.between-renames"])
def test_a_killed_copy_leaves_a_good_one(workspace: Path, point: str) -> None:
    killed_at(point, "backup", workspace)
    state = workspace / STATE
    assert backup.copies(state)
    assert all(look(copy).whole for copy in backup.copies(state))
    zeroed(journal_of(workspace))
    mend(workspace)
    goes_on(workspace)


@pytest.mark.parametrize("point", ["repair.before-aside", "repair.before-replace"])
def test_a_killed_repair_is_ended_by_the_next(logged: Path, point: str) -> None:
    zeroed(journal_of(logged))
    killed_at(point, "repair", logged)
    state = logged / STATE
    if (state / REPAIRED).exists():
        with pytest.raises(EvolveError, match="was cut off"):
            backup.check_at_start(state / JOURNAL)
    if not finish(state):
        mend(logged)
    assert not (state / REPAIRED).exists()
    goes_on(logged)
    (state / UNFINISHED).unlink(missing_ok=True)
    with open_journal(logged) as journal:
        assert journal.next_candidate_id() - 1 >= 47
        journal.start_experiment(add(journal, 1), Purpose.SCREEN, 0)


# ---- the whole way ---------------------------------------------------------------------------------------------


def test_an_engine_goes_on_after_a_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run with git, trainings and a copy; its journal is torn; the doctor mends it; the run goes on."""
    workspace, state = tmp_path / "work", tmp_path / "work" / STATE
    create(workspace)
    wanted = {"stop.candidates": "6"}

    def go_on() -> None:
        given = overrides(tmp_path, **wanted)
        assert serve(workspace, overrides=given, allow_weak_sandbox=True, slot=ShortSlot()) == 0

    go_on()
    assert main(["--workspace", str(workspace), "doctor", "--repair"]) == 0
    assert "is whole; nothing was changed" in capsys.readouterr().out
    backup.take(state / JOURNAL)
    wanted["stop.candidates"] = "12"
    go_on()
    truncated(state / JOURNAL)
    with pytest.raises(EvolveError, match="doctor --repair"):
        go_on()
    with EngineLock(state / LOCK), pytest.raises(EvolveError, match="Another engine"):
        repair_journal(workspace)
    capsys.readouterr()
    assert main(["--workspace", str(workspace), "doctor", "--repair"]) == 0
    said = capsys.readouterr().out
    assert "Wrong: " in said
    assert "The journal is whole again: " in said
    with Journal.open(state / JOURNAL) as journal:
        assert len(journal.candidates()) >= 12  # from the file, the copy and git
    wanted["stop.candidates"] = "16"
    go_on()
    assert look(state / JOURNAL).whole
    assert len(list((state).glob("journal.damaged-*.db"))) == 1
