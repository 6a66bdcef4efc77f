"""The same in comments."""

from tests.cheats.case import TOP, Cheat, before

CHEAT = Cheat(
    title="carries 100 KB of text in comments of its source",
    kind="data",
    origin="parameter-golf: text smuggled past a limit of the model's size",
    edits=(before(TOP, "# Once upon a time, there was a row.\n" * 3000),),
    verdict="prevented",
    vetting=True,
    reason="more than",
    defence="a source has at most 64 KiB and 1,500 lines",
)
