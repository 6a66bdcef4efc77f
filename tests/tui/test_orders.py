"""The orders in words: how a line is read, what it may go on with, and what is said about a line that makes no sense."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from evolve.model import UsageError
from tui.arguments import REST, Kind
from tui.commands.texts import enclosed
from tui.completing import MOST, Known, complete
from tui.orders import ORDERS, names, order, parse

KNOWN = Known(
    candidates={12: "wider MLP", 3: "relu2 -> silu", 120: "12 heads"},
    queue={3: "relu2 -> silu", 120: "12 heads"},
    settings={"population.size": "8", "population.plateau": "20", "pruning.enabled": "true"},
)


def said(line: str) -> str:
    with pytest.raises(UsageError) as found:
        parse(line)
    return str(found.value)


def offered(line: str, **how: bool) -> list[str]:
    return [completion.word for completion in complete(line, KNOWN, **how)]


# ---- the registry -----------------------------------------------------------------------------------------


def test_names_are_unique_and_every_example_is_understood() -> None:
    assert [name for name, count in Counter(names()).items() if count > 1] == []
    for one in ORDERS:
        wish = parse(one.example)
        assert (wish.name, wish.verb, wish.acting) == (one.name, one.verb, one.acting)
        assert one.help.endswith(".")
        assert not one.summary.endswith(".")


def test_only_the_last_place_of_an_order_takes_the_rest_of_the_line() -> None:
    for one in ORDERS:
        places = [a for a in one.arguments if not (a.option or a.kind is Kind.FLAG)]
        assert not any(a.kind in REST for a in places[:-1]), one.name
        assert not any(a.optional for a in places[:-1]), one.name


# ---- reading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "verb", "args"),
    [
        ("pause", "pause", {}),
        ("  stop   --now ", "stop", {"now": True}),
        ("stop", "stop", {"now": False}),
        ("kill", "kill", {"again": False}),
        ("boost 12", "boost", {"candidate": 12}),
        ("boost 12 0", "boost", {"candidate": 12, "times": 0}),
        ("remeasure 7 2", "remeasure", {"candidate": 7, "times": 2}),
        ("reject 12", "reject", {"candidate": 12}),
        ("reject #12 it's too slow", "reject", {"candidate": 12, "reason": "it's too slow"}),
        ("pin 12", "pin", {"candidate": 12}),
        ("pin #012", "pin", {"candidate": 12}),
        ("set population.size 12", "set", {"key": "population.size", "value": "12"}),
        ('set llm.models ["a",  "b"]', "set", {"key": "llm.models", "value": '["a",  "b"]'}),
        ('set prompts.tune ""', "set", {"key": "prompts.tune", "value": '""'}),
        ("move 12 first", "move", {"candidate": 12, "to": "first"}),
        ("move 12 3", "move", {"candidate": 12, "to": 3}),
        ("move 12 up", "move", {"candidate": 12, "by": -1}),
        ("move 12 +2", "move", {"candidate": 12, "by": 2}),
        ('inject "my train.py"', "inject", {"source": "my train.py"}),
        ('inject a.py --title "wider MLP"', "inject", {"source": "a.py", "title": "wider MLP"}),
        ("inject a.py --title it's wider", "inject", {"source": "a.py", "title": "it's wider"}),
    ],
)
def test_a_line_becomes_a_wish(line: str, verb: str, args: dict[str, object]) -> None:
    wish = parse(line)
    assert (wish.verb, wish.args) == (verb, args)


def test_the_words_of_a_command_line_are_read_the_same() -> None:
    assert parse(["move", "#12", "-1"]) == parse("move 12 -1")
    assert parse(["set", "population.size", "12"]) == parse("set population.size 12")
    assert parse(["inject", "a b.py", "--title", "two", "words"]).args == {
        "source": "a b.py",
        "title": "two words",
    }


def test_a_wish_is_told_in_one_short_line() -> None:
    assert parse("pin 012").words == "pin #12"
    assert parse("stop --now").words == "stop now"
    assert parse("set prompts.mutate " + "very long " * 30).words.endswith("…")
    assert len(parse("set prompts.mutate " + "very long " * 30).words) == 60


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "Say what is to be done"),
        ("pni 12", "There is no command “pni”; did you mean “pin”?"),
        ("juggle", "There is no command “juggle”."),
        ("pin", "`pin` wants CANDIDATE: its number, such as 12. For example: pin 12"),
        ("pin twelve", "“twelve” is no candidate"),
        ("pin 0", "“0” is no candidate"),
        ("pin 12 13", "“13” is one word too many; it is: pin CANDIDATE"),
        ("stop --know", "`stop` has no option --know; did you mean “--now”?"),
        ("inject a.py --title", "--title wants one line"),
        ("boost 12 often", "TIMES is a whole number of at least 0, not “often”."),
        ("move 12 sideways", "“sideways” is no place in the queue"),
        ("move 12 0", "“0” is no place in the queue"),
        ("set population.size", "`set` wants VALUE"),
    ],
)
def test_a_line_that_makes_no_sense_gets_one_sentence(line: str, words: str) -> None:
    sentence = said(line)
    assert words in sentence
    assert "\n" not in sentence


# ---- completing -------------------------------------------------------------------------------------------


def test_an_empty_line_offers_every_order() -> None:
    assert offered("") == names()
    assert offered("un") == [name for name in names() if name.startswith("un")] != []


def test_who_only_watches_is_offered_no_order_that_acts() -> None:
    assert not {order(name).acting for name in offered("", acting=False)} - {False}
    assert offered("pin ", acting=False) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pin ", ["12", "3", "120"]),
        ("pin #1", ["12", "120"]),
        ("approve ", ["3", "120"]),
        ("pin 12 ", []),
        ("juggle ", []),
        ("set pop", ["population.size", "population.plateau"]),
        ("set population.size ", ["8"]),
        ("set pruning.enabled ", ["true", "false"]),
        ("stop ", ["--now"]),
        ("stop --now ", []),
        ("inject a.py --", ["--title"]),
        ("inject a.py --title ", []),
        ("move 3 l", ["last"]),
    ],
)
def test_a_line_may_go_on_so(line: str, words: list[str]) -> None:
    assert offered(line) == words


def test_a_completion_is_a_line_and_says_what_it_is_about() -> None:
    first, second = complete("pin #1", KNOWN)
    assert (first.line, first.about) == ("pin 12", "wider MLP")
    assert (second.line, second.about) == ("pin 120", "12 heads")
    (size,) = complete("set population.s", KNOWN)
    assert (size.line, size.about) == ("set population.size", "8")


def test_a_crowd_is_not_listed_to_its_end() -> None:
    crowd = Known(candidates=dict.fromkeys(range(1, 1000), ""))
    assert len(complete("pin ", crowd)) == MOST


# ---- files ------------------------------------------------------------------------------------------------


def test_files_that_a_wish_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("DEPTH = 3\n")
    assert enclosed(parse("inject mine.py"), tmp_path).args == {
        "source": "DEPTH = 3\n",
        "title": "mine",
    }
    titled = enclosed(parse("inject mine.py --title deeper"), tmp_path)
    assert titled.args["title"] == "deeper"
    template = enclosed(parse("set prompts.mutate @mine.py"), tmp_path)
    assert template.args["value"] == "DEPTH = 3\n"
    plain = parse("set llm.model @mine.py")
    assert enclosed(plain, tmp_path) == plain
    with pytest.raises(UsageError, match="There is no file"):
        enclosed(parse("inject other.py"), tmp_path)
