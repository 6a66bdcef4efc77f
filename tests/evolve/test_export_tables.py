"""A run as files: every candidate in them, hostile titles harmless, and no file is ever written over by accident."""

import csv
import io
import json
import random
import sqlite3
import unicodedata
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evolve.client import Client
from evolve.export.page import page
from evolve.export.parquet import nanoseconds, seconds_of
from evolve.export.registry import KINDS, default_name
from evolve.export.results import COLUMNS
from evolve.export.selection import Selection, since
from evolve.export.tables import TABLES
from evolve.export.writing import export, stream
from evolve.model import (
    CandidateState,
    NothingToDo,
    Operator,
    Purpose,
    UsageError,
    Verdict,
)
from evolve.recordings import DEMO, unpack
from tests.evolve.family import KEY, Family
from tests.tui.live_run import LiveRun

HOSTILE = '=HYPERLINK("http://x")\t"quoted",\n\x1b[31mred'


@pytest.fixture
def client(tmp_path):
    with LiveRun(tmp_path) as run:
        number = run.add(HOSTILE, Operator.CROSSOVER, (1, 1))
        run.train(number, Purpose.SCREEN, 1.0)
        run.finish(2.1, CandidateState.JUDGED)
        run.journal.judge(number, Verdict.KEPT, "within 2 sigma", alive=True)
        run.add("waits", Operator.TUNE, (2,))
        client = Client(tmp_path)
        yield client
        client.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A client on the recorded run that is shipped."""
    folder = tmp_path_factory.mktemp("demo")
    unpack(DEMO, folder)
    client = Client(folder)
    yield client
    client.close()


def written(holder, kind, suffix, **given):
    out = io.BytesIO()
    stream(holder, kind, suffix, out, **given)
    return out.getvalue().decode()


def test_a_wide_table_has_a_line_for_each_candidate_and_no_cell_is_a_formula(client):
    text = written(client, "results", ".csv")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert len(text.splitlines()) == 4
    child = rows[1]
    assert child["title"].startswith("'=HYPERLINK")
    assert "\x1b" not in text
    assert float(child["val_bpb"]) == 2.1
    assert (child["verdict"], child["alive"], child["main"], child["trainings"]) == ("kept", "true", "false", "1")  # fmt: skip
    assert rows[0]["main"] == "true"
    assert float(child["corrected"]) != 2.1  # luck is taken off
    assert (rows[2]["val_bpb"], rows[2]["corrected"], rows[2]["verdict"]) == ("", "", "")
    assert list(rows[0]) == [column.name for column, _ in COLUMNS]


def test_the_ancestors_table_is_to_the_letter(client):
    assert written(client, "results", ".tsv").splitlines() == [
        "commit\tval_bpb\tmemory_gb\tstatus\tdescription",
        "0000000\t2.200000\t0.0\tkeep\tbaseline",
        '0000000\t2.100000\t0.0\tdiscard\t=HYPERLINK("http://x") "quoted", [31mred',
    ]


def test_json_lines_keep_what_was_written(client):
    rows = [json.loads(line) for line in written(client, "results", ".jsonl").splitlines()]
    assert rows[1]["title"] == client.candidate(2).title
    assert rows[1]["parents"] == [1, 1]
    assert rows[2]["val_bpb"] is None


def test_the_best_script_is_what_git_has_of_main(tmp_path):
    family = Family(tmp_path)
    client = Client(tmp_path)
    best = family.journal.run().incumbent
    about = export(client, "best", tmp_path / "best.py")
    assert (tmp_path / "best.py").read_text() == family.text(best)
    assert f"#{best}" in about
    client.close()
    family.close()


def test_what_cannot_be_exported_is_said(client, tmp_path):
    with pytest.raises(UsageError, match=r"ends with \.tsv or .*, not with “\.xlsx”"):
        written(client, "results", ".xlsx")
    with pytest.raises(UsageError, match="say results, data"):
        written(client, "everything", ".tsv")
    empty = Client(tmp_path / "nowhere")
    with pytest.raises(NothingToDo, match="no run here"):
        written(empty, "results", ".tsv")
    empty.close()


def test_usual_names_and_every_writer_is_there():
    for kind in KINDS:
        assert default_name(kind.name, "nov21") == f"nov21-{kind.name}{kind.forms[0].suffix}"
        assert len(set(kind.suffixes)) == len(kind.forms)
        assert all(callable(form.load()) for form in kind.forms)


# ---- the ancestor's notebook -------------------------------------------------------------------------------


def test_the_ancestors_notebook_reads_its_table(demo):
    """The cells of its analysis.ipynb, as far as they read and reckon."""
    df = pd.read_csv(io.BytesIO(written(demo, "results", ".tsv").encode()), sep="\t")
    df["val_bpb"] = pd.to_numeric(df["val_bpb"], errors="coerce")
    df["memory_gb"] = pd.to_numeric(df["memory_gb"], errors="coerce")
    df["status"] = df["status"].str.strip().str.upper()
    counts = df["status"].value_counts()
    valid = df[df["status"] != "CRASH"].copy().reset_index(drop=True)
    baseline = valid.loc[0, "val_bpb"]
    kept = valid[valid["status"] == "KEEP"]
    running = kept["val_bpb"].cummin()
    hits = kept.assign(delta=kept["val_bpb"].shift(1) - kept["val_bpb"]).dropna()
    assert counts["KEEP"] == 2
    assert counts.sum() == 27  # of 28, one was dropped untrained
    assert valid["val_bpb"].notna().all()
    assert (valid["val_bpb"] > 0).all()
    assert running.iloc[-1] == kept["val_bpb"].min() < baseline
    assert hits["delta"].iloc[0] == pytest.approx(baseline - running.iloc[-1])
    assert df["commit"].str.fullmatch("[0-9a-f]{7}").all()


# ---- every table, typed ------------------------------------------------------------------------------------


def test_parquet_holds_what_the_journal_holds_with_types_and_units(demo, tmp_path):
    assert export(demo, "data", tmp_path / "d") == "all data of 28 candidates"
    db = sqlite3.connect(demo.state / "journal.db")
    for table in TABLES:
        read = pq.read_table(tmp_path / "d" / f"{table.name}.parquet")
        assert read.column_names == [column.name for column in table.columns]
        for column, field in zip(table.columns, read.schema, strict=True):
            assert field.metadata[b"description"].decode() == column.about
            if column.unit and column.kind != "time":
                assert field.metadata[b"unit"].decode() == column.unit
        if table.source != "ratchet":  # the recording is older than this table
            assert read.num_rows == db.execute(f"SELECT count(*) FROM {table.source}").fetchone()[0]
    people = pq.read_table(tmp_path / "d" / "candidates.parquet")
    assert str(people.schema.field("created").type) == "timestamp[ns, tz=UTC]"
    assert pa.types.is_dictionary(people.schema.field("verdict").type)
    assert people.schema.metadata[b"autoresearch.version"] == b"1"
    rows = people.to_pylist()
    stored = db.execute("SELECT id, scores, parents, title FROM candidate ORDER BY id").fetchall()
    assert [(r["id"], r["scores"], r["parents"], r["title"]) for r in rows] == [
        (n, json.loads(scores), json.loads(parents), title) for n, scores, parents, title in stored
    ]
    main = next(r for r in rows if r["main"])
    assert main["p_better"] is None
    assert main["corrected"] == demo.beliefs()[main["id"]].mean
    db.close()


def test_pandas_joins_the_tables(demo, tmp_path):
    export(demo, "data", tmp_path / "d")
    tables = {t.name: pd.read_parquet(tmp_path / "d" / f"{t.name}.parquet") for t in TABLES}
    joined = tables["experiments"].merge(tables["candidates"], left_on="candidate", right_on="id")
    means = joined[joined["outcome_x"] == "ok"].groupby("candidate")["val_bpb_x"].mean()
    told = tables["candidates"].set_index("id")["val_bpb"].dropna()
    assert means.to_dict() == pytest.approx(told.to_dict())
    assert tables["curves"].groupby("experiment")["fraction"].max().le(1).all()
    assert tables["llm_calls"]["dollars"].sum() == pytest.approx(tables["run"]["dollars"].iloc[0])


def test_an_instant_comes_back_to_the_bit():
    rng = random.Random(3)
    for _ in range(20_000):
        moment = rng.uniform(2**24, 4e9)  # from summer 1970 on
        assert seconds_of(nanoseconds(moment)) == moment


def test_the_documentation_is_made_from_the_code():
    written_there = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    assert written_there == page(), "python -m evolve.export.page --write docs/export.md"


# ---- only some ---------------------------------------------------------------------------------------------


def test_only_some_candidates_come_along_with_what_is_theirs(demo, tmp_path):
    some = Selection(number=10, kept_only=True, category="optimizer")
    rows = [json.loads(r) for r in written(demo, "results", ".jsonl", selection=some).splitlines()]
    assert rows
    assert all(r["id"] >= 10 and r["category"] == "optimizer" for r in rows)
    assert {r["verdict"] for r in rows} <= {"baseline", "promoted", "kept"}
    export(demo, "data", tmp_path / "d", selection=some)
    mine = {row["id"] for row in rows}
    trainings = pq.read_table(tmp_path / "d" / "experiments.parquet").to_pylist()
    assert {row["candidate"] for row in trainings} == mine
    curves = pq.read_table(tmp_path / "d" / "curves.parquet")["experiment"].unique().to_pylist()
    assert set(curves) <= {row["id"] for row in trainings}
    calls = pq.read_table(tmp_path / "d" / "llm_calls.parquet")["candidate"].to_pylist()
    assert set(calls) <= {*mine, None}
    middle = demo.candidate(20).created
    later = written(demo, "results", ".jsonl", selection=Selection(time=middle)).splitlines()
    assert [json.loads(row)["id"] for row in later] == list(range(20, 29))


def test_a_selection_that_makes_no_sense_is_said(demo, tmp_path):
    with pytest.raises(NothingToDo, match="No candidate is like that"):
        written(demo, "results", ".csv", selection=Selection(number=1000))
    with pytest.raises(NothingToDo, match=r"there are .*optimizer"):
        written(demo, "results", ".csv", selection=Selection(category="optimiser"))
    with pytest.raises(UsageError, match="belongs together"):
        written(demo, "lineage", ".json", selection=Selection(number=3))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2h", (1_000_000 - 7200, 1)),
        ("1.5d", (1_000_000 - 129_600, 1)),
        ("#17", (None, 17)),
        ("17", (None, 17)),
        ("1970-01-02T00:00+00:00", (86_400, 1)),
    ],
)
def test_since_when(text, found):
    assert since(text, now=1_000_000) == found


@pytest.mark.parametrize("text", ["yesterday", "", "2 parsecs", "99999-01-01", "-3"])
def test_what_is_no_time_is_said(text):
    with pytest.raises(UsageError, match="is no time"):
        since(text)


# ---- hostile text ------------------------------------------------------------------------------------------

NASTY = (
    "</script><script>alert(1)</script>", "]]>", "a & b", "'\"\"'", "x\ny\r\nz", "nul\0byte", "\x07\x1b[2J",
    "\u202eevil\u2066", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\uff1d1+1", "a,b;c", "é" * 400,
    "x" * 1_000_000,
)  # fmt: skip


def test_no_text_breaks_a_table(tmp_path):
    csv.field_size_limit(2_000_000)
    with LiveRun(tmp_path) as run:
        for text in NASTY:
            number = run.add(text)
            run.train(number, Purpose.SCREEN, 1.0)
            run.finish(2.1, CandidateState.JUDGED)
            run.journal.judge(number, Verdict.REJECTED, text, alive=False)
        client = Client(tmp_path)
        titles = [client.candidate(n).title for n in range(1, len(NASTY) + 2)]
        reasons = [client.candidate(n).verdict_reason for n in range(1, len(NASTY) + 2)]
        table = list(csv.reader(io.StringIO(written(client, "results", ".csv"), newline="")))
        assert {len(row) for row in table} == {len(COLUMNS)}
        assert len(table) == len(NASTY) + 2
        cells = [cell for row in table[1:] for cell in row]
        assert not any(
            cell.startswith(("=", "+", "@", "-")) for cell in cells if not _is_number(cell)
        )
        assert not any(unicodedata.category(c) in ("Cc", "Cf") for cell in cells for c in cell)
        lines = written(client, "results", ".tsv").splitlines()
        assert {line.count("\t") for line in lines} == {4}
        assert len(lines) == len(NASTY) + 2
        back = [json.loads(row) for row in written(client, "results", ".jsonl").split("\n")[:-1]]
        assert [row["title"] for row in back] == titles
        assert [row["reason"] for row in back] == reasons
        export(client, "results", tmp_path / "r.parquet")
        assert pq.read_table(tmp_path / "r.parquet")["reason"].to_pylist() == reasons
        client.close()


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_no_credential_leaves(tmp_path, monkeypatch):
    monkeypatch.setenv("FAMILY_KEY", KEY)
    family = Family(tmp_path)
    family.journal.record_event("note", f"the key is {KEY}")
    client = Client(tmp_path)
    text = written(client, "data", ".jsonl")
    assert "the key is" in text
    assert KEY[:20] not in text
    client.close()
    family.close()
