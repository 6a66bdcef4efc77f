"""The tokenizer loses no byte of any text, and its byte table counts exactly what the text holds."""

import subprocess
import sys

import numpy as np
import pytest

from harness.encoding import encode
from harness.spec import HarnessError
from harness.tokenizer import BOS, bos_id, load_bpe, token_bytes, train_bpe

PLAIN = (
    "def best_fit(documents, width):\n    return [row for row in documents if len(row) <= width]\n"
)
HARD = [
    "Grüße, 世界! 🧬🏳️‍🌈 e\u0301 \u200d\ufeff end",
    "𝕏" * 50 + "한국어 привет\r\n\r\n   \t x",
    "1234567890 3.14159 '\u2019s don't WE'LL",
    "\x01\x7f\u0085\u2028 control",
    f"spelt out: {BOS}{BOS} and <|endoftext|>",
    " ",
]
VOCABULARY = 320


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    return train_bpe([PLAIN] * 5 + HARD[:1], VOCABULARY)


def test_the_vocabulary_has_the_size_asked_for_and_one_special_token(tokenizer_json: str) -> None:
    bpe = load_bpe(tokenizer_json)
    assert bpe.get_vocab_size() == VOCABULARY
    assert (token_bytes(tokenizer_json, "raw") == 0).nonzero()[0].tolist() == [bos_id(bpe)]


def test_raw_bytes_of_the_tokens_sum_to_the_utf8_length_of_any_text(tokenizer_json: str) -> None:
    bpe, table = load_bpe(tokenizer_json), token_bytes(tokenizer_json, "raw")
    assert table.dtype == np.int32
    for text, ids in zip(HARD, encode(bpe, HARD), strict=True):
        assert int(table[ids].sum()) == len(text.encode()), text


def test_upstream_bytes_overcount_where_a_character_is_split_between_tokens(
    tokenizer_json: str,
) -> None:
    bpe = load_bpe(tokenizer_json)
    raw, upstream = (token_bytes(tokenizer_json, kind) for kind in ("raw", "upstream"))
    (split,) = encode(bpe, ["𝕏"])  # four bytes that no merge has joined: four stray tokens
    assert (int(raw[split].sum()), int(upstream[split].sum())) == (4, 12)
    (plain,) = encode(bpe, ["return documents"])
    assert raw[plain].sum() == upstream[plain].sum() == 16


def test_every_document_begins_with_bos_and_text_cannot_spell_one(tokenizer_json: str) -> None:
    bpe = load_bpe(tokenizer_json)
    for text, ids in zip(HARD, encode(bpe, HARD), strict=True):
        assert ids[0] == bos_id(bpe)
        assert bos_id(bpe) not in ids[1:]
        assert bpe.decode(ids[1:].tolist()) == text


def test_the_same_text_gives_the_same_tokenizer_in_another_process(tokenizer_json: str) -> None:
    program = (
        "from harness.tokenizer import train_bpe; import sys;"
        f"sys.stdout.write(train_bpe([{PLAIN!r}] * 5 + [{HARD[0]!r}], {VOCABULARY}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stdout == tokenizer_json


def test_too_little_text_for_the_vocabulary_is_said_so() -> None:
    with pytest.raises(HarnessError, match=r"suffices for a tokenizer of \d+ tokens, not of 5,000"):
        train_bpe(["too short"], 5000)
