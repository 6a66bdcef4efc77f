"""The memory that it shares with the trusted side."""

from tests.cheats.case import _ATTEMPT, EVALUATE, FEW, Cheat, before, thwarted

CHEAT = Cheat(
    title="truncates shared memory (a SIGBUS for the scorer) and writes into rows and inputs, which it may only read",
    kind="host",
    origin="derived: memory that two sides have mapped",
    edits=(
        before("def main():\n", _ATTEMPT),
        before(
            EVALUATE,
            """
        import mmap
        import os

        import prepare_exam

        hear = prepare_exam.Exam._open

        def open_and_try(exam):
            receive = exam._line.receive

            def receive_and_try():
                message = receive()
                if len(message[5]) == 2:
                    inputs, logits = message[5]
                    size = os.fstat(inputs).st_size
                    attempt("shrink", lambda: os.ftruncate(logits, 0))
                    attempt("grow", lambda: os.ftruncate(logits, 1 << 40))
                    attempt("inputs", lambda: os.ftruncate(inputs, 0))
                    attempt("write", lambda: os.pwrite(inputs, b"x", 0))
                    attempt("map", lambda: mmap.mmap(inputs, size, prot=mmap.PROT_READ | mmap.PROT_WRITE))
                    attempt("reopen", lambda: open(f"/proc/self/fd/{inputs}", "r+b", 0).write(b"x"))
                return message

            exam._line.receive = receive_and_try
            hear(exam)

        prepare_exam.Exam._open = open_and_try
""",
        ),
    ),
    budget=FEW,
    verdict="worthless",
    said=thwarted("shrink", "grow", "inputs", "write", "map", "reopen"),
    defence="sealed memory files: nobody can resize them, and only their maker can write inputs and rows",
)
