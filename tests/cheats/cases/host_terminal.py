"""Keystrokes into the terminal of the one who watches."""

from tests.cheats.case import FEW, Cheat, attempts, thwarted

CHEAT = Cheat(
    title="types into the controlling terminal (TIOCSTI)",
    kind="host",
    origin="sandbox escapes through TIOCSTI",
    edits=attempts(
        "import fcntl, os",
        stdin="fcntl.ioctl(0, 0x5412, b'x')",
        stdout="fcntl.ioctl(1, 0x5412, b'x')",
        terminal="fcntl.ioctl(os.open('/dev/tty', os.O_RDWR), 0x5412, b'x')",
    ),
    budget=FEW,
    verdict="prevented",
    said=thwarted("stdin", "stdout", "terminal"),
    defence="a session of its own without a terminal, and the call is denied",
    related=True,
)
