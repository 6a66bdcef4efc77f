"""What a candidate imports as `prepare`: data loader, tokenizer and evaluation, under the ancestor's names.

This is the guest's side of the harness, with no secrets and no power: rows come from a trusted process that
keeps the clock, and the score comes from another one that holds the targets. Whatever is changed in here, in
memory, changes nothing that counts.
"""

from __future__ import annotations

import atexit
import mmap
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prepare_wire as wire
from prepare_wire import Line

if "AUTORESEARCH_METER" not in os.environ:
    sys.exit(
        "train.py is started by autoresearch, which serves its data and scores it: try `autoresearch train`."
    )

MAX_SEQ_LEN = int(os.environ["AUTORESEARCH_SEQUENCE_LENGTH"])  # context length
# Seconds of training; under a budget of tokens, the wall limit. `loader.progress` knows the real share.
TIME_BUDGET = float(os.environ["AUTORESEARCH_TIME_BUDGET"])
TIME_BUDGET = int(TIME_BUDGET) if TIME_BUDGET.is_integer() else TIME_BUDGET
EVAL_TOKENS = int(os.environ["AUTORESEARCH_EVAL_TOKENS"])
VOCAB_SIZE = int(os.environ["AUTORESEARCH_VOCABULARY"])
TOKENIZER_DIR = DATA_DIR = CACHE_DIR = os.environ["AUTORESEARCH_DATA"]
_DEVICE = os.environ["AUTORESEARCH_DEVICE"]  # "cpu" or "cuda"
_SEED = int(os.environ["AUTORESEARCH_SEED"])

_meter = Line("AUTORESEARCH_METER")
_scorer = Line("AUTORESEARCH_SCORER")
_seeded: set[str] = set()


def _seed() -> None:
    """Seed every generator that is loaded by now, once; a script may seed again."""
    for name in {"random", "numpy", "torch"} & sys.modules.keys() - _seeded:
        _seeded.add(name)
        if name == "random":
            random.seed(_SEED)
        elif name == "numpy":
            sys.modules[name].random.seed(_SEED % 2**32)
        else:
            sys.modules[name].manual_seed(_SEED)


_seed()


class Tokenizer:
    """The byte-pair tokenizer of the data set; it is read from disk only when text is encoded."""

    def __init__(self, directory: str) -> None:
        """`directory` holds tokenizer.json."""
        self._path = str(Path(directory) / "tokenizer.json")
        self._bpe: Any = None

    @classmethod
    def from_directory(cls, tokenizer_dir: str = TOKENIZER_DIR) -> Tokenizer:
        """Open the tokenizer of the data set."""
        _seed()
        return cls(tokenizer_dir)

    @property
    def enc(self) -> Any:
        """The `tokenizers.Tokenizer` itself."""
        if self._bpe is None:
            from tokenizers import Tokenizer as Bpe

            self._bpe = Bpe.from_file(self._path)
        return self._bpe

    def get_vocab_size(self) -> int:
        """Number of tokens, the special ones included."""
        return VOCAB_SIZE

    def get_bos_token_id(self) -> int:
        """The token that begins every document."""
        return int(os.environ["AUTORESEARCH_BOS"])

    def encode(
        self, text: str | list[str], prepend: int | str | None = None, num_threads: int = 8
    ) -> list[int] | list[list[int]]:
        """Token ids of a text or of a list of texts, each with the token `prepend` in front if given."""
        if not isinstance(text, str | list):
            raise ValueError(f"Invalid input type: {type(text)}")
        front = [self.enc.token_to_id(prepend) if isinstance(prepend, str) else prepend]
        front = front if prepend is not None else []
        texts = [text] if isinstance(text, str) else text
        found = self.enc.encode_batch(texts, add_special_tokens=False)
        ids = [front + encoding.ids for encoding in found]
        return ids[0] if isinstance(text, str) else ids

    def decode(self, ids: list[int]) -> str:
        """The text of token ids."""
        return str(self.enc.decode(ids, skip_special_tokens=False))


def get_token_bytes(device: str = "cpu") -> Any:
    """Bytes that each token stands for, int32 [V]; special tokens stand for none."""
    import numpy as np
    import torch

    return torch.from_numpy(np.load(Path(DATA_DIR) / "token_bytes.npy")).to(device)


class Loader:
    """Training batches `(inputs, targets, epoch)`, int64 [B, T] on the experiment's device.

    `for x, y, epoch in loader:` ends when the budget is spent. Plain `next(loader)` is for scripts that keep
    their own time by TIME_BUDGET: it goes on a little longer, as far as the overrun of the budget allows.
    """

    def __init__(self, batch: int, length: int) -> None:
        """Ask the meter for batches of shape [batch, length]."""
        import numpy as np

        _meter.send(wire.OPEN, batch, length)
        _, self._number, slots, _, _, (descriptor,) = _meter.receive()
        size = slots * batch * (length + 1) * 2
        memory = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
        os.close(descriptor)
        self._slots = np.frombuffer(memory, np.uint16).reshape(slots, batch, length + 1)
        self._overtime = 1
        self._pinned: list[tuple[Any, Any]] = []  # CUDA: staging buffers and their last copies
        self.progress = 0.0  # share of the budget that is spent, 0…1

    def __iter__(self) -> Iterator[tuple[Any, Any, int]]:
        """Iterate until the budget is spent."""
        self._overtime = 0
        return self

    def __next__(self) -> tuple[Any, Any, int]:
        """The next batch. Raises StopIteration when the budget is spent."""
        _meter.send(wire.NEXT, self._number, self._overtime)
        op, slot, epoch, fraction, _, _ = _meter.receive()
        if op == wire.END:
            self.progress = 1.0
            raise StopIteration(
                "the training budget is spent: iterate with `for x, y, epoch in loader`, "
                "or stop when loader.progress reaches 1"
            )
        self.progress = fraction / 1e9
        rows = self._on_device(self._slots[slot])
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous(), epoch

    def _on_device(self, rows: Any) -> Any:
        """uint16 [B, T+1] in shared memory -> int64 on the device."""
        import torch

        if _DEVICE == "cpu":
            return torch.from_numpy(rows.astype("int64"))
        if len(self._pinned) < 2:
            staging = torch.empty(rows.shape, dtype=torch.int16, pin_memory=True)
            self._pinned.insert(0, (staging, torch.cuda.Event()))
        staging, copied = self._pinned.pop()
        copied.synchronize()  # of two batches ago
        staging.numpy()[:] = rows.view("int16")
        narrow = staging.to(_DEVICE, non_blocking=True)
        copied.record()
        self._pinned.insert(0, (staging, copied))
        return narrow.long() & 0xFFFF  # back to unsigned


def make_dataloader(
    tokenizer: Tokenizer, B: int, T: int, split: str, buffer_size: int = 1000, **_: Any
) -> Loader:
    """Packed rows that begin with BOS, in batches of B rows of T tokens; T may be shorter than MAX_SEQ_LEN.

    `buffer_size` and other extras of forks mean nothing here: the rows were packed beforehand.
    """
    if split != "train":
        raise ValueError(
            f"make_dataloader serves split 'train', not {split!r}; validation is evaluate_bpb's own"
        )
    if not 0 < T <= MAX_SEQ_LEN or B < 1:
        raise ValueError(
            f"no batch of {B} rows of {T} tokens: rows have up to {MAX_SEQ_LEN} tokens"
        )
    _seed()
    return Loader(B, T)


def evaluate_bpb(model: Any, tokenizer: Tokenizer, batch_size: int) -> float:
    """Hand the weights over, then have `model` scored: bits per byte on the validation rows.

    `model(x)` must return logits [B, MAX_SEQ_LEN, VOCAB_SIZE] for int64 x [B, MAX_SEQ_LEN]. The first call
    counts and ends the training; a later one returns the same score.
    """
    if not _score:
        import prepare_exam
        import prepare_weights

        exam = prepare_exam.Exam(_scorer, _DEVICE, batch_size)
        prepare_weights.commit(_meter, model)
        _score.append(exam.run(model))
        atexit.register(_say_goodbye)
    return _score[0]


def _say_goodbye() -> None:
    """The script has ended: the harness need not wait until torch has tidied up behind it."""
    if not hasattr(sys, "last_value"):  # after an exception, the exit status is still to come
        sys.stdout.flush()
        sys.stderr.flush()
        _meter.say_goodbye()


_score: list[float] = []
