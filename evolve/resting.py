"""Which language models rest: since when, why, until when; and what people are told of an outage, once at either end.

Waits are told by the models' own faults and grow there. While a model cannot be reached at all it is asked a free
question first, so an outage of hours costs neither money nor a line in the log for each try.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evolve.propose.endpoint import BACKOFF_LIMIT
from evolve.text import one_line

if TYPE_CHECKING:
    from evolve.journal import Journal
    from evolve.propose.operators import ProposerUnavailable

REASON = 80  # characters of why a model rests, in what people see all the time


def awake() -> float:
    """Seconds on a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class _Outage:
    """A model that cannot answer. Times by the clock of `Rests`, in seconds."""

    began: float
    first: int  # the next candidate's number then
    until: float  # infinity = until a person acts
    wait: float
    reason: str


class Rests:
    """What is known of the models that do not answer."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = awake) -> None:
        self._journal = journal
        self._clock = clock
        self._outages: dict[str, _Outage] = {}

    def rests(self, name: str) -> bool:
        """Is this model to be left alone now?"""
        outage = self._outages.get(name)
        return outage is not None and self._clock() < outage.until

    def out(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that have rested long enough and have not answered since."""
        return [name for name in names if name in self._outages and not self.rests(name)]

    def begin(self, name: str, error: ProposerUnavailable, others: Iterable[str]) -> None:
        """It cannot answer: it is left alone for as long as it says. Told once an outage, and when that takes a person.

        `others`: models that go on.
        """
        now, known = self._clock(), self._outages.get(name)
        wait = math.inf if error.retry_after is None else error.retry_after
        if known is None:
            number = self._journal.next_candidate_id()
            self._outages[name] = _Outage(now, number, now + wait, wait, error.reason)
        else:
            fresh = replace(known, until=now + wait, wait=wait, reason=error.reason)
            self._outages[name] = fresh
        if known is None or (math.isinf(wait) and not math.isinf(known.wait)):
            self._tell(error.reason, wait, sorted(set(others) - {name}))

    def prolong(self, name: str, fault: ProposerUnavailable, others: Iterable[str]) -> None:
        """The free question failed, too: it is asked again after twice the time, ten minutes at most."""
        before = self._outages[name].wait
        again = fault.retry_after
        if again is not None:
            fault.retry_after = max(again, min(2 * max(before, 1.0), max(again, BACKOFF_LIMIT)))
        self.begin(name, fault, others)

    def answered(self, name: str) -> None:
        """It has said something: an outage is over, and people are told what it came to."""
        outage = self._outages.pop(name, None)
        if outage is None:
            return
        made = self._journal.made_since(outage.first)
        children = "1 child" if made == 1 else f"{made} children"
        self._journal.record_event(
            "llm",
            f"{name} answers again after {_span(self._clock() - outage.began)}; the built-in proposer made "
            f"{children if made else 'no child'} meanwhile.",
            data={
                "model": name,
                "seconds": round(self._clock() - outage.began, 1),
                "children": made,
            },
        )

    def ask_again(self) -> None:
        """A person has acted: nobody is left alone any more, whatever they said."""
        self._outages = {n: replace(o, until=-math.inf) for n, o in self._outages.items()}

    def words(self) -> list[str]:
        """`claude-x rests until 14:05 (the server is overloaded)`, for each that does."""
        now = self._clock()
        found = []
        for name, outage in self._outages.items():
            if now < outage.until:
                until = "until something in [llm] is set"
                if not math.isinf(outage.until):
                    at = time.localtime(time.time() + outage.until - now)
                    until = f"until {time.strftime('%H:%M', at)}"
                reason = one_line(outage.reason, REASON).rstrip(".")
                found.append(f"{name} rests {until} ({reason})")
        return found

    def _tell(self, reason: str, wait: float, others: list[str]) -> None:
        goes_on = f"{', '.join(others)} and the" if others else "The"
        again = (
            ""
            if math.isinf(wait)
            else f" Asked again in {_span(wait)}, and then from time to time."
        )
        self._journal.record_event(
            "llm", f"{reason} {goes_on} built-in proposer {'go' if others else 'goes'} on.{again}"
        )


def _span(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
