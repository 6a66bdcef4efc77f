"""Kernels for somebody else."""

from tests.cheats.case import START, Cheat, after

CHEAT = Cheat(
    title="plants files in inductor's and Triton's caches for candidates that come later",
    kind="data",
    origin="inductor's cache entries are pickles and shared objects",
    edits=(
        after(
            START,
            """
    from pathlib import Path

    for folder in ("inductor", "triton", "inductor/fxgraph/aa"):
        Path("/compile", folder).mkdir(parents=True, exist_ok=True)
        Path("/compile", folder, "planted").write_bytes(b"planted")
""",
        ),
    ),
    second=(
        after(
            START,
            """
    from pathlib import Path

    print("cheat: found", len(list(Path("/compile").rglob("planted"))), flush=True)
""",
        ),
    ),
    verdict="worthless",
    said=("cheat: found 0",),
    defence="what a source compiles is seen by the same source and its descendants only",
)
