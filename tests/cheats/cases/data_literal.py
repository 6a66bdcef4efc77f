"""Weights or text in the source."""

from tests.cheats.case import TOP, Cheat, before

CHEAT = Cheat(
    title="carries 4 KB of text in a string of its source",
    kind="data",
    origin="validation text or weights embedded as base64",
    edits=(before(TOP, f'TEXT = "{"QUJD" * 1000}"\n'),),
    verdict="prevented",
    vetting=True,
    reason="a literal of 4,000 characters",
    defence="a proposal with long literals is refused before it is trained",
)
