"""What a candidate imports as `prepare`: data loader, tokenizer and evaluation, under the ancestor's names.

This is the guest's side of the harness, with no secrets and no power: rows come from a trusted process that
keeps the clock, and the score comes from another one that holds the targets. Whatever is changed in here, in
memory, changes nothing that counts.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prepare_wire as wire
from prepare_seeds import Seeds
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
BOS_TOKEN = "<|bos|>"  # noqa: S105 - no password
SPECIAL_TOKENS = [BOS_TOKEN]
CACHE_DIR = str(Path("~/.cache/autoresearch").expanduser())  # the candidate's own, in its cell
DATA_DIR, TOKENIZER_DIR = f"{CACHE_DIR}/data", f"{CACHE_DIR}/tokenizer"
_DEVICE = os.environ["AUTORESEARCH_DEVICE"]  # "cpu" or "cuda"
_SEED = int(os.environ["AUTORESEARCH_SEED"])
# Nothing is trained: a blind audit of committed weights.
_REPLAY = "AUTORESEARCH_REPLAY" in os.environ
# A smoke run: after so many optimizer steps the training is over, whatever was learned.
_SMOKE = int(os.environ.get("AUTORESEARCH_SMOKE", "0"))
_IN_VAIN = 64  # batches a step after which a smoke run no longer waits for an optimizer that nobody can see

_meter = Line("AUTORESEARCH_METER")
_scorer = Line("AUTORESEARCH_SCORER")
Seeds(_SEED)
# What the ancestor's prepare does before a training is done already, and not by a candidate.
_DONE = {"BASE_URL", "MAX_SHARD", "VAL_SHARD", "VAL_FILENAME", "SPLIT_PATTERN"}
_DONE |= {"download_single_shard", "download_data", "list_parquet_files", "text_iterator"}
_DONE |= {"train_tokenizer"}
_OWN_CLOCK, _WARMING, _WARM = 1, 2, 4  # what a script says of itself when it asks for a batch
_NO_PICKLE = b"cprepare\n_refuse_pickle\n(tR."  # a pickle that calls _refuse_pickle()


def __getattr__(name: str) -> Any:
    if name in _DONE:  # no AttributeError: `from prepare import ...` would drop these words
        raise ImportError(
            f"prepare.{name} is not there for a candidate: the text is downloaded, split into tokens and packed "
            "before a training; make_dataloader serves it, and Tokenizer and get_token_bytes tell of its tokens"
        )
    raise AttributeError(f"module 'prepare' has no attribute {name!r}")


def _furnish() -> None:
    """Lay out the ancestor's cache; what is real in it is linked."""
    Path(DATA_DIR).mkdir(parents=True, exist_ok=True)
    folder = Path(TOKENIZER_DIR)
    folder.mkdir(exist_ok=True)
    for name in ("tokenizer.json", "token_bytes.npy"):
        with contextlib.suppress(FileExistsError):
            (folder / name).symlink_to(Path(os.environ["AUTORESEARCH_DATA"]) / name)
    (folder / "tokenizer.pkl").write_bytes(_NO_PICKLE)


def _refuse_pickle() -> None:
    raise RuntimeError(
        "tokenizer.pkl holds no tokenizer: prepare.Tokenizer.from_directory() opens the one of the data set, "
        "and nobody has to trust a pickle"
    )


_furnish()


class Tokenizer:
    """The byte-pair tokenizer of the data set; it is read from disk only when text is encoded."""

    def __init__(self, directory: str) -> None:
        """`directory` holds tokenizer.json."""
        self._path = str(Path(directory) / "tokenizer.json")
        self._bpe: Any = None
        self.bos_token_id = int(os.environ["AUTORESEARCH_BOS"])

    @classmethod
    def from_directory(cls, tokenizer_dir: str = TOKENIZER_DIR) -> Tokenizer:
        """Open the tokenizer of the data set."""
        return cls(tokenizer_dir)

    @property
    def enc(self) -> Any:
        """The `tokenizers.Tokenizer` itself."""
        if self._bpe is None:
            from tokenizers import Tokenizer as Bpe

            self._bpe = Bpe.from_file(self._path)
            # As the data set was made: a special token that is spelt out in a text is plain text.
            self._bpe.encode_special_tokens = True
        return self._bpe

    def get_vocab_size(self) -> int:
        """Number of tokens, the special ones included."""
        return VOCAB_SIZE

    def get_bos_token_id(self) -> int:
        """The token that begins every document."""
        return self.bos_token_id

    def encode(
        self, text: str | list[str], prepend: int | str | None = None, num_threads: int = 8
    ) -> list[int] | list[list[int]]:
        """Token ids of a text or of a list of texts, each with the token `prepend` in front if given."""
        if not isinstance(text, str | list):
            raise ValueError(f"Invalid input type: {type(text)}")
        front = [] if prepend is None else [self._token(prepend)]
        texts = [text] if isinstance(text, str) else text
        found = self.enc.encode_batch(texts, add_special_tokens=False)
        ids = [front + encoding.ids for encoding in found]
        return ids[0] if isinstance(text, str) else ids

    def _token(self, prepend: int | str) -> int:
        """The id of a token; the ancestor calls BOS `<|reserved_0|>`."""
        if not isinstance(prepend, str):
            return prepend
        token = self.enc.token_to_id(prepend.replace("<|reserved_0|>", BOS_TOKEN))
        if token is None:
            raise ValueError(f"there is no token {prepend!r}; the one special token is {BOS_TOKEN}")
        return int(token)

    def decode(self, ids: list[int]) -> str:
        """The text of token ids."""
        return str(self.enc.decode(ids, skip_special_tokens=False))


def get_token_bytes(device: str = "cpu") -> Any:
    """Bytes that each token stands for, int32 [V]; special tokens stand for none."""
    import numpy as np
    import torch

    return torch.from_numpy(np.load(Path(TOKENIZER_DIR) / "token_bytes.npy")).to(device)


class Loader:
    """Training batches `(inputs, targets, epoch)`, int64 [B, T] on the experiment's device.

    `for x, y, epoch in loader:` ends when the budget is spent. Plain `next(loader)` is for scripts that keep
    their own time by TIME_BUDGET: it goes on a little longer, as far as the overrun of the budget allows, and a
    script whose clock is late even then gets its last batch again until it has finished its step.

    Under a budget of seconds, the batches before the clock starts are tokens in no order, good for compiling and for
    nothing else: 16 of them, or with plain `next(loader)` those of the first eleven optimizer steps, which the
    ancestor leaves out of its time as well. `loader.warming` tells them from data.
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
        self._own_clock = _OWN_CLOCK
        self._served = 0
        self._pinned: list[tuple[Any, Any]] = []  # CUDA: staging buffers and their last copies
        self.progress = 0.0  # share of the budget that is spent, 0…1
        self.warming = True  # the last batch was of the warm-up: tokens in no order
        self._last: tuple[Any, Any, int] | None = None  # what was served last

    def __iter__(self) -> Iterator[tuple[Any, Any, int]]:
        """Iterate until the budget is spent."""
        self._own_clock = 0
        return self

    def __next__(self) -> tuple[Any, Any, int]:
        """The next batch. Raises StopIteration when the budget is spent."""
        said = self._own_clock
        if _SMOKE and not said and self._has_smoked():
            return self._after_the_end()
        if said and self.warming and not (_REPLAY or _SMOKE):
            said |= {None: 0, True: _WARMING, False: _WARM}[_warm_up().lasts()]
        _meter.send(wire.NEXT, self._number, said)
        op, slot, epoch, fraction, data, _ = _meter.receive()
        if op == wire.END:
            return self._after_the_end()
        self.progress, self.warming = fraction / 1e9, data == 0
        self._served += 1
        if _SMOKE:  # every part of its schedule is walked through
            self.progress = min(1.0, _warm_up().steps / _SMOKE)
            self.warming = self.progress == 0.0
        if _REPLAY or (_SMOKE and self._own_clock):
            _hurry().skip(TIME_BUDGET)
        rows = self._on_device(self._slots[slot])
        self._last = rows[:, :-1].contiguous(), rows[:, 1:].contiguous(), epoch
        return self._last

    def _has_smoked(self) -> bool:
        """Whether the steps of a smoke run are taken."""
        steps = _warm_up().steps
        return steps >= _SMOKE or (steps == 0 and self._served >= _IN_VAIN * _SMOKE)

    def _after_the_end(self) -> tuple[Any, Any, int]:
        """The last batch again where a script with its own clock has to finish a step; else StopIteration."""
        self.progress = 1.0
        if self._own_clock and self._last is not None and _last_steps().go_on():
            return self._last
        raise StopIteration(
            "the training budget is spent: iterate with `for x, y, epoch in loader`, "
            "or stop when loader.progress reaches 1"
        )

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


@functools.cache
def _warm_up() -> Any:
    """The warm-up of a script that keeps its own time."""
    from prepare_clock import WarmUp

    return WarmUp()


@functools.cache
def _hurry() -> Any:
    """The clocks of a script that keeps its own time; from the first call on they can be put forward."""
    from prepare_clock import Hurry

    hurry = Hurry()
    if _REPLAY or _SMOKE:
        hurry.skip_each_step(TIME_BUDGET)
    return hurry


@functools.cache
def _last_steps() -> Any:
    """The end of a script that keeps its own time; it begins with the first call."""
    from prepare_clock import LastSteps

    return LastSteps(_warm_up(), _hurry(), TIME_BUDGET)


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
    return Loader(B, T)


def evaluate_bpb(model: Any, tokenizer: Tokenizer, batch_size: int, **_: Any) -> float:
    """Hand the weights over, then have `model` scored: bits per byte on the validation rows.

    `model(x)` must return logits [B, MAX_SEQ_LEN, VOCAB_SIZE] for int64 x [B, MAX_SEQ_LEN]. The first call
    counts and ends the training; a later one returns the same score.
    """
    if not _score:
        import prepare_exam
        import prepare_weights

        exam = prepare_exam.Exam(_scorer, _DEVICE, batch_size)
        # In a replay the model gets the weights of the training; from there on it is one and the same.
        hand_over = prepare_weights.restore if _REPLAY else prepare_weights.commit
        hand_over(_meter, model)
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
