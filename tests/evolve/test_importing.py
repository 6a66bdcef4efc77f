"""What was exported comes back as the same journal; what somebody damaged or made up ends in a sentence and leaves nothing."""

import json
import random
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evolve.client import Client
from evolve.database import open_reader
from evolve.export.tables import TABLES
from evolve.export.writing import export
from evolve.importing import bring_in
from evolve.importing_ancestor import rows_of_table
from evolve.importing_rows import rows_of
from evolve.model import EvolveError, NothingToDo, UsageError
from evolve.places import JOURNAL, STATE
from evolve.recordings import DEMO, unpack
from evolve.replay import Replay
from evolve.soundness import examine
from tests.evolve.family import Family
from tests.tui.live_run import LiveRun
from tui.cli import main


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The demo as Parquet and as JSON Lines: the folder that has both as `d` and `d.jsonl`."""
    folder = tmp_path_factory.mktemp("exported")
    unpack(DEMO, folder / "demo")
    client = Client(folder / "demo")
    export(client, "data", folder / "d")
    export(client, "data", folder / "d.jsonl")
    client.close()
    return folder


def again(workspace, kind, path):
    client = Client(workspace)
    export(client, kind, path)
    client.close()
    return path


def bring(place, workspace):
    workspace.mkdir(exist_ok=True)
    return bring_in(rows_of(place), workspace, str(place))


def is_empty(workspace):
    state = workspace / STATE
    return not state.exists() or [p.name for p in state.iterdir()] == [".gitignore"]


# ---- round trips -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["d", "d.jsonl"])
def test_the_same_comes_out_again(exported, tmp_path, form):
    found = bring(exported / form, tmp_path / "w")
    assert (found.run, found.candidates, found.trainings, found.scripts) == ("nov21", 28, 42, False)
    lines = again(tmp_path / "w", "data", tmp_path / "again.jsonl")
    assert lines.read_bytes() == (exported / "d.jsonl").read_bytes()
    folder = again(tmp_path / "w", "data", tmp_path / "again")
    for table in TABLES:
        first, second = (
            pq.read_table(f / f"{table.name}.parquet") for f in (exported / "d", folder)
        )
        assert second.equals(first, check_metadata=True)


def test_every_fact_of_the_journal_is_there_again(exported, tmp_path):
    bring(exported / "d", tmp_path / "w")
    before, after = (open_reader(f / STATE / JOURNAL) for f in (exported / "demo", tmp_path / "w"))
    apart = {"touched", "directory"}  # stamps, and names of folders that are not there
    for (table,) in after.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        names = [r[1] for r in after.execute(f"PRAGMA table_info({table})") if r[1] not in apart]
        sql = f"SELECT {', '.join(names)} FROM {table} ORDER BY 1, 2"
        kept = [row for row in after.execute(sql).fetchall() if "imported" not in str(row[0])]
        assert kept == before.execute(sql).fetchall(), table
    assert examine(after).whole
    before.close()
    after.close()


def test_what_came_in_is_looked_at_and_exported_like_any_other(exported, tmp_path, capsys):
    assert main(["import", str(exported / "d"), str(tmp_path / "w")]) == 0
    said = capsys.readouterr().out
    assert "run “nov21”, 28 candidates, 42 trainings." in said
    assert "scripts are not in git here" in said
    for command in (
        ["status"],
        ["results"],
        ["show", "11"],
        ["trends"],
        ["changes"],
        ["export", "lineage", "-"],
    ):
        assert main(["-C", str(tmp_path / "w"), *command]) == 0
    assert "#11" in capsys.readouterr().out
    replay = Replay(tmp_path / "w")
    replay.at(replay.ends)
    assert replay.begins < replay.ends
    replay.close()


def test_with_its_repository_the_scripts_are_there(tmp_path):
    family = Family(tmp_path / "w")
    best = family.journal.run().incumbent
    again(tmp_path / "w", "data", tmp_path / "d")
    subprocess.run(
        ["git", "clone", "-q", "--mirror", tmp_path / "w" / ".git", tmp_path / "other" / ".git"],
        check=True,
    )
    found = bring(tmp_path / "d", tmp_path / "other")
    assert found.scripts
    client = Client(tmp_path / "other")
    assert client.source(best) == family.text(best)
    client.close()
    family.close()


def test_a_run_that_went_on_has_stopped_and_the_second_time_nothing_changes(tmp_path):
    (tmp_path / "w").mkdir()
    with LiveRun(tmp_path / "w") as run:
        run.train(run.add("trains now"))
        run.add("waits")
        again(tmp_path / "w", "data", tmp_path / "d.jsonl")
    bring(tmp_path / "d.jsonl", tmp_path / "one")
    client = Client(tmp_path / "one")
    snapshot = client.snapshot()
    assert snapshot.run.state == "stopped"
    assert snapshot.running is None
    assert [c.title for c in snapshot.queue] == ["trains now", "waits"]
    client.close()
    first = again(tmp_path / "one", "data", tmp_path / "one.jsonl")
    bring(first, tmp_path / "two")
    second = again(tmp_path / "two", "data", tmp_path / "two.jsonl")
    assert second.read_bytes() == first.read_bytes()


def test_it_never_goes_on_and_never_replaces_a_run(exported, tmp_path, capfd):
    family = Family(tmp_path / "w")
    family.close()
    with pytest.raises(UsageError, match=r"There is a run in .* already"):
        bring(exported / "d", tmp_path / "w")
    (tmp_path / "w" / STATE / JOURNAL).unlink()
    bring(exported / "d", tmp_path / "w")
    assert main(["-C", str(tmp_path / "w"), "run", "--headless", "--max", "3"]) == 2
    assert "was imported from" in capfd.readouterr().err


# ---- damaged and hostile -----------------------------------------------------------------------------------


def changed(exported, tmp_path, change):
    """The JSON Lines with rows as `change(table, row)` gives them back; None leaves one out."""
    head, *rows = (exported / "d.jsonl").read_text().splitlines()
    names = {t.name: [c.name for c in t.columns] for t in TABLES}
    lines = [head]
    for line in rows:
        table, *cells = json.loads(line)
        row = change(table, dict(zip(names[table], cells, strict=True)))
        if row is not None:
            lines.append(json.dumps([table, *row.values()]))
    path = tmp_path / "changed.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("table", "column", "value", "said"),
    [
        ("run", "name", "../../etc", "cannot name a run"),
        ("run", "name", 7, "is not text"),
        ("run", "settings", "[]", "is not json"),
        ("run", "settings", '{"llm": 3}', "settings are none"),
        ("run", "incumbent", 99, "row of candidate that is not there"),
        ("run", "state", "dancing", "do not fit together"),
        ("candidates", "commit", "--upload-pack=touch /tmp/x", "is none"),
        ("candidates", "parents", [5], "cannot be its parents"),
        ("candidates", "parents", "1", "is not ints"),
        ("candidates", "scores", [1.0, 2.0, 3.0], "scores"),
        ("candidates", "scores", [float("nan")], "is not floats"),
        ("candidates", "verdict", "best", "do not fit together"),
        ("candidates", "title", None, "is empty"),
        ("candidates", "title", "\ud800", "is not text"),
        ("candidates", "lines", 2**70, "is not int"),
        ("experiments", "audit", '{"surprise": 1}', "cannot be read"),
        ("experiments", "cause", "gremlins", "cannot be read"),
        ("experiments", "val_bpb", "low", "is not float"),
        ("experiments", "outcome", None, "do not fit together"),
        ("events", "data", "not json", "is not json"),
        ("commands", "args", "3", "is not json"),
    ],
)
def test_what_does_not_fit_is_said_and_leaves_nothing(
    exported, tmp_path, table, column, value, said
):
    def change(name, row):
        if name == table and row.get("id", 3) == (3 if table == "candidates" else row.get("id", 3)):
            row[column] = value
        return row

    path = changed(exported, tmp_path, change)
    with pytest.raises(EvolveError, match=said):
        bring(path, tmp_path / "w")
    assert is_empty(tmp_path / "w")


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("run", "not where it belongs|no run"),
        ("candidates", "not there"),
        ("experiments", "not there"),
    ],
)
def test_a_table_that_is_missing_is_noticed(exported, tmp_path, left_out, said):
    path = changed(exported, tmp_path, lambda name, row: None if name == left_out else row)
    with pytest.raises(EvolveError, match=said):
        bring(path, tmp_path / "w")
    assert is_empty(tmp_path / "w")


def test_garbage_never_crashes_an_import(exported, tmp_path):
    rng, data = random.Random(5), (exported / "d.jsonl").read_bytes()
    for turn in range(8):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 3, 30))):
            at = rng.randrange(len(broken))
            broken[at : at + rng.randrange(20)] = rng.randbytes(rng.randrange(20))
        path = tmp_path / f"{turn}.jsonl"
        path.write_bytes(broken[: rng.choice((len(broken), rng.randrange(len(broken))))])
        try:
            bring(
                path, tmp_path / f"w{turn}"
            )  # a changed letter of a title is none of its business
        except EvolveError:
            assert is_empty(tmp_path / f"w{turn}")


def test_broken_parquet_is_said(exported, tmp_path):
    for name in ("manifest.json", "candidates.parquet", "curves.parquet"):
        for damage in ("gone", "cut", "other"):
            folder = tmp_path / f"{name}-{damage}"
            folder.mkdir()
            for path in (exported / "d").iterdir():
                (folder / path.name).write_bytes(path.read_bytes())
            hurt = folder / name
            if damage == "gone":
                hurt.unlink()
            elif damage == "cut":
                hurt.write_bytes(hurt.read_bytes()[: hurt.stat().st_size // 2])
            else:
                pq.write_table(pa.table({"id": [1]}), hurt)
            with pytest.raises(EvolveError):
                bring(folder, tmp_path / "w")
            assert is_empty(tmp_path / "w")


def test_what_is_no_whole_export_is_said(exported, tmp_path):
    client = Client(exported / "demo")
    from evolve.export.selection import Selection

    export(client, "data", tmp_path / "some.jsonl", selection=Selection(kept_only=True))
    client.close()
    with pytest.raises(EvolveError, match="only a part of a run"):
        bring(tmp_path / "some.jsonl", tmp_path / "w")
    with pytest.raises(UsageError, match="no export that can be imported"):
        bring(exported, tmp_path / "w")
    with pytest.raises(UsageError, match="does not exist"):
        bring(tmp_path / "nowhere", tmp_path / "w")
    lines = (exported / "d.jsonl").read_text().replace('"version":1', '"version":2', 1)
    (tmp_path / "new.jsonl").write_text(lines)
    with pytest.raises(EvolveError, match="another version"):
        bring(tmp_path / "new.jsonl", tmp_path / "w")


# ---- the ancestor ------------------------------------------------------------------------------------------


def git(folder, *words):
    return subprocess.run(
        ["git", "-C", folder, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def ancestor(tmp_path):
    """A clone as the ancestor leaves it: kept commits on a branch, one discarded that git still has, one that it lost."""
    folder = tmp_path / "ancestor"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "master")
    rows = ["commit\tval_bpb\tmemory_gb\tstatus\tdescription"]

    def step(text, score, memory, status, what):
        (folder / "train.py").write_text(text)
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", what)
        rows.append(
            f"{git(folder, 'rev-parse', '--short=7', 'HEAD')}\t{score}\t{memory}\t{status}\t{what}"
        )
        if status != "keep":
            git(folder, "reset", "-q", "--hard", "HEAD~1")

    git(folder, "checkout", "-q", "-b", "autoresearch/mar8")
    step("LR = 1\n", "0.997900", "44.0", "keep", "baseline")
    step("LR = 2\n", "0.993200", "44.2", "keep", "increase LR to 0.04")
    step("GELU = 1\n", "1.005000", "44.0", "discard", "switch to GeLU")
    step("WIDE = 1\n", "0.000000", "0.0", "crash", "double model width (OOM)")
    step("LR = 3\n", "0.991000", "44.1", "keep", "increase LR again")
    rows.insert(5, "0123abc\t0.999000\t44.0\tdiscard\ta commit that is gone")
    (folder / "results.tsv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_ancestors_table_and_branch_are_a_finished_run(ancestor, tmp_path, capsys):
    table = ancestor / "results.tsv"
    assert main(["-C", str(ancestor), "import", str(table), "--branch", "autoresearch/mar8"]) == 0
    assert "run “mar8”, 6 candidates, 6 trainings" in capsys.readouterr().out
    client = Client(ancestor)
    run, people = client.snapshot().run, client.candidates()
    assert run.state == "finished"
    assert "nothing in it was confirmed" in run.reason
    assert [str(c.verdict) for c in people] == [
        "baseline",
        "promoted",
        "rejected",
        "failed",
        "rejected",
        "promoted",
    ]
    assert [c.parents for c in people] == [(), (1,), (2,), (2,), (2,), (2,)]
    assert [c.scores for c in people] == [(0.9979,), (0.9932,), (1.005,), (), (0.999,), (0.991,)]
    assert all(c.provisional for c in people)
    assert run.incumbent == 6
    assert [client.source(n) for n in (1, 3, 6)] == ["LR = 1\n", "GELU = 1\n", "LR = 3\n"]
    with pytest.raises(EvolveError, match="git has no commit 0123abc"):
        client.source(5)
    with client.gathered() as gathered:
        assert gathered.main == (1, 2, 6)
        assert not any(step.confirmed for step in gathered.path)
    export(client, "results", tmp_path / "again.tsv")
    assert (tmp_path / "again.tsv").read_text() == table.read_text()
    export(client, "lineage", tmp_path / "l.json")
    assert len(json.loads((tmp_path / "l.json").read_text())["edges"]) == 5
    client.close()


def test_the_table_alone_will_do(ancestor, tmp_path):
    rows = rows_of_table(ancestor / "results.tsv", tmp_path / "w", "", "old")
    (tmp_path / "w").mkdir()
    found = bring_in(rows, tmp_path / "w", "results.tsv")
    assert (found.run, found.candidates, found.scripts) == ("old", 6, False)
    again(tmp_path / "w", "results", tmp_path / "again.tsv")
    assert (tmp_path / "again.tsv").read_text() == (ancestor / "results.tsv").read_text()
    again(tmp_path / "w", "data", tmp_path / "d.jsonl")
    bring(tmp_path / "d.jsonl", tmp_path / "two")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a1b2c3d\t0.9\t44.0\tkeep", "Line 2 .* has 4 cells"),
        ("a1b2c3d\t0.9\t44.0\tmaybe\tx", "“maybe” instead of keep, discard or crash"),
        ("--help\t0.9\t44.0\tkeep\tx", "“--help”, which is no commit"),
        ("a1b2c3d\tnan\t44.0\tkeep\tx", "“nan”, which is none"),
        ("a1b2c3d\t0.000000\t44.0\tkeep\tx", "which is none"),
        ("", "no rows"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, row, said):
    path = tmp_path / "results.tsv"
    path.write_text(f"commit\tval_bpb\tmemory_gb\tstatus\tdescription\n{row}\n")
    with pytest.raises(EvolveError, match=said):
        rows_of_table(path, tmp_path, "", "x")


def test_what_is_no_table_or_no_branch_is_said(ancestor, tmp_path):
    path = tmp_path / "results.tsv"
    path.write_text("a,b\n")
    with pytest.raises(EvolveError, match=r"no results\.tsv"):
        rows_of_table(path, tmp_path, "", "x")
    with pytest.raises(UsageError, match="no branch --exec=x"):
        rows_of_table(ancestor / "results.tsv", ancestor, "--exec=x", "x")
    with pytest.raises(UsageError, match="does not exist"):
        rows_of_table(tmp_path / "no.tsv", tmp_path, "", "x")
    with pytest.raises(NothingToDo):
        again(tmp_path, "data", tmp_path / "d")
