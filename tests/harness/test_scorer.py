"""The scorer: arithmetic that equals the textbook's, and no belief in what a candidate says."""

from __future__ import annotations

import math
import mmap
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.nn import functional

from harness import scorer, wire
from harness.judging import Invalid, Judge, Tally, cross_entropy
from harness.scorer import Scorer
from harness.wire import Dtype, Op

torch.set_num_threads(1)
COUNT, LENGTH, VOCABULARY = 10, 8, 32
ROWS = np.random.default_rng(0).integers(0, VOCABULARY, (COUNT, LENGTH + 1)).astype(np.uint16)
BYTES = np.arange(VOCABULARY, dtype=np.int32) % 5  # token 0, 5, 10 … stand for no bytes
JOB = {"length": LENGTH, "vocabulary": VOCABULARY, "device": "cpu", "slack": 0.2}


def model(rows: np.ndarray) -> torch.Tensor:
    """Logits that depend on the input, for uint16 [B, T]."""
    table = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(1))
    return 3 * table[torch.from_numpy(rows.astype(np.int64))]


def expected_bpb() -> float:
    """The textbook: sum of nats over tokens with bytes, by ln 2 and by those bytes."""
    targets = torch.from_numpy(ROWS[:, 1:].astype(np.int64))
    logits = model(ROWS[:, :-1]).double()
    nats = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    count = torch.from_numpy(BYTES)[targets.flatten()]
    return float(nats[count > 0].sum() / math.log(2) / count.sum())


@contextmanager
def scoring(*words: bytes) -> Iterator[tuple[socket.socket, Callable[[], Tally]]]:
    """A real scorer over real sockets, told by the runner that the weights are committed, or other `words`: the
    candidate's end, and what came of it."""
    guest, guest_theirs = wire.pair()
    control, control_theirs = wire.pair()
    for word in words or (wire.PREPARE, wire.BEGIN):
        control.send(word)
    outcome: list[Tally | Exception] = []

    def serve() -> None:
        judge = Judge(ROWS, BYTES)
        try:
            nats = Scorer(judge, JOB, guest_theirs, control_theirs).serve(ROWS)
            outcome.append(judge.tally(nats, slice(None)))
        except (Invalid, wire.ProtocolError, wire.PeerGone) as fault:
            outcome.append(fault)

    thread = threading.Thread(target=serve)
    thread.start()

    def result() -> Tally:
        thread.join(10)
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    with guest, guest_theirs, control_theirs:
        guest.settimeout(10)
        try:
            yield guest, result
        finally:
            control.close()
            thread.join(10)
            assert not thread.is_alive(), "the scorer must end when the runner hangs up"


class Candidate:
    """The guest's side, by hand."""

    def __init__(self, guest: socket.socket, batch: int) -> None:
        self.guest = guest
        wire.send(guest, Op.EVALUATE, batch)
        planes = wire.recv(guest)
        assert planes.op == Op.PLANES
        assert (planes.a, planes.b, planes.c) == (COUNT, LENGTH, VOCABULARY)
        inputs, logits = planes.descriptors
        memory = mmap.mmap(inputs, os.fstat(inputs).st_size, prot=mmap.PROT_READ)
        self.inputs = np.frombuffer(memory, np.uint16).reshape(-1, min(batch, COUNT), LENGTH)
        self.logits = mmap.mmap(logits, os.fstat(logits).st_size)
        self.slot_bytes = planes.d
        wire.close_all(planes.descriptors)

    def rows(self) -> np.ndarray:
        wire.send(self.guest, Op.ROWS)
        answer = wire.recv(self.guest)
        assert answer.op == Op.INPUTS
        return self.inputs[answer.a, : answer.b].copy()

    def give(self, logits: torch.Tensor, slot: int = 0) -> None:
        kinds = [torch.float32, torch.float16, torch.bfloat16]
        data = logits.contiguous().view(torch.uint8).numpy().tobytes()
        start = slot * self.slot_bytes
        self.logits[start : start + len(data)] = data
        wire.send(self.guest, Op.LOGITS, slot, len(logits), kinds.index(logits.dtype))
        answer = wire.recv(self.guest)
        assert (answer.op, answer.a) == (Op.FREE, slot)


@pytest.mark.parametrize("batch", [1, 3, 4, 10, 64])
def test_the_score_is_the_textbooks_whatever_the_batch_size(batch: int) -> None:
    with scoring() as (guest, result):
        candidate = Candidate(guest, batch)
        done = 0
        while done < COUNT:
            rows = candidate.rows()
            assert rows.tolist() == ROWS[done : done + len(rows), :-1].tolist()
            candidate.give(model(rows), slot=done % 3)
            done += len(rows)
        tally = result()
    assert tally.bpb == pytest.approx(expected_bpb(), abs=1e-6)
    assert tally.tokens == int((BYTES[ROWS[:, 1:]] > 0).sum())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 1e-3), (torch.bfloat16, 1e-2)])
def test_half_precision_is_scored_in_float32(dtype: torch.dtype, tolerance: float) -> None:
    with scoring() as (guest, result):
        candidate = Candidate(guest, COUNT)
        candidate.give(model(candidate.rows()).to(dtype))
        assert result().bpb == pytest.approx(expected_bpb(), abs=tolerance)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_single_logit_that_is_not_finite_spoils_everything(poison: float) -> None:
    with scoring() as (guest, result):
        candidate = Candidate(guest, COUNT)
        logits = model(candidate.rows())
        logits[7, 3, 1] = poison
        candidate.give(logits)
        with pytest.raises(Invalid) as caught:
            result()
    assert caught.value.outcome == "nan"


def test_a_token_ruled_out_by_minus_infinity_is_legitimate_unless_it_comes() -> None:
    logits = torch.zeros(1, 2, 4)
    logits[0, :, 3] = -math.inf
    nats = cross_entropy(logits, torch.tensor([[0, 3]]))
    assert nats[0, 0] == pytest.approx(math.log(3))
    assert nats[0, 1] == math.inf


def test_probabilities_that_sum_to_277_gain_nothing() -> None:
    logits = torch.randn(2, 3, 8)
    targets = torch.randint(0, 8, (2, 3))
    shifted = logits + 277  # normalised over the whole vocabulary all the same
    assert torch.allclose(
        cross_entropy(logits, targets), cross_entropy(shifted, targets), atol=1e-4
    )


def test_wrong_shapes_are_explained() -> None:
    with scoring() as (guest, result):
        candidate = Candidate(guest, 4)
        candidate.rows()
        wire.send(guest, Op.SHAPE, 4, LENGTH, 31, 3)
        with pytest.raises(Invalid, match=r"\[4, 8, 31\]; it must return \[batch, 8, 32\]"):
            result()


@pytest.mark.parametrize(
    ("op", "numbers"),
    [
        (Op.LOGITS, (0, 5, 0)),  # more rows than were sent
        (Op.LOGITS, (9, 4, 0)),  # no such slot
        (Op.LOGITS, (0, 4, 7)),  # no such type
        (Op.LOGITS, (0, 0, 0)),  # nothing at all
        (Op.SCORE, (0, 0, 0, 1)),  # a score of its own
        (Op.EVALUATE, (4,)),  # once more
    ],
)
def test_messages_that_nobody_asked_for_end_the_evaluation(
    op: Op, numbers: tuple[int, ...]
) -> None:
    with scoring() as (guest, result):
        Candidate(guest, 4).rows()
        wire.send(guest, op, *numbers)
        with pytest.raises(wire.ProtocolError):
            result()


def test_inputs_come_no_further_ahead_than_the_plane_holds() -> None:
    with scoring() as (guest, result):
        candidate = Candidate(guest, 2)
        for _ in range(scorer.INPUTS):
            candidate.rows()
        wire.send(guest, Op.ROWS)
        with pytest.raises(wire.ProtocolError):
            result()


def test_the_planes_are_ready_before_the_weights_are_committed_but_no_input_goes_out() -> None:
    with scoring(wire.PREPARE) as (guest, _):
        Candidate(guest, 4)
        wire.send(guest, Op.ROWS)
        guest.settimeout(0.3)
        with pytest.raises(TimeoutError):
            wire.recv(guest)


def test_a_candidate_that_leaves_is_noticed() -> None:
    with scoring() as (guest, result):
        Candidate(guest, 3)
        guest.close()
        with pytest.raises(wire.PeerGone):
            result()


def test_the_tally_without_bytes_is_no_score() -> None:
    assert Tally().bpb == math.inf
    assert Tally(nats=math.log(2) * 8, tokens=1, count=4).bpb == 2.0


def test_dtypes_are_numbered_as_the_guest_numbers_them() -> None:
    assert [Dtype.FLOAT32, Dtype.FLOAT16, Dtype.BFLOAT16] == [0, 1, 2]
    assert scorer.SLOTS >= 2


def test_a_single_row_is_scored_and_the_rows_themselves_stay_untouched() -> None:
    rows = ROWS[:1].copy()
    rows.setflags(write=False)  # as a file that is mapped
    judge = Judge(rows, BYTES)
    judge.begin("cpu")
    judge.score(0, torch.zeros(1, LENGTH, VOCABULARY))
    tally = judge.tally(judge.finish(), slice(None))
    assert tally.nats == pytest.approx(tally.tokens * math.log(VOCABULARY))
    assert rows.tolist() == ROWS[:1].tolist()


def test_a_candidate_that_cannot_use_device_memory_is_given_host_memory_before_it_begins() -> None:
    with scoring() as (guest, result):
        candidate = Candidate(guest, COUNT)
        wire.send(guest, Op.PLAIN)
        again = wire.recv(guest)
        assert again.op == Op.PLANES
        assert again.d >> wire.DEVICE_SHIFT == 0
        candidate.logits = mmap.mmap(again.descriptors[1], 0)
        wire.close_all(again.descriptors)
        candidate.give(model(candidate.rows()))
        assert result().bpb == pytest.approx(expected_bpb(), abs=1e-6)
    with scoring() as (guest, result):
        candidate = Candidate(guest, COUNT)
        candidate.rows()
        wire.send(guest, Op.PLAIN)
        with pytest.raises(wire.ProtocolError, match="too late"):
            result()


def test_whoever_computes_slower_than_it_trained_is_not_waited_for() -> None:
    with scoring(wire.PREPARE, wire.BEGIN + b" 1000.0") as (
        guest,
        result,
    ):  # 0.2 s, and 80 tokens at that speed
        candidate = Candidate(guest, 1)
        candidate.give(model(candidate.rows()))
        with pytest.raises(Invalid, match="needs longer for a token than its training did"):
            result()
    with scoring(wire.PREPARE, wire.BEGIN) as (guest, result):  # a budget of tokens has no clock
        candidate = Candidate(guest, COUNT)
        rows = candidate.rows()
        threading.Event().wait(0.4)
        candidate.give(model(rows))
        assert result().bpb == pytest.approx(expected_bpb(), abs=1e-6)
