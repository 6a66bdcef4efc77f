"""Text to token ids: exactly what the `tokenizers` library gives, at several times its speed.

The library keeps, for every character, where it came from, which nobody needs here. So the split is done by
`re`, and most of what it finds has been met before and is looked up. The library still decides what a word's
tokens are and which characters are letters, numbers and spaces; nothing here knows a merge.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.tokenizer import SPLIT_PATTERN, bos_id

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ids = npt.NDArray[np.uint16]

WORDS = 300_000  # remembered, of at most so many characters: some 40 MB
WORD_CHARS = 24
# `re` looks a character below U+10000 up in a table, and walks all ranges for the others: the library is faster.
PLANE_CHARS = 0x10000
SURROGATES = range(0xD800, 0xE000)  # no text holds them


class Encoder:
    """Encodes one document at a time, with one tokenizer, in one thread."""

    def __init__(self, bpe: Tokenizer) -> None:
        self._bpe = bpe
        self._bos = array("H", [bos_id(bpe)]).tobytes()
        self._words = _words_of(SPLIT_PATTERN).findall
        self._tokens = _Tokens(bpe)

    def encode(self, text: str) -> bytes:
        """The ids of `text` with BOS in front, as the bytes of uint16."""
        if not text.isascii() and _BEYOND.search(text):
            ids = self._bpe.encode(text, add_special_tokens=False).ids
            return self._bos + array("H", ids).tobytes()
        return self._bos + b"".join(map(self._tokens.__getitem__, self._words(text)))


def encode(bpe: Tokenizer, documents: Iterable[str]) -> Iterator[Ids]:
    """Yield the token ids of each document, in order, with BOS in front."""
    encoder = Encoder(bpe)
    for text in documents:
        yield np.frombuffer(encoder.encode(text), dtype=np.uint16)


# ---- private ---------------------------------------------------------------------------------------------

_BEYOND = re.compile(f"[{chr(PLANE_CHARS)}-\U0010ffff]")


class _Tokens(dict[str, bytes]):
    """What the library makes of a word, as the bytes of uint16; asked once for each common word."""

    def __init__(self, bpe: Tokenizer) -> None:
        from tokenizers import pre_tokenizers

        super().__init__()
        self._model = bpe.model
        self._spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

    def __missing__(self, word: str) -> bytes:
        ((spelling, _),) = self._spell.pre_tokenize_str(word)
        ids = array("H", [token.id for token in self._model.tokenize(spelling)]).tobytes()
        if len(word) <= WORD_CHARS and len(self) < WORDS:
            self[word] = ids
        return ids


def _words_of(pattern: str) -> re.Pattern[str]:
    """The library's split pattern for `re`: its classes of characters are written out as ranges."""
    ranges = {name: _ranges(name) for name in (r"\p{L}", r"\p{N}", r"\s")}
    ranges[r"\S"] = "^" + ranges[r"\s"]

    def spelt_out(found: re.Match[str]) -> str:
        piece = found.group()
        inner = piece[1:-1] if piece[0] == "[" else piece
        for name, characters in ranges.items():
            inner = inner.replace(name, characters)
        return f"[{inner}]"

    return re.compile(re.sub(r"\[[^]]*\]|\\p\{[LN]\}|\\[sS]", spelt_out, pattern))


def _ranges(name: str) -> str:
    """The characters below U+10000 that the library counts into a class, as the inside of a `[…]`."""
    from tokenizers import Regex, pre_tokenizers

    every = "".join(chr(code) for code in range(PLANE_CHARS) if code not in SURROGATES)
    others = pre_tokenizers.Split(Regex(name), "removed").pre_tokenize_str(every)
    spans, at = [], 0
    for _, (start, end) in (*others, ("", (len(every), len(every)))):
        if at < start:
            spans.append(f"{re.escape(every[at])}-{re.escape(every[start - 1])}")
        at = end
    return "".join(spans)
