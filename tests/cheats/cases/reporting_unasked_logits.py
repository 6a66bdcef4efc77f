"""Logits for more rows than were asked for."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, FEW, Cheat, before

CHEAT = Cheat(
    title="announces the same good logits for all remaining rows at once",
    kind="reporting",
    origin="derived: answers counted without having been asked",
    edits=(
        before(
            EVALUATE,
            """
        import prepare_exam

        announce = prepare_exam.Exam._announce

        def announce_all(exam):
            _, slot, _, kind, _ = exam._under_way[0]
            exam._line.send(prepare_exam.wire.LOGITS, slot, exam._rows, kind)
            announce(exam)

        prepare_exam.Exam._announce = announce_all
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="logits that nobody asked for",
    defence="the scorer counts the rows that it gave out, and takes logits for no others",
)
