"""A real engine in a process of its own, whose trainings only sleep: `python -m tests.evolve.small_engine WORKSPACE TEXT`.

SMALL_ENGINE, as JSON, sets constants of modules (`{"evolve.database.BUSY": 0.3}`) and, as `clock`, makes the machine's
clock jump to and fro by so many seconds, several times a second.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from evolve import serving
from harness.spec import Cause, ExperimentSpec, Outcome, Result
from tests.evolve.slots import ShortSlot, overrides


class Reading(ShortSlot):
    """Trains only where the data set is."""

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        if not (Path(spec.dataset) / "manifest.json").is_file():
            return Result(Outcome.VOID, "There is no data set.", cause=Cause.DATA_MISSING)
        return await super().run(spec, directory)


def jump(seconds: list[float]) -> None:
    """Set the clock, as far as this process sees it, by the next of these every fifth of a second."""
    true, offsets = time.time, itertools.cycle(seconds)
    now = [0.0]
    time.time = lambda: true() + now[0]  # type: ignore[assignment]

    def set_it() -> None:
        while True:
            now[0] = next(offsets)
            time.sleep(0.2)

    threading.Thread(target=set_it, daemon=True).start()


def main(workspace: Path, text: Path) -> int:
    given: dict[str, Any] = json.loads(os.environ.get("SMALL_ENGINE", "{}"))
    jump(given.pop("clock", [0.0]))
    more: dict[str, str] = given.pop("settings", {})
    for name, value in given.items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    return serving.serve(
        workspace, overrides=overrides(text, **more), allow_weak_sandbox=True, slot=Reading()
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
