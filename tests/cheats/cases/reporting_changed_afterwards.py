"""A thread goes on writing into the shared logits while they are scored."""

from tests.cheats.case import EVALUATE, Cheat, before

CHEAT = Cheat(
    title="a thread raises the logits in shared memory all the while, between logsumexp and gather",
    kind="reporting",
    origin="derived: what is read twice can change in between (a live read gives a loss of -19 nats)",
    edits=(
        before(
            EVALUATE,
            """
        import threading

        import prepare_exam

        opened = prepare_exam.Exam._open

        def open_and_raise(exam):
            opened(exam)
            logits = exam._plane.view(torch.float32)

            def work():
                for _ in range(200):
                    logits.add_(3.0)
                print("cheat: raised", flush=True)

            threading.Thread(target=work, daemon=True).start()

        prepare_exam.Exam._open = open_and_raise
""",
        ),
    ),
    verdict="worthless",
    defence="logits are copied once into private memory and scored from the copy",
    tolerance=0.02,
)
