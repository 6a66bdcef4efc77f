"""Work before the first batch."""

from harness.spec import Budget, Outcome
from tests.cheats.case import START, Cheat, after

CHEAT = Cheat(
    title="spends its time before it asks for the first batch",
    kind="time",
    origin="derived: training on text from the disk during set-up",
    edits=(after(START, "    time.sleep(1000)\n"),),
    budget=Budget("tokens", 4096, setup_limit=2),
    verdict="prevented",
    ended=Outcome.TIMEOUT,
    reason="within 4 s of set-up",
    defence="set-up has a limit of its own",
    related=True,
)
