"""results.tsv must read like the ancestor's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evolve.boot import boot
from evolve.engine import Engine
from evolve.model import CandidateState, EvolveError, Verdict
from evolve.results import Results
from evolve.serving import serve
from evolve.workspace import create
from harness.spec import Outcome
from tests.evolve.slots import ShortSlot, overrides
from tests.evolve.workbench import add, baseline, begin, judged, oid, open_journal, train


def test_rows_have_the_ancestors_columns_words_and_digits(tmp_path: Path) -> None:
    path = tmp_path / "results.tsv"
    with open_journal(tmp_path) as journal:
        baseline(journal, 0.9979, 0.9981)
        judged(journal, 1.0, Verdict.REJECTED)
        number = add(journal, 1, title="too\tbig\nby far")
        train(journal, number, None, then=CandidateState.JUDGED)
        journal.judge(number, Verdict.FAILED, "oom", alive=False)
        number = add(journal, 1)
        train(journal, number, 0.99, peak_memory_mb=1024.0)
        journal.judge(number, Verdict.KEPT, "", alive=True)
        number = add(journal, 1)
        train(journal, number, None, then=CandidateState.JUDGED, outcome=Outcome.PRUNED)
        journal.judge(number, Verdict.REJECTED, "Stopped early.", alive=False)
        journal.drop_candidate(add(journal, 1), "not wanted")
        add(journal, 1)
        Results(path).write(journal)
    assert path.read_text() == (
        "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
        "0000000\t0.998000\t0.0\tkeep\tidea 1\n"
        "0000000\t1.000000\t0.0\tdiscard\tidea 2\n"
        "0000000\t0.000000\t0.0\tcrash\ttoo big by far\n"
        "0000000\t0.990000\t1.0\tdiscard\tidea 4\n"
        "0000000\t0.000000\t0.0\tcrash\tidea 5 (stopped early)\n"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == [".autoresearch", "results.tsv"]


def test_a_table_of_somebody_else_is_moved_aside_once(tmp_path: Path) -> None:
    path = tmp_path / "results.tsv"
    theirs = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\nbea057b\t0.99\t44.0\tkeep\tmine\n"
    path.write_text(theirs)
    with open_journal(tmp_path) as journal:
        baseline(journal)
        Results(path).write(journal)
        Results(path).write(journal)
    (aside,) = tmp_path.glob("results-before-*.tsv")
    assert aside.read_text() == theirs
    assert path.read_text().splitlines()[1].startswith(oid(1)[:7])


def test_a_table_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results.tsv").mkdir()
    with open_journal(tmp_path) as journal:
        begin(journal)
        with pytest.raises(EvolveError, match=r"results\.tsv cannot be written"):
            Results(tmp_path / "results.tsv").write(journal)


def test_a_new_line_is_added_and_a_changed_one_makes_the_table_anew(tmp_path: Path) -> None:
    path = tmp_path / "results.tsv"
    table = Results(path)
    with open_journal(tmp_path) as journal:
        baseline(journal)

        def same() -> int:
            """The file's number, once it is what a table made from nothing would be."""
            table.write(journal)
            Results(tmp_path / "fresh.tsv").write(journal)
            assert path.read_text() == (tmp_path / "fresh.tsv").read_text()
            return path.stat().st_ino

        first = same()
        number = add(journal, 1)
        train(journal, number, 0.99)
        journal.judge(number, Verdict.KEPT, "", alive=True)
        assert same() == first, "a line more is added to the file that is there"
        late = add(journal, 1)
        again = add(journal, 1)
        train(journal, again, 0.98)
        journal.judge(again, Verdict.KEPT, "", alive=True)
        train(journal, late, 0.97)
        journal.judge(late, Verdict.KEPT, "", alive=True)
        assert same() == first
        journal.judge(number, Verdict.REJECTED, "It left the population.", alive=False)
        assert same() == first, "its line reads the same"
        train(journal, 1, 1.5)
        second = same()
        assert second != first, "the baseline's score is another one"
        path.write_text(path.read_text() + "a line of somebody\n")
        assert same() != second
        path.unlink()
        same()


def test_a_start_writes_what_a_killed_engine_could_not(tmp_path: Path) -> None:
    """Killed between a verdict and its line, and then the person pauses: the table must not wait for a training."""
    workspace = tmp_path / "work"
    create(workspace)
    given = overrides(tmp_path, **{"sandbox.level": "process", "stop.candidates": "2"})
    assert serve(workspace, overrides=given, allow_weak_sandbox=True, slot=ShortSlot()) == 0
    path = workspace / "results.tsv"
    whole = path.read_text()
    assert len(whole.splitlines()) > 2
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    more = {"stop.candidates": "4"}
    with boot(
        workspace, overrides=more, name=None, allow_weak_sandbox=True, on_event=None
    ) as ready:
        asyncio.run(Engine(ready, ShortSlot())._recover())
        assert path.read_text() == whole
