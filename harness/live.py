"""What a candidate prints about itself: the live line, the summary block, the last traceback.

All of it is untrusted and read for display only; nothing found here ever becomes a score. Reading is lenient:
forks print more, less, and in other orders.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from harness.process import clean

SUMMARY_KEYS = 64
VALUE_LIMIT = 100  # characters of a summary value
TRACEBACK_LIMIT = 4096  # characters
LIVE_LINE_LIMIT = 1000  # characters; nothing longer is a live line

_NUMBER = r"([-+]?(?:\d[\d,_]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf))"
_STEP = re.compile(r"\bstep[\s:=]+(\d+)", re.I)
_LOSS = re.compile(rf"\b(?:train_)?loss[\s:=]+{_NUMBER}", re.I)
_SPEED = re.compile(rf"\btok(?:en)?s?/s(?:ec)?[\s:=]+{_NUMBER}", re.I)
_MFU = re.compile(rf"\bmfu[\s:=]+{_NUMBER}", re.I)
_SUMMARY_START = re.compile(r"^---[ \t]*$", re.M)
_SUMMARY_LINE = re.compile(r"^(\w+):\s+(\S+)")
_TRACEBACK = "Traceback (most recent call last):"


@dataclass(frozen=True, slots=True)
class Step:
    """One live line."""

    step: int
    loss: float | None  # nats per token; may be NaN
    tokens_per_second: float | None
    mfu_percent: float | None


def parse_step(line: str) -> Step | None:
    """Read a live line such as `step 00012 (3.1%) | loss: 5.43 | tok/sec: 1,234,567 | mfu: 40.1%`.

    None when the line has no step or neither a loss nor a speed.
    """
    if len(line) > LIVE_LINE_LIMIT or not (step := _STEP.search(line)):
        return None
    loss, speed = _number(_LOSS, line), _number(_SPEED, line)
    if loss is None and speed is None:
        return None
    return Step(int(step[1][:12]), loss, speed, _number(_MFU, line))


def parse_steps(text: str, most: int = 16) -> list[Step]:
    """The last `most` live lines of a piece of output, whether they end in a newline or are overwritten."""
    lines = re.split(r"[\r\n]+", text[-most * LIVE_LINE_LIMIT :])
    return [step for line in lines[-most:] if (step := parse_step(line))]


def parse_summary(text: str) -> dict[str, str]:
    """The last summary block: `key: value` lines after a line `---`; empty when there is none.

    Unknown keys are kept, up to `SUMMARY_KEYS`. Lines of another form are passed over, as forks put them in between;
    an empty line ends the block.
    """
    starts = list(_SUMMARY_START.finditer(text))
    if not starts:
        return {}
    summary: dict[str, str] = {}
    for line in text[starts[-1].end() :].strip("\n").splitlines():
        if not line.strip() or len(summary) == SUMMARY_KEYS:
            break
        if found := _SUMMARY_LINE.match(line):
            summary[found[1][:VALUE_LIMIT]] = clean(found[2])[:VALUE_LIMIT]
    return summary


def summary_number(summary: dict[str, str], key: str) -> float | None:
    """A finite number of the summary, or None."""
    try:
        value = float(summary[key].replace(",", ""))
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def last_traceback(text: str) -> str:
    """The last Python traceback with its final line, at most 4 KiB of it (its end); empty without one."""
    start = text.rfind(_TRACEBACK)
    if start < 0:
        return ""
    lines = text[start:].splitlines()
    end = len(lines)
    for number, line in enumerate(lines[1:], 1):
        if line and not line[0].isspace():  # the first line at the margin names the exception
            end = number + 1
            break
    # The message of an exception may go on; a blank line or a new block ends it.
    while (
        end < len(lines) and lines[end].strip() and not lines[end].startswith(("---", "Traceback"))
    ):
        end += 1
    return "\n".join(lines[:end])[-TRACEBACK_LIMIT:]


def _number(pattern: re.Pattern[str], line: str) -> float | None:
    found = pattern.search(line)
    return float(found[1].replace(",", "").replace("_", "")) if found else None
