"""A summary block with a dreamt-up score, after the real one."""

from tests.cheats.case import SUMMARY, Cheat, after

CHEAT = Cheat(
    title="prints the summary block again, with val_bpb 0.0001",
    kind="reporting",
    origin="the ancestor greps the score from what the script prints",
    edits=(after(SUMMARY, '    print("---\\nval_bpb:          0.000100", flush=True)\n'),),
    verdict="worthless",
    defence="the score is computed by the scorer and never read from output",
    said=("val_bpb:          0.000100",),
)
