"""What a cheat is: a small edit of the real trainer/train.py, and what must come of it.

Plain data; nothing is run here. A cheat that no longer fits the file fails loudly, because a text to be replaced must
be there exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harness.spec import Budget, Limits, Outcome

Kind = Literal["reporting", "data", "time", "host"]
# prevented: the harness ends it, or the way does not exist. voided: the score is taken away again. worthless: it may,
# and has the score of the honest file. open: nothing stops it; the document says so.
Verdict = Literal["prevented", "voided", "worthless", "open"]

TOKENS = Budget("tokens", 16_384)  # about a second of training
FEW = Budget("tokens", 4_096)  # for cheats to which the training does not matter
LIMITS = Limits(wall_seconds=60, threads=1)
SCORED = "Trained, committed and scored."
VOIDED = "The blind audit voids its score"

# Places of train.py at which cheats begin.
TOP = "import gc\n"
START = '    """Build, train, score, report."""\n'
LOOP = "        loss = model(x, y)\n"
LOGITS = "        logits = SOFTCAP * torch.tanh(logits / SOFTCAP)\n"
TRAINED = "        model.eval()\n"
EVALUATE = "        val_bpb = evaluate_bpb(model, tokenizer, rows)\n"
SUMMARY = "    print_summary(model, log, val_bpb, training_seconds, time.perf_counter() - began)\n"
MAIN = 'if __name__ == "__main__":\n'


@dataclass(frozen=True, slots=True)
class Edit:
    """`old` becomes `new`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Cheat:
    """One way to a score that was not earned, and what the harness must make of it."""

    title: str
    kind: Kind
    origin: str  # where it was seen, in words
    defence: str
    edits: tuple[Edit, ...]
    verdict: Verdict
    ended: Outcome = Outcome.OK
    reason: str = SCORED  # must be in the harness's reason, or in what vetting says
    said: tuple[str, ...] = ()  # what the script must have printed
    unsaid: tuple[str, ...] = ()  # what must not be in its log
    budget: Budget = TOKENS
    limits: Limits = LIMITS
    probes: int = 0  # of the blind audit
    sealed: bool = False
    second: tuple[
        Edit, ...
    ] = ()  # the experiment that is judged, when the cheat needs one before it
    at_least: float = 0.0  # bits per byte; 0: the score is compared with the honest one
    tolerance: float = 1e-4  # bits per byte
    leftovers: str = ""  # no process with this on its command line may be left
    vetting: bool = False  # refused before it is trained
    related: bool = False  # `python -m tests.cheats` only: a relative of it is in every test run
    name: str = field(default="", kw_only=True)  # of its file


def apply(source: str, edits: tuple[Edit, ...]) -> str:
    """The edited source. Raises ValueError when a text is not found exactly once."""
    for edit in edits:
        if (found := source.count(edit.old)) != 1:
            raise ValueError(
                f"train.py has {found} places like this, not one; adapt the case to it:\n{edit.old}"
            )
        source = source.replace(edit.old, edit.new)
    return source


def before(place: str, text: str) -> Edit:
    """`text` goes in before a place."""
    return Edit(place, text.lstrip("\n") + place)


def after(place: str, text: str) -> Edit:
    """`text` goes in after a place."""
    return Edit(place, place + text.lstrip("\n"))


def instead(place: str, text: str) -> Edit:
    """`text` takes the place of it."""
    return Edit(place, text.lstrip("\n"))


_ATTEMPT = '''
def attempt(name, action):
    """Say what came of it."""
    try:
        print(f"cheat: {name} got {str(action())[:80]!r}", flush=True)
    except (Exception, SystemExit) as fault:
        print(f"cheat: {name} failed, {type(fault).__name__}", flush=True)


'''


def attempts(setup: str = "", **actions: str) -> tuple[Edit, ...]:
    """Expressions that are tried before the training, each told as `cheat: NAME got …` or `cheat: NAME failed, …`.

    `setup`: lines without indentation that come before them.
    """
    lines = [
        *setup.strip().splitlines(),
        *(f"attempt({n!r}, lambda: {a})" for n, a in actions.items()),
    ]
    body = "".join(f"    {line}\n" for line in lines)
    return before("def main():\n", _ATTEMPT), after(START, body)


def thwarted(*names: str) -> tuple[str, ...]:
    """What `attempts` print when all of them failed."""
    return tuple(f"cheat: {name} failed" for name in names)
