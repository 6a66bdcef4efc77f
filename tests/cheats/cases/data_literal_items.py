"""The same in numbers."""

from tests.cheats.case import TOP, Cheat, before

CHEAT = Cheat(
    title="carries 5,000 numbers in a list of its source",
    kind="data",
    origin="validation text or weights embedded as literals",
    edits=(before(TOP, f"WEIGHTS = {list(range(5000))}\n"),),
    verdict="prevented",
    vetting=True,
    reason="a literal of 5,000 items",
    defence="a proposal with long literals is refused before it is trained",
)
