"""The meter: what counts as spent, in which order rows come, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest

from harness import clock as rules
from harness import wire
from harness.clock import LONG_WARMUP, WARMUP_BATCHES, BudgetClock
from harness.meter import OWN_CLOCK, WARM, WARMING, Meter, Replay
from harness.roworder import RowOrder, Rows
from harness.spec import Budget
from harness.wire import Op, Refusal

SECONDS = Budget("seconds", 100, setup_limit=30, overrun=0.03)
TOKENS = Budget("tokens", 1000)
VOCABULARY, BOS = 500, 499
ROWS = np.arange(20 * 9, dtype=np.uint16).reshape(20, 9)  # 20 rows of T = 8
ROWS[:, 0] = BOS


def serve(clock: BudgetClock, batches: int, start: float = 0.0, tokens: int = 64) -> None:
    """A batch a second, as the meter does it."""
    for number in range(batches):
        now = start + number
        clock.served(now, tokens, warm=clock.warming(now))


def test_the_clock_of_seconds_starts_at_the_17th_batch() -> None:
    clock = BudgetClock(SECONDS)
    serve(clock, WARMUP_BATCHES)
    assert clock.seconds(29) == 0
    assert clock.tokens == 0  # nothing of the warm-up is data
    serve(clock, 1, 20)
    assert clock.seconds(50) == 30
    assert clock.tokens == 64


def test_a_slow_start_starts_the_clock_all_the_same() -> None:
    clock = BudgetClock(SECONDS)
    serve(clock, 3)
    assert clock.seconds(30) == 0
    assert clock.seconds(40) == 10  # 30 s after the first batch
    for said in (None, True, False):
        assert not clock.warming(40, said)
    serve(clock, 1, 45)
    assert (clock.warm, clock.tokens) == (3, 64)


def test_a_script_may_say_when_its_warm_up_is_over_but_not_for_ever() -> None:
    clock = BudgetClock(replace(SECONDS, setup_limit=1e9))
    assert clock.warming(0, True)
    assert not clock.warming(0, False)
    serve(clock, WARMUP_BATCHES)
    assert not clock.warming(99, None)
    for number in range(WARMUP_BATCHES, LONG_WARMUP):
        assert clock.warming(number, True)
        clock.served(number, 64, warm=True)
    assert not clock.warming(9999, True)


def test_seconds_end_at_the_budget_and_for_scripts_with_their_own_clock_at_the_overrun() -> None:
    clock = BudgetClock(SECONDS)
    serve(clock, WARMUP_BATCHES + 1)
    start = float(WARMUP_BATCHES)
    assert not clock.spent(start + 99.9, 64)
    assert clock.spent(start + 100, 64)
    assert clock.fraction(start + 50) == 0.5
    assert not clock.spent(start + 102.9, 64, overtime=True)
    assert clock.spent(start + 103, 64, overtime=True)


def test_weights_may_come_until_the_overrun_and_a_moment_for_handing_them_over() -> None:
    clock = BudgetClock(SECONDS)
    serve(clock, WARMUP_BATCHES + 1)
    start = float(WARMUP_BATCHES)
    assert not clock.late(start + 103 + rules.COMMIT_GRACE, 10)
    assert clock.late(start + 104 + rules.COMMIT_GRACE, 10)
    assert not clock.late(start + 104 + rules.COMMIT_GRACE, 2 * rules.COMMIT_RATE)


def test_tokens_are_never_exceeded_and_take_no_notice_of_time() -> None:
    clock = BudgetClock(TOKENS)
    clock.served(0, 600)
    assert not clock.spent(9999, 400)
    assert clock.spent(0, 401)
    assert clock.spent(0, 401, overtime=True)
    assert not clock.late(9999, 10)
    assert clock.fraction(5) == 0.6
    assert clock.seconds(5) == 5


def test_the_clock_stands_still_after_the_commit() -> None:
    clock = BudgetClock(TOKENS)
    clock.served(0, 10)
    clock.end = 7
    assert clock.seconds(100) == 7
    assert clock.spent(8, 10)


def test_rows_come_once_an_epoch_in_an_order_that_the_seed_fixes() -> None:
    order, same, other = RowOrder(20, 1), RowOrder(20, 1), RowOrder(20, 2)
    first = order.take(20)
    assert sorted(first) == list(range(20))
    assert list(same.take(20)) == list(first)
    assert list(other.take(20)) != list(first)
    second = order.take(20)
    assert order.epoch == 2
    assert sorted(second) == list(range(20))
    assert list(second) != list(first)


def test_a_batch_may_reach_over_the_end_of_an_epoch() -> None:
    order = RowOrder(20, 1)
    order.take(15)
    batch = order.take(30)
    assert len(batch) == 30
    assert order.epoch == 3


@contextmanager
def serving(
    budget: Budget, replay: Replay | None = None
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A real meter over real sockets, in a thread of its own."""
    guest, guest_theirs = wire.pair()
    control, control_theirs = wire.pair()
    with guest, guest_theirs, control_theirs:
        guest.settimeout(10)
        control.settimeout(10)
        rows = Rows(ROWS, 1)
        server = Meter(rows, budget, guest_theirs, control_theirs, replay)

        def until_hung_up() -> None:
            with suppress(wire.PeerGone):
                server.serve()

        thread = threading.Thread(target=until_hung_up)
        thread.start()
        try:
            yield guest, control
        finally:
            control.close()
            thread.join(10)
            assert not thread.is_alive(), "the meter must end when the runner hangs up"


def open_ring(guest: socket.socket, batch: int, length: int) -> tuple[int, np.ndarray]:
    wire.send(guest, Op.OPEN, batch, length)
    answer = wire.recv(guest)
    assert answer.op == Op.RING
    (descriptor,) = answer.descriptors
    memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size, prot=mmap.PROT_READ)
    os.close(descriptor)
    return answer.a, np.frombuffer(memory, np.uint16).reshape(answer.b, batch, length + 1)


def batch(guest: socket.socket, number: int, slots: np.ndarray, said: int = 0) -> np.ndarray | None:
    wire.send(guest, Op.NEXT, number, said)
    answer = wire.recv(guest)
    return None if answer.op == Op.END else slots[answer.a].copy()


def is_data(rows: np.ndarray) -> bool:
    """Whether these are rows of the data set, one by one; random ones must at least look right."""
    assert (rows[:, 0] == BOS).all()
    assert (rows < VOCABULARY).all()
    real = {row.tobytes() for row in ROWS}
    found = {row.tobytes() in real for row in rows}
    assert len(found) == 1, "a batch is data, or it is not"
    return found.pop()


def weights(data: bytes, seals: int = wire.IMMUTABLE) -> int:
    import fcntl

    descriptor = os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, data)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def commit(guest: socket.socket, data: bytes, seals: int = wire.IMMUTABLE) -> wire.Message:
    descriptor = weights(data, seals)
    wire.send(guest, Op.COMMIT, descriptors=[descriptor])
    os.close(descriptor)
    return wire.recv(guest)


def reports(control: socket.socket, event: str) -> dict[str, object]:
    while (report := wire.hear(control)) is not None:
        if report["event"] == event:
            return report
    raise AssertionError


def test_it_serves_the_rows_in_order_and_ends_at_the_budget() -> None:
    with serving(Budget("tokens", 100)) as (guest, control):
        number, slots = open_ring(guest, 4, 8)
        expected = RowOrder(20, 1)
        for _ in range(3):  # 3 x 4 x 8 = 96 tokens
            found = batch(guest, number, slots)
            assert found is not None
            assert found.tolist() == ROWS[expected.take(4)].tolist()
        assert batch(guest, number, slots) is None
        spent = reports(control, "spent")
        assert spent["tokens"] <= 96


def test_what_comes_before_the_clock_is_random_and_takes_no_row_from_the_order() -> None:
    with serving(SECONDS) as (guest, control):
        number, slots = open_ring(guest, 4, 8)
        other, others = open_ring(guest, 3, 8)
        warm = [batch(guest, number, slots) for _ in range(WARMUP_BATCHES - 1)]
        warm.append(batch(guest, other, others))
        assert not any(is_data(rows) for rows in warm if rows is not None)
        assert len({rows.tobytes() for rows in warm if rows is not None}) == WARMUP_BATCHES
        expected = RowOrder(20, 1)
        for _ in range(3):
            rows = batch(guest, number, slots)
            assert rows is not None
            assert rows.tolist() == ROWS[expected.take(4)].tolist()
        assert reports(control, "spent")["tokens"] == 0


def test_a_warm_up_tells_how_frequent_tokens_are_and_nothing_of_their_order() -> None:
    data = np.empty((300, 65), np.uint16)
    data[:, 0] = BOS
    data[:, 1::2] = np.random.default_rng(0).choice([3, 4, 4, 4], (300, 32))
    data[:, 2::2] = data[:, 1::2] + 10  # 13 follows 3, and 14 follows 4, always
    warm = np.empty((2000, 65), np.uint16)
    Rows(data, 1).random_into(warm)
    tokens = warm[:, 1:]
    assert set(np.unique(tokens)) == {3, 4, 13, 14, BOS}
    assert (tokens == 4).mean() == pytest.approx((data == 4).mean(), abs=0.02)
    before, after = tokens[:, :-1].ravel(), tokens[:, 1:].ravel()
    assert (after[before == 3] == 13).mean() == pytest.approx((data == 13).mean(), abs=0.02)


def test_an_own_clock_is_believed_and_nothing_else_is() -> None:
    with serving(SECONDS) as (guest, _):
        number, slots = open_ring(guest, 2, 8)
        long = [batch(guest, number, slots, OWN_CLOCK | WARMING) for _ in range(40)]
        assert not any(is_data(rows) for rows in long if rows is not None)
        assert is_data(np.array(batch(guest, number, slots, OWN_CLOCK | WARM)))
        assert is_data(np.array(batch(guest, number, slots, OWN_CLOCK | WARMING)))  # too late
    with serving(SECONDS) as (guest, _):
        number, slots = open_ring(guest, 2, 8)
        iterating = [batch(guest, number, slots, WARMING) for _ in range(WARMUP_BATCHES + 1)]
        assert is_data(np.array(iterating[-1]))


def test_a_row_is_never_shown_before_it_is_counted() -> None:
    with serving(Budget("tokens", 96)) as (guest, _):
        number, slots = open_ring(guest, 4, 8)
        shown = {batch(guest, number, slots).tobytes() for _ in range(3)}
        threading.Event().wait(0.05)  # it gets the next one ready meanwhile
        assert batch(guest, number, slots) is None
        assert {rows.tobytes() for rows in slots} == shown


def test_a_shorter_sequence_gets_the_start_of_each_row() -> None:
    with serving(TOKENS) as (guest, _):
        number, slots = open_ring(guest, 2, 3)
        found = batch(guest, number, slots)
        assert found is not None
        assert found.tolist() == ROWS[RowOrder(20, 1).take(2), :4].tolist()


@pytest.mark.parametrize(
    ("size", "length", "why"),
    [(4, 9, Refusal.SHAPE), (0, 8, Refusal.SHAPE), (2**31, 8, Refusal.SIZE)],
)
def test_it_refuses_impossible_batches(size: int, length: int, why: Refusal) -> None:
    with serving(TOKENS) as (guest, _):
        wire.send(guest, Op.OPEN, size, length)
        answer = wire.recv(guest)
        assert (answer.op, answer.a) == (Op.REFUSED, why)


def test_a_commit_is_hashed_and_ends_the_training() -> None:
    with serving(TOKENS) as (guest, control):
        number, slots = open_ring(guest, 4, 8)
        assert batch(guest, number, slots) is not None
        assert commit(guest, b"the weights").op == Op.COMMITTED
        assert batch(guest, number, slots) is None
        told = reports(control, "committed")
        committed, descriptors = told["at"], told["descriptors"]
        assert isinstance(committed, float)
        assert isinstance(descriptors, list)
        assert 0 <= time.monotonic() - committed < 10
        assert os.pread(descriptors[0], 100, 0) == b"the weights"  # for an audit
        os.close(descriptors[0])
        report = reports(control, "hashed")
        assert report["sha256"] == hashlib.sha256(b"the weights").hexdigest()


def test_it_tells_how_long_rows_were_waited_for() -> None:
    with serving(TOKENS) as (guest, control):
        number, slots = open_ring(guest, 4, 8)
        for _ in range(5):
            assert batch(guest, number, slots) is not None
            threading.Event().wait(0.06)  # work on it, which is no waiting
        commit(guest, b"weights")
        control.setblocking(False)
        told = []
        while report := wire.hear(control):
            told += [report] if report["event"] == "spent" else []
        waited = [float(report["waited"]) for report in told]
        assert told[-1]["batches"] == 5
        assert waited == sorted(waited)
        assert 0 < waited[-1] < 0.06
        assert float(told[-1]["opened"]) <= float(told[-1]["first"])


def test_a_goodbye_is_reported_and_a_death_is_none() -> None:
    with serving(TOKENS) as (guest, control):
        guest.shutdown(socket.SHUT_WR)
        assert reports(control, "goodbye") == {"event": "goodbye"}
    with serving(TOKENS) as (guest, control):
        guest.close()
        control.settimeout(0.4)
        with pytest.raises(TimeoutError):
            reports(control, "goodbye")


def test_weights_that_could_still_change_are_refused() -> None:
    import fcntl

    with serving(TOKENS) as (guest, control):
        answer = commit(guest, b"weights", fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        assert (answer.op, answer.a) == (Op.REFUSED, Refusal.SEAL)
        assert reports(control, "refused")["refusal"] == "SEAL"


def test_weights_after_the_deadline_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "COMMIT_GRACE", 0.0)
    with serving(Budget("seconds", 0.01, setup_limit=0.0)) as (guest, control):
        number, slots = open_ring(guest, 1, 8)
        while batch(guest, number, slots) is not None:
            pass
        threading.Event().wait(0.05)  # train on, on a batch that was kept
        assert commit(guest, b"weights").a == Refusal.LATE
        assert reports(control, "refused")["seconds"] > 0.01


def replayed(data: bytes) -> Replay:
    return Replay(weights(data), hashlib.sha256(data).hexdigest())


def test_a_replay_shows_no_data_and_gives_the_weights_back_once() -> None:
    with serving(SECONDS, replayed(b"the weights")) as (guest, control):
        number, slots = open_ring(guest, 2, 8)
        assert batch(guest, number, slots) is None  # one that iterates has nothing to do
        for said in (WARMING, WARM, 0) * 20:
            assert not is_data(np.array(batch(guest, number, slots, OWN_CLOCK | said)))
        wire.send(guest, Op.RESTORE)
        answer = wire.recv(guest)
        assert (answer.op, answer.d) == (Op.WEIGHTS, 11)
        (descriptor,) = answer.descriptors
        assert os.read(descriptor, 100) == b"the weights"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"x")
        os.close(descriptor)
        assert batch(guest, number, slots, OWN_CLOCK) is None
        assert reports(control, "spent")["fraction"] == 0
        assert time.monotonic() - float(str(reports(control, "committed")["at"])) < 10
        report = reports(control, "hashed")
        assert report["sha256"] == hashlib.sha256(b"the weights").hexdigest()
        wire.send(guest, Op.RESTORE)
        assert "out of turn" in str(reports(control, "violation")["reason"])


@pytest.mark.parametrize("op", [Op.COMMIT, Op.RESTORE])
def test_a_replay_commits_nothing_and_a_training_restores_nothing(op: Op) -> None:
    replay = replayed(b"weights") if op is Op.COMMIT else None
    with serving(TOKENS, replay) as (guest, control):
        wire.send(guest, op, descriptors=[weights(b"others")] if replay else [])
        assert "out of turn" in str(reports(control, "violation")["reason"])


@pytest.mark.parametrize("junk", [b"?", b"x" * 24])
def test_whatever_is_no_message_ends_the_conversation(junk: bytes) -> None:
    with serving(TOKENS) as (guest, control):
        guest.send(junk)
        assert "meter" in str(reports(control, "violation")["reason"])


def test_a_busy_candidate_does_not_flood_the_runner() -> None:
    with serving(Budget("tokens", 1e9)) as (guest, control):
        number, slots = open_ring(guest, 1, 8)
        for _ in range(500):
            assert batch(guest, number, slots) is not None
        control.setblocking(False)
        heard = 0
        while wire.hear(control):
            heard += 1
        assert heard < 100


def test_reports_are_plain_numbers() -> None:
    with serving(TOKENS) as (guest, control):
        number, slots = open_ring(guest, 1, 8)
        batch(guest, number, slots)
        report = reports(control, "spent")
        assert json.loads(json.dumps(report)) == report
        assert report["first"] is not None
