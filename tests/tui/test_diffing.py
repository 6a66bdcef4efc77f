"""What differs between two scripts, without a terminal: alignment, words, folding, syntax, hostile text."""

from __future__ import annotations

import random
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evolve.family import TRAIN
from tests.tui.recording import asking, candidate, script
from tui.comparing import Code, Comparison, Conversation, Printed, Shelf
from tui.state import ViewState
from tui.widgets.diffing import (
    Fold,
    Kind,
    Row,
    align,
    changed_words,
    folded,
    patch,
    visible,
    visible_lines,
)
from tui.widgets.diffpage import diff_sheet, numbered, statistics
from tui.widgets.ink import ASCII, UNICODE, Ink, line_width, text_of
from tui.widgets.papers import answer_sheet, log_sheet, prompt_sheet, summary
from tui.widgets.syntax import coloured, marked, wrapped

HOSTILE = "x = 1  # \x1b[2J\x1b]52;c;aGk=\a \u202eevil\u202c a\u200db\ufe0f \x9b31m \u2028 é 日本語\ttab\r"
STATE = ViewState()


def code(text: str, *, ascii_only: bool = False) -> Code:
    lines = visible_lines(text, ascii_only=ascii_only)
    return Code(text, lines, coloured(lines))


def compared(old: str, new: str, *, ascii_only: bool = False) -> Comparison:
    a, b = code(old, ascii_only=ascii_only), code(new, ascii_only=ascii_only)
    left, right = candidate(7), candidate(12)
    return Comparison(left, right, a, b, align(a.lines, b.lines))


# ---- alignment -------------------------------------------------------------------------------------------


def rebuilt(rows: tuple[Row, ...]) -> tuple[list[int], list[int]]:
    return [r.left for r in rows if r.left is not None], [
        r.right for r in rows if r.right is not None
    ]


def test_every_line_of_both_sides_stands_in_the_alignment_once_and_in_order():
    chance = random.Random(5)
    for _ in range(200):
        left = [chance.choice("abcdef") for _ in range(chance.randrange(12))]
        right = [chance.choice("abcdef") for _ in range(chance.randrange(12))]
        found = align(left, right)
        assert rebuilt(found.rows) == (list(range(len(left))), list(range(len(right))))
        for row in found.rows:
            if row.kind is Kind.SAME:
                assert row.left is not None
                assert row.right is not None
                assert left[row.left] == right[row.right]
        assert len(right) - len(left) == found.added - found.removed
        inside = {i for first, end in found.hunks for i in range(first, end)}
        assert {i for i, r in enumerate(found.rows) if r.kind is not Kind.SAME} == inside


def test_like_lines_face_each_other_and_unlike_ones_do_not():
    old = ["        return self.out(F.relu(self.fc(x)).square())"]
    new = ["        hidden = gate(y)", "        return self.out(F.silu(self.fc(x)))"]
    rows = align(old, new).rows
    assert [(row.kind, row.left, row.right) for row in rows] == [
        (Kind.ADDED, None, 0),
        (Kind.CHANGED, 0, 1),
    ]
    ((start, end), *_) = rows[1].left_marks
    assert old[0][start:end] == "relu"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("LR = 0.04  # Muon", "LR = 0.05  # Muon", ("0.04", "0.05")),
        ("a, b", "a, b, c", ("", ", c")),
        ("x = 1", "x  = 1", (" ", "  ")),
        ("completely", "different words here", ("", "")),  # marking everything says nothing
    ],
)
def test_the_words_that_changed_are_marked(old, new, expected):
    ours, theirs = changed_words(old, new)
    shown = "".join(old[a:b] for a, b in ours), "".join(new[a:b] for a, b in theirs)
    assert shown == expected


def test_what_is_the_same_is_folded_but_for_a_few_lines():
    lines = [f"line {n}" for n in range(100)]
    other = [*lines[:50], "another", *lines[51:]]
    shown = folded(align(lines, other), 3)
    assert [entry for entry in shown if isinstance(entry, Fold)] == [Fold(0, 47), Fold(54, 100)]
    assert len(shown) == 2 + 7
    near = folded(align(lines[:3], ["x", *lines[1:3]]), 3)
    assert not [entry for entry in near if isinstance(entry, Fold)]


def test_hostile_sizes_are_bounded():
    began = time.process_time()
    for left, right in (
        (["x"] * 3000, ["x", "y"] * 2000),
        (["a b " * 50] * 60, ["b a " * 50] * 60),
        (["(" * 1000] * 30, [")" * 999] * 30),
    ):
        found = align(left, right)
        assert len(rebuilt(found.rows)[0]) == len(left)
    assert time.process_time() - began < 20  # without bounds it is minutes


def test_a_patch_is_what_git_takes(tmp_path: Path):
    old, new = TRAIN.read_text(), TRAIN.read_text().replace("MLP_RATIO = 4", "MLP_RATIO = 3")
    new = new.rstrip("\n") + "  # no newline at the end"
    (tmp_path / "train.py").write_text(old)
    text = patch(old, new, ("train.py", "train.py"))
    subprocess.run(["git", "apply", "-"], input=text.encode(), cwd=tmp_path, check=True)
    assert (tmp_path / "train.py").read_text() == new
    assert patch(old, old, ("a", "b")) == ""


# ---- characters ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ascii_only", [False, True])
def test_nothing_hides_in_a_line(ascii_only):
    shown = visible(HOSTILE, ascii_only=ascii_only)
    assert shown.isprintable()
    for told in ("\\x1b[2J", "\\u202eevil", "\\u200d", "\\x07", "\\u2028", "\\x0d", "\\x9b"):
        assert told.replace("\\x9b", "\\u009b") in shown
    assert shown.isascii() is ascii_only
    # what looks the same is the same:
    assert visible("a\u200db") != visible("ab")
    assert visible("\tx") != visible("    x")
    assert visible("é", ascii_only=True) != visible("è", ascii_only=True)
    assert visible("x" * 2000 + "a") != visible("x" * 2000 + "b")
    assert len(visible("x" * 1_000_000)) < 1100


def test_only_a_line_feed_ends_a_line():
    assert visible_lines("a\x0cb\u2028c\r\nd\n") == ("a\\x0cb\\u2028c\\x0d", "d")
    assert visible_lines("") == ("",)


# ---- syntax ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [TRAIN.read_text(), HOSTILE, "'''open\nstring", "\\\n\t\t(((", "x" * 500_000, ""]
)
def test_colours_change_no_character(text):
    lines = visible_lines(text)
    found = coloured(lines)
    assert tuple("".join(part for part, _ in line) for line in found) == lines


def test_what_a_word_is_decides_its_ink():
    line = dict(coloured(["@jit", 'def f(x): return "s" + 4  # why'])[1])
    assert line["f"] is Ink.DEFINED
    assert line['"s" '] is Ink.STRING
    assert line["4  "] is Ink.NUMBER
    assert line["# why"] is Ink.COMMENT
    assert line["def "] is line["return "] is Ink.KEYWORD


def test_marked_words_and_breaks_keep_the_text():
    (line,) = coloured(["LR = 0.04  # Muon's step"])
    found = marked(line, ((5, 9),), Ink.REMOVED, Ink.REMOVED_WORD)
    assert ("0.04", Ink.REMOVED_WORD) in found
    assert found[0] == ("LR = ", Ink.REMOVED)
    assert text_of([found]) == text_of([line])
    wide = (("日本語ab" * 3, Ink.PLAIN),)
    parts = wrapped(wide, 5)
    assert all(line_width(part) <= 5 for part in parts)
    assert "".join(text_of([part]) for part in parts) == "日本語ab" * 3


# ---- pages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("columns", [40, 80, 141])
def test_a_diff_keeps_its_width_and_its_character_set(split, glyphs, columns):
    ascii_only = glyphs is ASCII
    old = TRAIN.read_text() + HOSTILE
    new = old.replace("F.relu(self.fc(x)).square()", "F.silu(self.fc(x))") + "\n" + HOSTILE * 9
    comparison = compared(old, new, ascii_only=ascii_only)
    sheet = diff_sheet(comparison, columns, glyphs, split=split, fold=True)
    assert all(line_width(line) <= columns for line in sheet.lines)
    shown = text_of(sheet.lines)
    assert shown.replace("\n", "").isprintable()
    assert shown.isascii() or not ascii_only
    assert len(sheet.stops) == 2
    assert "lines the same" in shown
    for stop in sheet.stops:  # each leads to a changed line
        inks = {ink for _, ink in sheet.lines[stop]}
        assert inks & {Ink.ADDED, Ink.REMOVED}


def test_without_colours_the_signs_say_what_changed():
    comparison = compared(script(3), script(4))
    sheet = diff_sheet(comparison, 80, UNICODE, split=False, fold=True)
    lines = [text_of([line]) for line in sheet.lines]
    assert "  3    - MATRIX_LR = 0.043  # Muon" in lines
    assert "     3 + MATRIX_LR = 0.044  # Muon" in lines
    strong = {text for line in sheet.lines for text, ink in line if ink is Ink.ADDED_WORD}
    assert strong == {"0.044", "PlainMLP"}
    assert statistics(comparison, UNICODE) == "+2 −2 in 2 places"
    assert statistics(comparison, ASCII) == "+2 -2 in 2 places"


def test_a_fold_names_the_function_that_goes_on_below_it():
    text = (
        "class Block:\n    def forward(self, x):\n" + "        x = x\n" * 20 + "        return x\n"
    )
    sheet = diff_sheet(compared(text, text.replace("return x", "return y")), 80, UNICODE,
                       split=False, fold=True)  # fmt: skip
    assert "19 lines the same  def forward(self, x)" in text_of(sheet.lines)


def test_equal_scripts_are_said_to_be_equal():
    sheet = diff_sheet(compared("a = 1\n", "a = 1"), 80, UNICODE, split=False, fold=True)
    assert "Their scripts are the same" in text_of(sheet.lines)


def test_a_script_has_line_numbers_and_stops_at_definitions():
    sheet = numbered(code(TRAIN.read_text()), 100)
    shown = [text_of([line]) for line in sheet.lines]
    assert shown[0].startswith("   1 ")
    assert {"class", "def"} <= {shown[stop][5:].split()[0] for stop in sheet.stops}


def test_painting_seven_hundred_lines_is_fast():
    old = TRAIN.read_text()
    new = old.replace("self", "me", 40)
    began = time.process_time()
    comparison = compared(old, new)
    for split in (False, True):
        diff_sheet(comparison, 160, UNICODE, split=split, fold=False)
    assert time.process_time() - began < 3.0  # a fifth of that on a quiet machine


def test_a_shelf_reads_each_script_once_and_keeps_only_the_last_ones():
    class Counting:
        read: list[int] = []  # noqa: RUF012

        def candidate(self, number):
            return candidate(number)

        def source(self, number):
            self.read.append(number)
            return script(number)

    source, shelf = Counting(), Shelf(ascii_only=False)
    first = shelf.compare(source, (None, 9))
    assert first.pair == (4, 9)
    assert shelf.compare(source, (9, 4)).pair == (9, 4)
    assert source.read == [9, 4]
    for number in range(20, 40):
        shelf.code(source, candidate(number))
    shelf.compare(source, (None, 9))
    assert source.read.count(9) == 2
    assert shelf.compare(source, (None, 1)).left is None


# ---- papers ----------------------------------------------------------------------------------------------


def test_what_a_model_was_asked_and_answered_is_shown_to_the_character():
    asked = asking(12, answer=f"title: x\n    {HOSTILE}\n")
    talk = Conversation(candidate(12), (asked,))
    prompt, answer = prompt_sheet(STATE, talk, 100), answer_sheet(STATE, talk, 200)
    shown = text_of(prompt.lines)
    for told in ("claude-opus-5-5 mutate, answered in 0:12, $0.031", "3.9k tokens in (3.0k from",
                 "max_tokens 32000", "─ system ─", "─ user ─", "class PlainMLP:"):  # fmt: skip
        assert told in shown
    assert len(prompt.stops) == 3
    assert "     x = 1  # \\x1b[2J" in text_of(answer.lines)
    assert text_of(answer.lines).replace("\n", "").isprintable()
    assert summary(talk) == "1 call, $0.031"
    failed = replace(asked, call=replace(asked.call, status="refused", error="No."), answer="")
    told = text_of(answer_sheet(STATE, Conversation(candidate(12), (failed,)), 60).lines)
    assert "refused" in told
    assert " No." in told


def test_papers_that_are_not_there_say_why():
    none = Conversation(candidate(9), ())
    assert "No language model was asked for #9." in text_of(prompt_sheet(STATE, none, 200).lines)
    seed = Conversation(candidate(1), ())
    assert "the run began with" in text_of(answer_sheet(STATE, seed, 200).lines)
    silent = Printed(candidate(9), None)
    assert "printed nothing yet" in text_of(log_sheet(STATE, silent, 200).lines)
