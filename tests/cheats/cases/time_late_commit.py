"""Training goes on after the end, on rows that were kept."""

from harness.spec import Budget, Outcome
from tests.cheats.case import LOOP, TRAINED, Cheat, before

CHEAT = Cheat(
    title="trains on for six seconds after a budget of one, on batches that it kept",
    kind="time",
    origin="derived: a deadline on rows is none on work",
    edits=(
        before(LOOP, "        kept.append((x, y))\n"),
        before("    adamw, muon = optimizers\n", "    global kept\n    kept = []\n"),
        before(
            TRAINED,
            """
        end = time.monotonic() + 6
        while time.monotonic() < end:
            for x, y in kept:
                model(x, y).backward()
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad()
""",
        ),
    ),
    budget=Budget("seconds", 1.0),
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="Its weights came",
    defence="the deadline is on the commit of the weights, not on the last batch",
)
