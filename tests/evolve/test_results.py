"""results.tsv must read like the ancestor's own."""

from __future__ import annotations

from pathlib import Path

from evolve.model import Candidate, CandidateState, Operator, Verdict
from evolve.results import write_results


def candidate(
    number: int, verdict: Verdict | None, *scores: float, title: str = "an idea"
) -> Candidate:
    return Candidate(
        id=number,
        operator=Operator.MUTATE,
        proposer="builtin",
        parents=(),
        title=title,
        hypothesis="",
        category="other",
        commit=f"{number:040x}",
        source_sha="",
        code_hash="",
        lines=10,
        created=0.0,
        state=CandidateState.JUDGED,
        verdict=verdict,
        scores=scores,
    )


def test_rows_have_the_ancestors_columns_words_and_digits(tmp_path: Path) -> None:
    path = tmp_path / "results.tsv"
    write_results(
        path,
        [
            (candidate(1, Verdict.BASELINE, 0.9979, 0.9981, title="the baseline"), 45056.0),
            (candidate(2, Verdict.REJECTED, 1.0), None),
            (candidate(3, Verdict.FAILED, title="too\tbig\nby far"), None),
            (candidate(4, None), None),
            (candidate(5, Verdict.DROPPED), None),
            (candidate(6, Verdict.KEPT, 0.99), 1024.0),
        ],
    )
    assert path.read_text() == (
        "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
        "0000000\t0.998000\t44.0\tkeep\tthe baseline\n"
        "0000000\t1.000000\t0.0\tdiscard\tan idea\n"
        "0000000\t0.000000\t0.0\tcrash\ttoo big by far\n"
        "0000000\t0.990000\t1.0\tkeep\tan idea\n"
    )
    assert list(tmp_path.iterdir()) == [path]
