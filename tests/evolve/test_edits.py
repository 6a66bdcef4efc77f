"""An answer is applied where it fits exactly once, all of it, or not at all."""

from __future__ import annotations

import pytest

from evolve.propose.answers import NoEdit, parse_answer, realise
from evolve.propose.edits import EditError, apply_edits, parse_edits

SOURCE = """\
import torch

DEPTH = 8  # layers
MATRIX_LR = 0.04


class Block:
    def forward(self, x):
        x = x + self.attn(x)
        x = x + self.mlp(x)
        return x


class Head:
    def forward(self, x):
        return self.proj(x)
"""


def block(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def apply(source: str, *blocks: str) -> str:
    return apply_edits(source, parse_edits("\n".join(blocks)))


# ---- where a block fits ------------------------------------------------------------------------------------


def test_an_exact_match_is_replaced_and_nothing_else_changes() -> None:
    child = apply(SOURCE, block("MATRIX_LR = 0.04", "MATRIX_LR = 0.05"))
    assert child == SOURCE.replace("0.04", "0.05")


def test_several_blocks_apply_whatever_their_order() -> None:
    one, two = (
        block("DEPTH = 8  # layers", "DEPTH = 9"),
        block("        x = x + self.mlp(x)", "        x = self.mlp(x)"),
    )
    assert apply(SOURCE, one, two) == apply(SOURCE, two, one)


def test_trailing_blanks_and_outer_empty_lines_are_forgiven() -> None:
    child = apply(
        SOURCE.replace("DEPTH = 8  # layers", "DEPTH = 8  # layers   "),
        block("\nDEPTH = 8  # layers\n", "DEPTH = 9"),
    )
    assert "DEPTH = 9\nMATRIX_LR" in child


def test_one_shift_of_the_indentation_is_carried_over_to_the_replacement() -> None:
    child = apply(
        SOURCE,
        block(
            "x = x + self.mlp(x)\nreturn x",
            "x = x + self.mlp(x)\nif True:\n    x = 2 * x\nreturn x",
        ),
    )
    assert "        if True:\n            x = 2 * x\n        return x\n" in child


def test_a_block_that_is_indented_too_far_is_pulled_back() -> None:
    assert "\nDEPTH = 9\n" in apply(SOURCE, block("    DEPTH = 8  # layers", "    DEPTH = 9"))


def test_an_uneven_shift_is_no_match() -> None:
    with pytest.raises(EditError, match="not in the file"):
        apply(SOURCE, block("x = x + self.mlp(x)\n    return x", "return x"))


def test_a_whole_line_is_matched_never_a_part_of_one() -> None:
    with pytest.raises(EditError, match="not in the file"):
        apply(SOURCE, block("LR = 0.04", "LR = 0.05"))


def test_an_empty_replacement_deletes() -> None:
    child = apply(SOURCE, "<<<<<<< SEARCH\nMATRIX_LR = 0.04\n=======\n>>>>>>> REPLACE")
    assert child == SOURCE.replace("MATRIX_LR = 0.04\n", "")


def test_a_block_may_build_on_the_one_before_it() -> None:
    child = apply(
        SOURCE,
        block("DEPTH = 8  # layers", "DEPTH = 9\nWIDTH = 64"),
        block("WIDTH = 64", "WIDTH = 128"),
    )
    assert "DEPTH = 9\nWIDTH = 128\n" in child


def test_windows_line_ends_are_kept_and_a_missing_final_newline_is_added() -> None:
    windows = SOURCE.rstrip("\n").replace("\n", "\r\n")
    child = apply(windows, block("MATRIX_LR = 0.04", "MATRIX_LR = 0.05"))
    assert child == SOURCE.replace("0.04", "0.05").replace("\n", "\r\n")
    last = apply(
        SOURCE.rstrip("\n"),
        block("        return self.proj(x)", "        return x").replace("\n", "\r\n"),
    )
    assert last.endswith("        return x\n")


# ---- what does not fit -------------------------------------------------------------------------------------


def test_a_text_that_is_not_there_is_named_with_the_nearest_lines() -> None:
    with pytest.raises(EditError) as caught:
        apply(SOURCE, block("        x = x + self.attn(x)\n        x = x + self.ffn(x)", "pass"))
    assert "not in the file" in str(caught.value)
    assert "from line 9 on" in caught.value.details
    assert "x = x + self.mlp(x)" in caught.value.details


def test_a_single_misspelt_line_finds_its_likeness() -> None:
    with pytest.raises(EditError) as caught:
        apply(SOURCE, block("MATRIX_LR = 0.4", "MATRIX_LR = 0.5"))
    assert "MATRIX_LR = 0.04" in caught.value.details


def test_a_text_that_stands_twice_is_refused_with_its_lines() -> None:
    with pytest.raises(EditError, match="stands 2 times") as caught:
        apply(SOURCE, block("    def forward(self, x):", "    def forward(self, y):"))
    assert "lines 8, 15" in caught.value.details


def test_one_misfit_rejects_all_and_every_misfit_is_named() -> None:
    with pytest.raises(EditError) as caught:
        apply(
            SOURCE,
            block("DEPTH = 8  # layers", "DEPTH = 9"),
            block("nowhere", "x"),
            block("neither", "y"),
        )
    assert "block 2" in caught.value.details
    assert "block 3" in caught.value.details


@pytest.mark.parametrize(
    ("blocks", "why"),
    [
        ([block("MATRIX_LR = 0.04", "MATRIX_LR = 0.04")], "change nothing"),
        ([block("   ", "x = 1")], "SEARCH part is empty"),
        (
            [
                block("DEPTH = 8  # layers\nMATRIX_LR = 0.04", "A = 1"),
                block("MATRIX_LR = 0.04", "B = 1"),
            ],
            "overlap",
        ),
    ],
)
def test_empty_and_overlapping_blocks_are_refused(blocks: list[str], why: str) -> None:
    with pytest.raises(EditError, match=why):
        apply(SOURCE, *blocks)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<<<<<<< SEARCH\na\n=======\nb\n", "breaks off"),
        ("<<<<<<< SEARCH\na\n", "breaks off"),
        ("<<<<<<< SEARCH\na\n>>>>>>> REPLACE\n", "no ======="),
        (
            "<<<<<<< SEARCH\na\n<<<<<<< SEARCH\nb\n=======\nc\n>>>>>>> REPLACE\n",
            "has no >>>>>>> REPLACE",
        ),
        (block("a", "b") * 101, "more than 100"),
    ],
)
def test_a_broken_block_is_an_error_even_after_sound_ones(text: str, why: str) -> None:
    with pytest.raises(EditError, match=why):
        parse_edits(text)
    with pytest.raises(EditError):
        parse_edits(block("x", "y") + text)


# ---- markers and fences inside -----------------------------------------------------------------------------


def test_a_line_of_equals_signs_in_the_code_is_told_from_the_divider() -> None:
    source = 'DOC = """\nTitle\n=======\nold\n"""\nX = 1\n'
    child = apply(source, block("Title\n=======\nold", "Title\n=======\nnew"))
    assert child == source.replace("old", "new")


def test_marker_words_inside_a_string_are_code() -> None:
    source = 'A = "<<<<<<< SEARCH"\nB = ">>>>>>> REPLACE"\n'
    assert apply(source, block('A = "<<<<<<< SEARCH"', 'A = "======="')) == source.replace(
        '"<<<<<<< SEARCH"', '"======="'
    )


def test_blocks_in_code_fences_and_with_stray_prose_are_read() -> None:
    text = f"Sure!\n```python\n{block('DEPTH = 8  # layers', 'DEPTH = 9')}```\nHope that helps.\n"
    assert "DEPTH = 9" in apply(SOURCE, text)
    inner = "<<<<<<< SEARCH\n```python\nDEPTH = 8  # layers\n```\n=======\n```python\nDEPTH = 9\n```\n>>>>>>> REPLACE"
    assert "DEPTH = 9\nMATRIX" in apply(SOURCE, inner)


# ---- whole answers -----------------------------------------------------------------------------------------

FILE = """\
from prepare import make_dataloader, evaluate_bpb

DOC = '''
```
fenced in a docstring
```
'''
loader = make_dataloader(None, 1, 1, "train")
print(evaluate_bpb(None, None, 1))
"""


def test_the_header_is_read_in_any_dress() -> None:
    answer = parse_answer(
        "Here we go.\n\n**Title:** `Warm down` for longer\n- **Category**: Schedules\n## Hypothesis: It is\nbetter so.\n\n"
        + block("a", "b")
    )
    assert answer.title == "Warm down` for longer"
    assert answer.category == "schedule"
    assert answer.hypothesis == "It is better so."


def test_hostile_header_fields_become_one_plain_line() -> None:
    answer = parse_answer(
        "Title: \x1b[31mred\x1b]0;owned\x07 [link=x]\u202e"
        + "x" * 500
        + "\nCategory: rm -rf\n"
        + block("a", "b")
    )
    assert answer.title.startswith("red [link=x]x")
    assert len(answer.title) == 72
    assert all(character.isprintable() for character in answer.title)
    assert answer.category == "other"


def test_a_missing_title_is_taken_from_the_hypothesis() -> None:
    assert (
        parse_answer("Hypothesis: Wider is better.\n" + block("a", "b")).title == "Wider is better."
    )


def test_header_words_inside_the_code_are_not_the_header() -> None:
    assert parse_answer("Title: one\n" + block("a", "Title: two")).title == "one"
    assert parse_answer(f"```python\nTitle: int\n{FILE}```").title == ""


@pytest.mark.parametrize("fence", ["```python", "````py", "~~~"])
def test_a_fenced_file_may_hold_fences(fence: str) -> None:
    end = fence.rstrip("python")
    answer = parse_answer(f"Title: anew\n\n{fence}\n{FILE}{end}\nNotes:\n```\nls\n```\n")
    assert realise(SOURCE, answer) == FILE


@pytest.mark.parametrize("text", ["", "I would rather not.", "Title: x\nHypothesis: y\n"])
def test_prose_and_nothing_are_no_edit(text: str) -> None:
    with pytest.raises(NoEdit):
        parse_answer(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"```python\n{FILE[:60]}", "breaks off"),
        ("```python\nDEPTH = 9\n```", "not the whole file"),
        (f"```python\n{SOURCE}```", "not the whole file"),
        (f"```python\n{FILE.replace('print(', 'print((')}```", "not valid Python"),
    ],
)
def test_a_file_that_is_cut_short_or_broken_is_an_error(text: str, why: str) -> None:
    with pytest.raises(EditError, match=why):
        realise(SOURCE, parse_answer(text))


def test_the_parents_own_file_is_no_child() -> None:
    with pytest.raises(EditError, match="changes nothing"):
        realise(FILE, parse_answer(f"````python\n{FILE}````"))


def test_an_edit_that_breaks_the_syntax_is_named_with_its_line() -> None:
    with pytest.raises(EditError, match=r"not valid Python \(line 3"):
        realise(SOURCE, parse_answer(block("DEPTH = 8  # layers", "DEPTH = = 9")))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "```" + " " * 200_000 + "!",
        "=" * 200_000,
        "Title" + " *" * 100_000,
        "```x\n" * 40_000,
        "```\n" * 40_000,
        "<<<<<<< SEARCH\n" + "=======\n" * 2000 + ">>>>>>> REPLACE\n",
        "\x00" * 100_000,
        "\r" * 100_000,
    ],
)
def test_hostile_text_is_refused_quickly(text: str) -> None:
    with pytest.raises(EditError):
        realise(SOURCE, parse_answer(text))
