"""It has its score and stays."""

from tests.cheats.case import FEW, START, Cheat, after

CHEAT = Cheat(
    title="sleeps in atexit with its score in its pocket",
    kind="time",
    origin="derived: the next training waits",
    edits=(after(START, "    import atexit\n\n    atexit.register(time.sleep, 1000)\n"),),
    budget=FEW,
    verdict="worthless",
    defence="a scored script is not waited for while it tidies up",
)
