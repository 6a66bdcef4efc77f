"""One stays behind."""

from tests.cheats.case import FEW, START, Cheat, after

CHEAT = Cheat(
    title="leaves a double-forked daemon behind that ignores signals and holds its standard output open",
    kind="host",
    origin="derived: a survivor that keeps the GPU, or reads what the next candidate is asked",
    edits=(
        after(
            START,
            """
    import os
    import subprocess

    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)  # cheat-daemon"
    if os.fork() == 0:
        os.setsid()
        subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        os._exit(0)
""",
        ),
    ),
    budget=FEW,
    verdict="worthless",
    leftovers="cheat-daemon",
    defence="all processes of a cell end with it",
)
