"""The clock never starts."""

from harness.spec import Budget, Outcome
from tests.cheats.case import Cheat, instead

CHEAT = Cheat(
    title="never asks for the seventeenth batch and trains on sixteen batches for ten seconds",
    kind="time",
    origin="the ancestor's first steps, which do not count",
    edits=(
        instead(
            "        train(run, loader, optimizers, size, log)\n",
            """
        batches = [next(loader) for _ in range(16)]
        end = time.monotonic() + 10
        while time.monotonic() < end:
            for x, y, _ in batches:
                model(x, y).backward()
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad()
""",
        ),
    ),
    budget=Budget("seconds", 2.0, setup_limit=5),
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="Its weights came",
    defence="the clock starts by itself after the set-up limit, and the rows before it are tokens in no order",
    related=True,
)
