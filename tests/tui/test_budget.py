"""What the app may cost: the goals of docs/bench.md with twice their room, medians of five, and a bare Textual app beside.

Bytes are exact and so asserted as they are. Milliseconds of a shared machine are not: the start is compared with the
start of the least app that Textual can be, taken in turns with it, in processor time.
"""

import contextlib
import time

import pytest

from evolve.client import Client
from evolve.journal import Journal
from evolve.places import JOURNAL, STATE
from tests.tui import many
from tests.tui.measuring import journal, latency, load, starts
from tui.keys import KEYS
from tui.shell import SCREENS

VIEW_KEYS = {
    view: key.keys[0].encode()
    for view in SCREENS
    for key in KEYS
    if key.action == f"app.view('{view}')"
}
# Processor time to the first frame: 600 ms were 2.6 times the bare app's on the quiet machine, measured are 1.8 to 2.6;
# twice the aim would be 5.2.
TIMES_BARE = 4.0


@pytest.fixture(scope="module")
def idle():
    with journal("idle", seconds=300) as folder:
        yield folder


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_the_first_frame(idle, columns, rows):
    ours, bare = starts(idle, columns, rows)
    assert ours.cpu_ms <= TIMES_BARE * bare.cpu_ms
    assert ours.size <= 20_000
    assert ours.memory_mb <= 70


@pytest.mark.parametrize("view", SCREENS)
def test_an_idle_view_writes_nothing_and_hardly_works(idle, view):
    found = load(idle, VIEW_KEYS[view], seconds=5)
    assert found.bytes_per_second == 0
    assert found.cpu <= 2 * 0.002
    assert found.memory_mb <= 70


@pytest.mark.parametrize("view", SCREENS)
def test_a_live_view_costs_little(view):
    with journal("live", seconds=60) as folder:
        found = load(folder, VIEW_KEYS[view], seconds=5)
    assert found.bytes_per_second <= 2 * 2000
    assert found.cpu <= 2 * 0.02
    assert found.memory_mb <= 70


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """20,000 candidates: written in a fifth of the time; `python -m bench app` measures 100,000."""
    folder = tmp_path_factory.mktemp("long")
    many.write(folder, 20_000)
    return folder


def test_a_long_list_answers_to_keys_at_once(long_run):
    found = latency(long_run, b"jjkkjGkkkgjjj")
    assert found.p50 <= 2 * 20
    assert (
        found.p95 <= 2 * 20 * 2
    )  # a key that rewrites the whole screen; of the wall, on a shared machine
    assert found.cpu_ms <= 2 * 20
    assert found.open_ms <= 2 * 100 * 2  # of the wall, too, and once only
    assert found.memory_mb <= 70


def test_a_first_look_at_a_long_run_is_short(long_run):
    # `status` in processor time: 20,000 candidates are read, believed and counted by kind.
    began = time.process_time()
    with contextlib.closing(Client(long_run)) as client:
        snapshot = client.snapshot(curve=False)
    passed = time.process_time() - began
    assert (snapshot.candidates, len(snapshot.outlook.trends)) == (20_000, 6)
    # 0.3 s in quiet, 0.9 s beside tests that share the caches; reading everybody twice took tens of seconds
    assert passed <= 2.0
    began = time.process_time()
    for _ in range(20):
        with Journal.reader(long_run / STATE / JOURNAL) as journal:
            journal.tally(), journal.pace(), journal.failed_by_kind()
    assert (time.process_time() - began) / 20 <= 2 * 0.004
