"""The end of the rows is not the end."""

from harness.spec import Budget, Outcome
from tests.cheats.case import START, Cheat, after

CHEAT = Cheat(
    title="patches the loader to start again with kept batches whenever the harness ends it",
    kind="time",
    origin="derived: swallowed StopIteration",
    edits=(
        after(
            START,
            """
    loader_type = sys.modules["prepare"].Loader
    fetch, kept, ended = loader_type.__next__, [], []

    def endless(self):
        try:
            kept.append(fetch(self))
            return kept[-1]
        except StopIteration:
            ended.append(time.monotonic())
            if time.monotonic() > ended[0] + 6:
                raise
            return kept[len(ended) % len(kept)]

    loader_type.__next__ = endless
""",
        ),
    ),
    budget=Budget("seconds", 1.0),
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="Its weights came",
    defence="the deadline is on the commit of the weights, which a trusted process stamps",
    related=True,
)
