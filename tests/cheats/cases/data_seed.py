"""42 becomes 137."""

from tests.cheats.case import START, TOP, Cheat, after, before

CHEAT = Cheat(
    title="sets seeds of its own for torch, numpy and random, before and after it imports prepare",
    kind="data",
    origin="the ancestor's leaderboard: “seed 42 -> 137” (#131, #251)",
    edits=(
        before(TOP, "import random\n"),
        after(
            START,
            """
    import numpy

    torch.manual_seed(137)
    torch.random.manual_seed(137)
    numpy.random.seed(137)
    random.seed(137)
""",
        ),
    ),
    verdict="worthless",
    defence="the seed is the harness's: a script that sets one gets the experiment's; champions face new seeds",
)
