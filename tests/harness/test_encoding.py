"""Ids are those of the `tokenizers` library, for any text, in one process or in several."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, pre_tokenizers

from harness import encoders
from harness.encoders import Encoders
from harness.encoding import WORD_CHARS, Encoder, Ids, _words_of, encode
from harness.spec import HarnessError
from harness.tokenizer import BOS, SPLIT_PATTERN, bos_id, load_bpe, train_bpe

PLAIN = (
    "We've packed 12345 rows;  they'll fit.\n\n\tdef take(self, space: int) -> Ids:\r\n    pass\n"
)
FOREIGN = "Grüße, 世界! Ça dépend… «Привет» مرحبا ①Ⅻ½ e\u0301 \u200d\ufeff\u2028\u3000x\u0085 \x1c\x1f 'ſ L'été"
BEYOND = "🧬🏳️‍🌈 𝕏𝟙 \U000e0001 𐍈"
ALPHABET = [
    *(chr(code) for code in range(128)), *" \n\r\t'" * 12, *FOREIGN, *BEYOND, "'ll", "'S", "    ", BOS
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    return train_bpe([PLAIN, FOREIGN, BEYOND] * 3, 400)


@pytest.fixture(scope="module")
def file(tokenizer_json: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    file.write_text(tokenizer_json)
    return file


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "TEXT_OF_A_PROCESS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def random_texts(count: int, seed: int = 1) -> list[str]:
    """Any mixture of letters, signs, runs of blanks and line ends; some ASCII only, some beyond U+FFFF."""
    dice = random.Random(seed)
    alphabets = (ALPHABET[:188], [a for a in ALPHABET if max(a) < "\U00010000"], ALPHABET)
    return [
        "".join(dice.choices(dice.choice(alphabets), k=dice.randrange(1, 400)))
        for _ in range(count)
    ]


def as_the_library_encodes(bpe: Tokenizer, texts: list[str]) -> list[list[int]]:
    encodings = bpe.encode_batch_fast(texts, add_special_tokens=False)
    return [[bos_id(bpe), *encoding.ids] for encoding in encodings]


def lists(ids: Iterator[Ids]) -> list[list[int]]:
    return [array.tolist() for array in ids]


def test_random_texts_give_the_ids_of_the_library(tokenizer_json: str) -> None:
    bpe, texts = load_bpe(tokenizer_json), [*random_texts(3000), PLAIN, FOREIGN, BEYOND, " ", "\r"]
    assert lists(encode(bpe, texts)) == as_the_library_encodes(bpe, texts)


def test_only_so_many_words_are_remembered_and_the_ids_stay_those_of_the_library(
    tokenizer_json: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.encoding.WORDS", 5)
    bpe, texts = load_bpe(tokenizer_json), random_texts(100, seed=2)
    encoder = Encoder(bpe)
    encoded = [np.frombuffer(encoder.encode(text), np.uint16).tolist() for text in texts]
    assert encoded == as_the_library_encodes(bpe, texts)
    assert len(encoder._tokens) == 5
    assert max(map(len, encoder._tokens)) <= WORD_CHARS


@pytest.mark.parametrize(
    "around", ["{}", "a{}b", "1{}1", " {}a", "'{}x", "'l{}x", "'{}lx", "\n{} \r"]
)
def test_every_character_is_split_off_as_the_library_splits(around: str) -> None:
    words = _words_of(SPLIT_PATTERN)
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated")
    codes = chain(range(0xD800), range(0xE000, 0x10000))
    text = "; ".join(around.format(chr(code)) for code in codes)
    assert words.findall(text) == [word for word, _ in split.pre_tokenize_str(text)]


def test_processes_give_the_same_ids_in_the_same_order(
    file: Path, two_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "BATCH_CHARS", 1000)
    bpe, texts = load_bpe(file.read_text()), random_texts(500, seed=3)
    with Encoders(file, 10) as pool:
        assert lists(pool.encode(texts)) == as_the_library_encodes(bpe, texts)
        assert lists(pool.encode(texts[:9])) == as_the_library_encodes(bpe, texts[:9])
        assert lists(pool.encode([])) == []


def test_little_text_starts_no_process(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with Encoders(file, 1_000_000) as pool:
        assert lists(pool.encode(["x", PLAIN])) == lists(
            encode(load_bpe(file.read_text()), ["x", PLAIN])
        )


def test_it_reads_only_a_few_batches_ahead(
    file: Path, two_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "BATCH_CHARS", 10)
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "ten chars!"

    with Encoders(file, 10) as pool:
        ids = pool.encode(endless())
        for _ in range(20):
            next(ids)
        assert read <= 26
        ids.close()  # type: ignore[attr-defined]
        assert np.array_equal(next(pool.encode(["ten chars!"])), next(pool.encode(endless())))


def test_a_fault_of_the_reader_is_passed_on_and_ends_the_processes(
    file: Path, two_processes: None
) -> None:
    def broken() -> Iterator[str]:
        yield PLAIN
        raise HarnessError("line 2 is broken")

    with pytest.raises(HarnessError, match="line 2"), Encoders(file, 10) as pool:
        list(pool.encode(broken()))
    assert [child._process.returncode for child in pool._children] == [-signal.SIGKILL] * 2


def test_a_process_that_dies_is_an_error_that_says_so(file: Path, two_processes: None) -> None:
    with Encoders(file, 10) as pool:
        assert len(list(pool.encode([PLAIN]))) == 1
        for child in pool._children:
            child.kill()
        with pytest.raises(HarnessError, match="most likely for lack of memory"):
            list(pool.encode([PLAIN] * 100_000))


def test_a_process_that_cannot_start_is_not_taken_for_lack_of_memory(
    tmp_path: Path, two_processes: None
) -> None:
    with (
        Encoders(tmp_path / "missing.json", 10) as pool,
        pytest.raises(HarnessError, match="exit code 1"),
    ):
        list(pool.encode([PLAIN] * 100_000))


def test_a_process_finds_our_code_also_where_it_is_not_installed(
    file: Path, two_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/the/user")
    with Encoders(file, 10) as pool:
        list(pool.encode([PLAIN]))  # it has started
        variables = Path(f"/proc/{pool._children[0]._process.pid}/environ").read_text().split("\0")
    assert f"PYTHONPATH={Path(encoders.__file__).parent.parent}:/of/the/user" in variables


PARENT = """
import os, signal, sys
from pathlib import Path
from harness import encoders
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell
encoders.TEXT_OF_A_PROCESS = 1
os.sched_getaffinity = lambda _: {0, 1}
def endless():
    while True:
        yield "some words to encode " * 50
try:
    with encoders.Encoders(Path(sys.argv[1]), 10) as pool:
        ids = pool.encode(endless())
        next(ids)
        print(*(child._process.pid for child in pool._children), flush=True)
        for _ in ids:
            pass
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    ("sent", "said"), [(signal.SIGINT, "interrupted\n"), (signal.SIGKILL, ""), (signal.SIGTERM, "")]
)
def test_no_process_outlives_its_parent_and_none_complains(
    file: Path, sent: signal.Signals, said: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        try:
            assert len(parent.stdout.readline().split()) == 2
            os.killpg(parent.pid, sent)  # as a terminal does
            # the children hold stderr: it ends when the last of them has ended
            assert parent.stderr.read() == ""
            assert parent.stdout.read() == said
        finally:
            with suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)
