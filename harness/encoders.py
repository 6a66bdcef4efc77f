"""Encoding on every CPU: a few processes that turn text into token ids, fed and emptied in order.

Processes, because encoding is Python's own work and threads would take turns at it. A process is handed text on
its stdin and answers on its stdout; it ends when its stdin does, so it never outlives whoever started it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Self

import numpy as np

from harness.encoding import Encoder, Ids, encode
from harness.process import KILL_PATIENCE, own_env
from harness.spec import HarnessError
from harness.tokenizer import load_bpe

BATCH_CHARS = 500_000  # handed over at once
TEXT_OF_A_PROCESS = 8_000_000  # bytes; for less, starting one takes longer than it saves
MOST_PROCESSES = 16  # more would wait for the one process that reads; each takes about 110 MB


class Encoders:
    """Encodes with one tokenizer on as many CPUs as `text_bytes` of text are worth; a context manager.

    Its processes, none of them for little text, end with the context, however it is left.
    """

    def __init__(self, tokenizer_json: Path, text_bytes: int) -> None:
        cpus = len(os.sched_getaffinity(0))
        self._file = tokenizer_json
        self._count = min(cpus, MOST_PROCESSES, text_bytes // TEXT_OF_A_PROCESS)

    def __enter__(self) -> Self:
        self._children = [_Child(self._file) for _ in range(self._count)]
        self._idle: SimpleQueue[_Child] = SimpleQueue()
        for child in self._children:
            self._idle.put(child)
        self._threads = ThreadPoolExecutor(max(1, self._count), "encoding")
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.kill()  # its thread is let go at once
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.close()

    def encode(self, documents: Iterable[str]) -> Iterator[Ids]:
        """Yield the token ids of each document, in order, with BOS in front; reads a few batches ahead.

        Raises HarnessError when a process dies.
        """
        if not self._children:
            yield from encode(load_bpe(self._file.read_text()), documents)
            return
        waiting: deque[Future[list[bytes]]] = deque()
        try:
            for batch in _batches(documents):
                waiting.append(self._threads.submit(self._encode, batch))
                if len(waiting) > 2 * self._count:
                    yield from _arrays(waiting.popleft().result())
            while waiting:
                yield from _arrays(waiting.popleft().result())
        finally:
            for future in waiting:
                future.cancel()

    def _encode(self, batch: list[str]) -> list[bytes]:
        child = self._idle.get()  # there is one for each thread
        try:
            return child.encode(batch)
        finally:
            self._idle.put(child)


def main(tokenizer_json: str) -> None:
    """A process: answer every frame of texts with a frame of their ids, until there are no more."""
    encoder = Encoder(load_bpe(Path(tokenizer_json).read_text()))
    try:
        while (texts := _read(sys.stdin.buffer)) is not None:
            _write(sys.stdout.buffer, [encoder.encode(text.decode()) for text in texts])
    except BrokenPipeError:  # whoever asked is gone: the answer goes nowhere, without a complaint
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# ---- private ---------------------------------------------------------------------------------------------


class _Child:
    """One process, which does one batch at a time."""

    def __init__(self, tokenizer_json: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.encoders", str(tokenizer_json)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # one thread each: there are as many processes as CPUs
            env=own_env(RAYON_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"),
            process_group=0,  # Ctrl-C is for whoever started it, who then ends it
        )

    def encode(self, texts: list[str]) -> list[bytes]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101, PT018 - both were asked for
        try:
            _write(stdin, [text.encode() for text in texts])
            answer = _read(stdout)
        except BrokenPipeError:
            answer = None
        if answer is None:
            code = self._process.wait(KILL_PATIENCE)
            why = "killed, most likely for lack of memory" if code < 0 else f"exit code {code}"
            raise HarnessError(
                f"A process that encodes text ended early ({why}); prepare the data again."
            )
        return answer

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        with suppress(BrokenPipeError), self._process:
            pass  # closes the pipes and waits


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    held = 0
    for text in documents:
        batch.append(text)
        held += len(text)
        if held >= BATCH_CHARS:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _arrays(encoded: list[bytes]) -> Iterator[Ids]:
    return (np.frombuffer(ids, dtype=np.uint16) for ids in encoded)


def _write(out: IO[bytes], parts: list[bytes]) -> None:
    """Send a frame: how many parts, how long each is in bytes, and then the parts."""
    out.write(array("Q", [len(parts), *map(len, parts)]).tobytes())
    out.write(b"".join(parts))
    out.flush()


def _read(source: IO[bytes]) -> list[bytes] | None:
    """Receive a frame; None when the other side ended, be it in the midst of one."""
    head = source.read(8)
    if len(head) < 8:
        return None
    lengths = array("Q")
    (count,) = array("Q", head)
    lengths.frombytes(source.read(8 * count))
    body = source.read(sum(lengths))
    if len(lengths) < count or len(body) < sum(lengths):
        return None
    return [body[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]


if __name__ == "__main__":
    main(sys.argv[1])
