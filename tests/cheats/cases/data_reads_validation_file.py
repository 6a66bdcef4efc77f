"""The file itself."""

from tests.cheats.case import FEW, Cheat, attempts, thwarted

CHEAT = Cheat(
    title="opens val.bin by its real path, and searches every folder that it can see for it",
    kind="data",
    origin="the ancestor: the validation shard lies in the user's cache, readable",
    edits=attempts(
        """
import os
from pathlib import Path
places = [p for p in os.listdir("/") if p not in ("proc", "sys", "usr")]
seen = [f for p in places for f in Path("/", p).rglob("*.bin") if f.name in ("val.bin", "sealed.bin", "train.bin")]
""",
        path="open('@DATASET@/val.bin', 'rb').read()",
        sealed="open('@DATASET@/sealed.bin', 'rb').read()",
        folder="os.listdir('@DATASET@')",
        search="seen[0]",
    ),
    budget=FEW,
    verdict="prevented",
    said=thwarted("path", "sealed", "folder", "search"),
    defence="validation rows are not mounted; they come one batch at a time, inputs only, once the weights are committed",
)
