"""What earlier rows said is remembered."""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, VOIDED, Cheat, after

CHEAT = Cheat(
    title="keeps an n-gram cache over all validation rows that it has seen",
    kind="data",
    origin="parameter-golf: n-gram caches and two-pass scoring (#846, #870, #1336)",
    edits=(
        after(
            LOGITS,
            """
        if targets is None:
            cache = self.__dict__.setdefault("cache", {})
            for row, ids in enumerate(tokens.tolist()):
                for t in range(1, len(ids)):
                    if (known := cache.get((ids[t - 1], ids[t]))) is not None:
                        logits[row, t, known] += 1.5
                for t in range(2, len(ids)):
                    cache[ids[t - 2], ids[t - 1]] = ids[t]
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: a fresh process sees other rows in another order, so a memory shows",
)
