"""What is built is, byte for byte, what the plainest use of the `tokenizers` library would build."""

import json
import os
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import building, encoders
from harness.building import fill
from harness.corpus import Corpus, open_source
from harness.packing import Packed, pack
from harness.tokenizer import bos_id, load_bpe, train_bpe

T, VOCABULARY, EVAL_TOKENS, SEALED_TOKENS = 64, 370, 64 * 30, 64 * 12
WORDS = [
    "row",
    "rows",
    "",
    "packed\n\n\n",
    "don't",
    "WE'LL",
    "12345",
    "grüße",
    "世界",
    "🦉",
    "𝕏",
    "[…]",
    "\r\n",
    "\t",
    "x=1;",
    "é",
    "#####",
]


def documents(count: int) -> list[str]:
    """Random ones: most are short, some are many rows long, a few come twice."""
    dice = random.Random(5)
    texts = [
        " ".join(dice.choices(WORDS, k=int(dice.lognormvariate(3.5, 1.2)) + 1))
        for _ in range(count)
    ]
    return texts + texts[::50]


@pytest.fixture(params=["shards that are cropped", "a file that is split"])
def corpus(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Corpus:
    """One whose validation text is enough: more documents than packing looks at before it chooses."""
    monkeypatch.setattr("harness.corpus.VALIDATION_SHARE", 0.6)
    monkeypatch.setattr("harness.corpus.VALIDATION_SHARE_MAX", 0.6)
    texts, source = documents(2500), tmp_path / "text"
    if request.param.startswith("shards"):
        source.mkdir()
        for name, part in (
            ("00000", texts[:1200]),
            ("00001", texts[1200:]),
            ("06542", texts[:1300]),
        ):
            pq.write_table(pa.table({"text": part}), source / f"shard_{name}.parquet")
    else:
        source = source.with_suffix(".jsonl")
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return open_source(
        str(source), shards=9, local_mb=1, eval_tokens=EVAL_TOKENS, report=lambda *_: None
    )


def built_plainly(corpus: Corpus, folder: Path) -> None:
    """The same files with nothing but a loop over the library."""
    limit = 1_000_000
    stride = max(1, corpus.approximate_bytes // limit)
    tokenizer_json = train_bpe(islice(corpus.train_documents(), 0, None, stride), VOCABULARY)
    (folder / "tokenizer.json").write_text(tokenizer_json)
    bpe = load_bpe(tokenizer_json)

    def ids(text: str) -> np.ndarray:
        (encoding,) = bpe.encode_batch_fast([text], add_special_tokens=False)
        return np.array([bos_id(bpe), *encoding.ids], dtype=np.uint16)

    def rows(texts: Iterator[str], name: str, most: int | None) -> Packed:
        long = corpus.long_documents
        return pack(map(ids, texts), T, folder / name, long_documents=long, max_rows=most)

    val = rows(corpus.val_documents(), "val.bin", EVAL_TOKENS // T)
    behind = islice(corpus.val_documents(), val.documents, None)
    sealed = rows(behind, "sealed.bin", SEALED_TOKENS // T)
    assert sealed.rows == SEALED_TOKENS // T
    rows(corpus.train_documents(), "train.bin", None)


@pytest.mark.parametrize("processes", [0, 2])
def test_the_files_are_those_of_the_plain_way(
    corpus: Corpus, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYON_NUM_THREADS", "2")  # which would be set for good, from the next line
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processes)))
    monkeypatch.setattr(encoders, "TEXT_OF_A_PROCESS", 1)
    monkeypatch.setattr(encoders, "BATCH_CHARS", 3000)
    fast, plain = tmp_path / "fast", tmp_path / "plain"
    fast.mkdir()
    plain.mkdir()
    facts = fill(
        fast,
        corpus,
        sequence_length=T,
        vocabulary=VOCABULARY,
        eval_tokens=EVAL_TOKENS,
        sealed_tokens=SEALED_TOKENS,
        tokenizer_mb=1,
        progress=lambda *_: None,
    )
    built_plainly(corpus, plain)
    assert facts["train_rows"] > 500
    for file in plain.iterdir():
        assert (fast / file.name).read_bytes() == file.read_bytes(), file.name


def test_reports_come_by_amount_of_text_not_by_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "REPORT_CHARS", 100)
    told: list[tuple[str, float]] = []
    passed = list(building._watched(["x" * 10] * 100, 1000, lambda *report: told.append(report)))
    assert len(passed) == 100
    assert [done for _, done in told] == pytest.approx([0.01 + 0.1 * n for n in range(10)])
