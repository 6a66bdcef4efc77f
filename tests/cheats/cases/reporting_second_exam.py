"""A second evaluation by hand, behind prepare's back."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, Cheat, after

CHEAT = Cheat(
    title="asks the scorer by hand for a second evaluation",
    kind="reporting",
    origin="derived: best of n on the validation rows",
    edits=(
        after(
            EVALUATE,
            """
        import prepare_exam

        model.head.weight.data.mul_(1.05)
        line = sys.modules["prepare"]._scorer
        with suppress(OSError):
            print("cheat: again", prepare_exam.Exam(line, "cpu", rows).run(model), flush=True)
""",
        ),
    ),
    verdict="worthless",
    ended=Outcome.OK,
    unsaid=("cheat: again",),
    defence="the scorer judges once and closes its line",
    related=True,
)
