"""The byte-pair tokenizer of a data set, and how many bytes each of its tokens stands for.

Training uses the `tokenizers` library with the ancestor's split pattern. Text is never able to
produce a special token, and no byte of it is ever lost: the byte table of a text's tokens sums to its length.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from harness.spec import HarnessError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BOS = "<|bos|>"
# GPT-4's pattern with numbers of at most two digits, as the ancestor has it.
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
TRAINING_CHARS = 10_000  # of each document; the ancestor's cap


def train_bpe(documents: Iterable[str], vocabulary: int) -> str:
    """Train a byte-level BPE of exactly `vocabulary` tokens, BOS included; return its tokenizer.json.

    The same documents in the same order give the same text. Raises HarnessError when they are too few for a
    vocabulary of that size.
    """
    _set_threads()
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[BOS],
        show_progress=False,
    )
    bpe.train_from_iterator((text[:TRAINING_CHARS] for text in documents), trainer)
    found = bpe.get_vocab_size()
    if found != vocabulary:
        raise HarnessError(
            f"The text suffices for a tokenizer of {found:,} tokens, not of {vocabulary:,}; add text or lower "
            "[data] vocabulary."
        )
    return str(bpe.to_str())


def load_bpe(tokenizer_json: str) -> Tokenizer:
    """Rebuild the tokenizer for encoding; a special token spelt out in the text is encoded as plain text."""
    _set_threads()
    from tokenizers import Tokenizer

    bpe = Tokenizer.from_str(tokenizer_json)
    bpe.encode_special_tokens = True
    return bpe


def bos_id(bpe: Tokenizer) -> int:
    """The id of BOS."""
    token = bpe.token_to_id(BOS)
    if token is None:
        raise HarnessError(f"This tokenizer.json has no token {BOS}; prepare the data set again.")
    return token


def token_bytes(tokenizer_json: str, kind: Literal["raw", "upstream"]) -> npt.NDArray[np.int32]:
    """Return int32[V]: the bytes of text that each token stands for, 0 for BOS.

    `raw` counts the token's own bytes. `upstream` counts what the ancestor counts, the UTF-8 length of the
    decoded token, which is 3 for each stray byte of a character that is split between tokens.
    """
    bpe = load_bpe(tokenizer_json)
    size = bpe.get_vocab_size()
    if kind == "raw":
        # the byte-level alphabet spells every byte as one character
        counts = [0] * size
        for spelling, token in bpe.get_vocab().items():
            counts[token] = len(spelling)
    else:
        counts = [len(bpe.decode([token]).encode()) for token in range(size)]
    counts[bos_id(bpe)] = 0
    return np.array(counts, dtype=np.int32)


# ---- private ---------------------------------------------------------------------------------------------


def _set_threads() -> None:
    """Fix the library's thread pool before it starts: every CPU that this process may use."""
    os.environ.setdefault("RAYON_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
