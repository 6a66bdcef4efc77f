"""A lucky start."""

from tests.cheats.case import Cheat, after

CHEAT = Cheat(
    title="draws its initial weights from a torch.Generator with a seed of its own, chosen for luck",
    kind="data",
    origin="the ancestor's leaderboard: “seed 42 -> 137” (#131, #251)",
    edits=(
        after(
            "        self.head.weight.normal_(std=HEAD_STD)\n",
            "        self.embed.weight.normal_(std=EMBED_STD, generator=torch.Generator().manual_seed(137))\n",
        ),
    ),
    verdict="open",
    defence="none by force: it could as well compute its weights; new orders of the data at new seeds dilute the luck",
)
