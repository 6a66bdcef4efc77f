"""A run as files: every candidate in them, hostile titles harmless, and no file is ever written over by accident."""

import csv
import json
from pathlib import Path

import pytest

from evolve.client import Client
from evolve.exporting import SUFFIXES, default_name, prepare, save
from evolve.model import (
    CandidateState,
    EvolveError,
    NothingToDo,
    Operator,
    Purpose,
    UsageError,
    Verdict,
)
from tests.evolve.family import Family
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


@pytest.mark.parametrize(("suffix", "dialect"), [(".tsv", "excel-tab"), (".csv", "excel")])
def test_a_table_has_a_line_for_each_candidate_and_no_cell_is_a_formula(client, suffix, dialect):
    text = prepare(client, "results", suffix).text
    rows = list(csv.DictReader(text.splitlines(), dialect=dialect))
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


def test_json_lines_keep_what_was_written(client):
    rows = [json.loads(line) for line in prepare(client, "results", ".jsonl").text.splitlines()]
    assert rows[1]["title"] == client.candidate(2).title
    assert rows[1]["parents"] == [1, 1]
    assert rows[2]["val_bpb"] is None


def test_the_lineage_is_a_graph_of_parents_and_children(client):
    graph = json.loads(prepare(client, "lineage", ".json").text)
    assert [node["id"] for node in graph["nodes"]] == [1, 2, 3]
    assert graph["links"] == [
        {"source": 1, "target": 2, "parent": "first"},
        {"source": 1, "target": 2, "parent": "second"},
        {"source": 2, "target": 3, "parent": "first"},
    ]
    assert graph["graph"]["main"] == 1


def test_the_best_script_is_what_git_has_of_main(tmp_path):
    family = Family(tmp_path)
    client = Client(tmp_path)
    best = family.journal.run().incumbent
    export = prepare(client, "best", ".py")
    assert export.text == family.text(best)
    assert f"#{best}" in export.about
    client.close()
    family.close()


def test_what_cannot_be_exported_is_said(client, tmp_path):
    with pytest.raises(UsageError, match=r"ends with \.tsv or \.csv or \.jsonl, not with “\.xlsx”"):
        prepare(client, "results", ".xlsx")
    with pytest.raises(UsageError, match="say results, lineage or best"):
        prepare(client, "everything", ".tsv")
    empty = Client(tmp_path / "nowhere")
    with pytest.raises(NothingToDo, match="no run here"):
        prepare(empty, "results", ".tsv")
    empty.close()


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(tmp_path):
    path = tmp_path / "results.tsv"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"There is a file .* already"):
        save("ours\n", path, replace=False)
    assert path.read_text(encoding="utf-8") == "mine"
    save("ours\n", path, replace=True)
    assert path.read_text(encoding="utf-8") == "ours\n"
    with pytest.raises(EvolveError, match="cannot be written: no such file or directory"):
        save("x", tmp_path / "no" / "folder.tsv", replace=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results.tsv"]


def test_usual_names():
    assert [default_name(kind, "nov21") for kind in SUFFIXES] == [
        "nov21-results.tsv", "nov21-lineage.json", "nov21-best.py",
    ]  # fmt: skip
    assert Path(default_name("best", "x")).suffix in SUFFIXES["best"]
