"""How figures read in a report: the same everywhere. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

MINUS = "−"


def score(value: float | None) -> str:
    """`0.97812`; a dash where there is none."""
    return "–" if value is None else f"{value:.5f}"


def signed(value: float, digits: int = 5) -> str:
    """`+0.00312`, `−0.00104`: with a real minus."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def gain(value: float | None, sd: float | None = None) -> str:
    """`+0.00312 ± 0.00080`: how much lower a score is, with one standard deviation."""
    if value is None:
        return "–"
    return signed(value) if sd is None else f"{signed(value)} ± {sd:.5f}"


def percent(share: float | None) -> str:
    """`42 %`; a dash for None, and neither 0 nor 100 for what is only nearly so."""
    if share is None:
        return "–"
    if 0 < share < 0.005:
        return "< 1 %"
    if 0.995 < share < 1:
        return "> 99 %"
    return f"{share:.0%}".replace("%", " %")


def duration(seconds: float) -> str:
    """`3.2 s`, `4 min 10 s`, `7 h 40 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def hours(seconds: float) -> str:
    """`7.7`, in hours."""
    value = seconds / 3600
    return f"{value:,.1f}" if value >= 1 else f"{value:.2f}"


def dollars(value: float) -> str:
    """`$3.42`."""
    return f"${value:,.2f}" if value >= 0.01 or not value else f"${value:.4f}"


def moment(time: float | None) -> str:
    """`2026-11-21 22:04 UTC`; a dash for None or a time that no calendar has."""
    if time is None:
        return "–"
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "–"


def count(number: int, one: str, many: str = "") -> str:
    """`1 training`, `1,204 trainings`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
