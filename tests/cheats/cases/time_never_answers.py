"""The scorer waits."""

from harness.spec import Limits, Outcome
from tests.cheats.case import EVALUATE, FEW, Cheat, before

CHEAT = Cheat(
    title="ignores SIGTERM and every other signal, and never answers the scorer",
    kind="time",
    origin="terminal benchmarks: processes that do not end",
    edits=(
        before(
            EVALUATE,
            """
        import signal

        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        model.register_forward_hook(lambda *_: time.sleep(1000))
""",
        ),
    ),
    budget=FEW,
    limits=Limits(wall_seconds=7, threads=1),
    verdict="prevented",
    ended=Outcome.TIMEOUT,
    reason="the wall limit",
    defence="a wall limit, and SIGKILL",
)
