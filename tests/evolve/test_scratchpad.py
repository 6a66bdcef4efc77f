"""The scratchpad: read strictly, rewritten by a model or from the figures, a person's own, and one advice a prompt."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from evolve.findings import findings
from evolve.model import Operator, UsageError
from evolve.propose.operators import Attempt
from evolve.propose.scratchpad import LIMIT, Malformed, Scratchpad, parse
from evolve.trends import Trend
from tests.evolve.workbench import begin, open_journal

PAD = """Here is what I think.

# Summary
Twelve children,
three of them good.

## Insights:
- the rate matters (#3)
  more than depth
* memory is short
# Recommendations
1. raise MATRIX_LR to 0.06
2) halve the batch
"""


def test_a_scratchpad_is_read_into_plain_lines_and_written_in_one_form() -> None:
    pad = parse(PAD)
    assert pad.summary == "Twelve children, three of them good."
    assert pad.insights == ("the rate matters (#3) more than depth", "memory is short")
    assert pad.recommendations == ("raise MATRIX_LR to 0.06", "halve the batch")
    assert parse(str(pad)) == pad


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "“# Summary” is missing"),
        ("# Summary\nx\n# Insights\n- y\n", "“# Recommendations” is missing"),
        ("# Summary\n\n# Insights\n- y\n# Recommendations\n1. z", "“# Summary” is empty"),
        (
            "# Summary\nx\n# Recommendations\n1. z\n# Insights\n- y",
            "in the order Summary, Insights",
        ),
        ("# Summary\nx\n# Insights\n# Insights\n# Recommendations\n1. z", "is there twice"),
        ("# Summary\nx\n# Insights\n# Recommendations\n", "there are 0 recommendations"),
        (f"{PAD}3. a\n4. b\n5. c\n6. d\n", "there are 6 recommendations"),
        (PAD.replace("1. raise", "raise"), "is a list, but begins with “raise MATRIX_LR"),
        (f"{PAD}\n# Orders\nobey", "there is no section “# Orders”"),
        (PAD.replace("Twelve", "x" * LIMIT), "at most 6,000 characters"),
        ("# Summary\n" + "x" * 1_000_000, "this has 1,000,010"),
    ],
)
def test_what_is_no_scratchpad_is_refused_with_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert why in str(caught.value)
    assert isinstance(caught.value, UsageError)


def test_whatever_is_accepted_reads_the_same_again() -> None:
    rng = random.Random(3)
    pieces = (
        "#",
        "# Summary",
        "Insights",
        "- ",
        "1. ",
        "```",
        "\x1b[2J",
        "\n",
        " ",
        "x",
        "*",
        "\u202e",
        "</scratchpad>",
    )
    accepted = 0
    for _ in range(3000):
        noise = ["".join(rng.choices(pieces, k=rng.randrange(6))) for _ in range(3)]
        text = f"# Summary\na {noise[0]}\n# Insights\n- b {noise[1]}\n# Recommendations\n1. c {noise[2]}\n"
        try:
            pad = parse(text)
        except Malformed:
            continue
        accepted += 1
        assert parse(str(pad)) == pad
        assert "\x1b" not in str(pad)
        assert "\u202e" not in str(pad)
    assert accepted > 500


# ---- without a language model --------------------------------------------------------------------------------


def attempt(
    number: int, status: str = "rejected", delta: float | None = 0.01, **given: object
) -> Attempt:
    plain: dict[str, object] = {
        "parents": (1,),
        "operator": Operator.TUNE,
        "title": f"idea {number}",
        "category": "optimizer",
        "changes": (),
    }
    return Attempt(id=number, status=status, delta_bpb=delta, **(plain | given))  # type: ignore[arg-type]


def trend(
    key: str, attempts: int, kept: int = 0, failed: int = 0, gain: float | None = -0.5
) -> Trend:
    return Trend(key, attempts, attempts - failed, failed, 0, kept, gain, gain, "", 0)


HISTORY = (
    attempt(2, "kept", -0.03, changes=("MATRIX_LR: 0.04 -> 0.05",), confirmed=True),
    attempt(3, "promoted", -0.05, title="gate the MLP", category="architecture"),
    attempt(4, changes=("WARMDOWN: 0.5 -> 0.7",)),
    attempt(5, changes=("WARMDOWN: 0.5 -> 0.8",)),
    attempt(6, "oom", None, category="size"),
)
TRENDS = (
    trend("optimizer", 3, kept=1, gain=0.2),
    trend("architecture", 1, kept=1),
    trend("size", 1, failed=1),
)


def test_figures_alone_make_a_scratchpad_of_gains_dead_ends_and_what_was_never_tried() -> None:
    pad = findings(TRENDS, HISTORY, 0.01)
    assert pad == findings(TRENDS, HISTORY, 0.01)
    assert pad.summary.startswith(
        "5 children have a verdict: 0 became main, 2 joined the population"
    )
    assert "1 failed (1 out of memory)" in pad.summary
    text = "\n".join(pad.insights)
    assert "#3 “gate the MLP” (architecture) gained: -0.05000, one training" in text
    assert "dead end: “WARMDOWN up”: 2 times without a gain (#4, #5), at best +0.01000" in text
    advice = "\n".join(pad.recommendations)
    assert "Go on with “MATRIX_LR: 0.04 -> 0.05”, which gained 0.03000 in #2" in advice
    assert "Join #3 “gate the MLP” and #2 “idea 2”" in advice
    assert "Tune the rates and sizes that #3" in advice
    assert "attention or schedule or init" in advice
    assert 1 <= len(pad.recommendations) <= 5
    assert parse(str(pad)) == pad


def test_an_empty_run_has_advice_too_and_a_crowded_one_stays_within_its_size() -> None:
    assert len(findings((), (), None).recommendations) >= 1
    crowd = tuple(
        attempt(n, "kept", -n / 1000, title="“</scratchpad>” " * 10 + str(n)) for n in range(2, 190)
    )
    long = Scratchpad(
        "s",
        tuple(f"{n} {'i' * 390}" for n in range(12)),
        tuple(f"{n} {'r' * 200}" for n in range(3)),
    )
    pad = findings(TRENDS, crowd, 0.001, long)
    assert len(str(pad)) <= LIMIT
    assert parse(str(pad)) == pad


def test_what_a_person_wrote_stands_first() -> None:
    mine = Scratchpad("mine", ("depth is settled",), ("try relu²",))
    pad = findings(TRENDS, HISTORY, 0.01, mine)
    assert pad.insights[0] == "depth is settled"
    assert pad.recommendations[0] == "try relu²"
    assert pad.summary != "mine"


# ---- in the journal ------------------------------------------------------------------------------------------


def test_the_journal_keeps_every_version_of_scratchpads_and_templates(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        assert journal.scratchpad() is None
        first = journal.write_scratchpad("one", source="builtin", who="builtin", settled=3)
        journal.write_scratchpad("two", source="human", who="ann", settled=4)
        assert [(n.text, n.who, n.settled) for n in journal.scratchpads()] == [
            ("two", "ann", 4),
            ("one", "builtin", 3),
        ]
        assert journal.scratchpads(1)[0] == journal.scratchpad() != first
        journal.keep_templates([("v1", "mutate", "a"), ("v1", "tune", "a"), ("v2", "mutate", "b")])
        kept = journal.templates()
        journal.keep_templates([("v1", "mutate", "a"), ("v3", "mutate", "c")])
        assert journal.templates()[:3] == kept
        assert [(t.version, t.operator) for t in journal.templates()[3:]] == [("v3", "mutate")]
        begin(journal, "another")
        assert journal.scratchpads() == ()  # of another run
        assert len(journal.templates()) == 4


def test_refusals_are_found_by_the_parent(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        for number in range(6):
            journal.record_event("refused", "no", 1 + number % 2, {"title": f"idea {number}"})
        journal.record_event("verdict", "else", 1)
        assert [e.data["title"] for e in journal.refusals(1, 2)] == ["idea 2", "idea 4"]
        assert journal.refusals(3, 2) == ()
