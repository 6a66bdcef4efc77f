"""The same, with a memory that is meant to outlive the process."""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, TRAINED, VOIDED, Cheat, after

CHEAT = Cheat(
    title="peeks, and leaves the rows in /tmp, /dev/shm, /compile, /job, its home and an abstract socket for the audit",
    kind="data",
    origin="derived: weights and answers left behind by an earlier candidate",
    edits=(
        after(
            TRAINED,
            r"""
        import glob

        folders = ("/tmp", "/var/tmp", "/dev/shm", "/compile", "/job", "/run", "/tmp/home", "/data", "/guest")
        global KEPT, PLACES
        PLACES = [f"{folder}/kept" for folder in folders]
        KEPT = {}
        for place in PLACES:
            for file in glob.glob(f"{place}.*"):
                row = torch.load(file)
                KEPT[tuple(row[:3].tolist())] = row
        print("cheat: found", len(KEPT), flush=True)
""",
        ),
        after(
            LOGITS,
            r"""
        if targets is None:
            for row in tokens:
                for place in PLACES:
                    with suppress(OSError, RuntimeError):
                        torch.save(row.clone(), f"{place}.{hash(tuple(row.tolist()))}")
                known = KEPT.get(tuple(row[:3].tolist()))
                if known is not None:
                    row.copy_(known)
            logits[:, :-1].scatter_(2, tokens[:, 1:, None], 30.0)
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    said=("cheat: found 0",),
    probes=512,
    defence="the audit's cell shares nothing that is writable with the training's",
)
