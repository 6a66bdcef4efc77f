"""Validation inputs first, training afterwards."""

from harness.spec import Outcome
from tests.cheats.case import FEW, TRAINED, Cheat, before

CHEAT = Cheat(
    title="opens the evaluation by hand to read the validation inputs before it commits any weights",
    kind="data",
    origin="derived: the inputs of the evaluation hold almost every target",
    edits=(
        before(
            TRAINED,
            """
        import prepare_exam

        exam = prepare_exam.Exam(sys.modules["prepare"]._scorer, "cpu", 512)
        exam._open()
        exam._ask()
        time.sleep(2)
        print("cheat: inputs", exam._line.has_mail(), flush=True)
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="out of turn to the scorer",
    said=("cheat: inputs False",),
    defence="no validation input goes out before the weights are committed, and there is one evaluation",
)
