"""A run as files: every candidate in them, hostile titles harmless, and no file is ever written over by accident."""

import csv
import io
import json

import pytest

from evolve.client import Client
from evolve.export.registry import KINDS, default_name
from evolve.export.results import COLUMNS
from evolve.export.saving import save
from evolve.export.writing import export, stream
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
    with pytest.raises(UsageError, match="say results, lineage"):
        written(client, "everything", ".tsv")
    empty = Client(tmp_path / "nowhere")
    with pytest.raises(NothingToDo, match="no run here"):
        written(empty, "results", ".tsv")
    empty.close()


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(tmp_path):
    def ours(file):
        file.write(b"ours\n")

    path = tmp_path / "results.tsv"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"There is a file .* already"):
        save(path, ours, replace=False)
    assert path.read_text(encoding="utf-8") == "mine"
    save(path, ours, replace=True)
    assert path.read_text(encoding="utf-8") == "ours\n"
    with pytest.raises(EvolveError, match="cannot be written: no such file or directory"):
        save(tmp_path / "no" / "folder.tsv", ours, replace=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results.tsv"]


def test_usual_names_and_every_writer_is_there():
    for kind in KINDS:
        assert default_name(kind.name, "nov21") == f"nov21-{kind.name}{kind.forms[0].suffix}"
        assert len(set(kind.suffixes)) == len(kind.forms)
        assert all(callable(form.load()) for form in kind.forms)
