"""A person at the wheel who does not know that the engine is being killed: asks for things and remembers what was asked.

Requests go through the ordinary client. What each must have come to is `tests.fuzz.audit`'s to say.
"""

from __future__ import annotations

import random
import threading
from contextlib import closing
from pathlib import Path

from evolve.client import Client
from evolve.model import EvolveError
from tests.fuzz.facts import Witness

EVERY = (0.2, 1.2)  # seconds between two requests
WHO = "a person"
TITLE = "fuzzed by hand"  # and a number, so that its candidate can be told
LIMIT = "stop.candidates"  # a setting that changes nothing here and whose every value is a new one
LARGEST = 100_000
SIZE = "population.size"


class Person:
    """Sends requests in a thread of its own. Use as a context manager, within that of the witness."""

    def __init__(self, workspace: Path, witness: Witness, seed: str) -> None:
        self.sent = 0
        self._workspace, self._witness = workspace, witness
        self._rng = random.Random(seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Person:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Ask for nothing more."""
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(self._rng.uniform(*EVERY)):
            with (
                self._witness.away()
            ):  # a last connection that closes would tidy up behind a killed engine
                self._one()

    def _one(self) -> None:
        with closing(Client(self._workspace)) as client:
            try:
                candidates = client.candidates()
                if len(candidates) < 2 or not candidates[0].scores:
                    return
                self._send(client, [c.id for c in candidates[-12:]])
            except EvolveError:
                return  # no run yet, or a journal in the making

    def _send(self, client: Client, numbers: list[int]) -> None:
        rng = self._rng
        number = rng.choice(numbers)
        self.sent += 1
        wish = rng.randrange(12)
        if wish < 4:
            client.send("set", {"key": LIMIT, "value": str(LARGEST + self.sent)}, WHO)
        elif wish < 5:
            client.send("set", {"key": SIZE, "value": str(rng.randint(3, 6))}, WHO)
        elif wish < 7:
            source = client.source(1) + f"\nFUZZED_{self.sent} = {rng.random()}\n"
            client.send("inject", {"source": source, "title": f"{TITLE} {self.sent}"}, WHO)
        elif wish < 8:
            client.send(rng.choice(("pin", "unpin")), {"candidate": number}, WHO)
        elif wish < 9:
            client.send("boost", {"candidate": number, "times": 2}, WHO)
        elif wish < 10:
            client.send("remeasure", {"candidate": number, "times": 1}, WHO)
        elif wish < 11:
            client.send("kill", {"again": True}, WHO)
        else:
            client.send("pause", {}, WHO)
            client.send("resume", {}, WHO)
