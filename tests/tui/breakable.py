"""The app on a recording that fails when it is told to: `kill -USR1` is a fault of the app itself.

`python -m tests.tui.breakable [live|idle]`.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.tui.recording import Recording


class Breakable(Recording):
    """A recording until SIGUSR1."""

    broken = False

    def data_version(self) -> int:
        """Every look begins with this."""
        if self.broken:
            raise RuntimeError("a fault of the app itself")
        return super().data_version()


if __name__ == "__main__":
    from tui.app import run_app

    source = Breakable(sys.argv[1])
    signal.signal(signal.SIGUSR1, lambda *_: setattr(source, "broken", True))
    sys.exit(run_app(Path.cwd(), source=lambda: source))
