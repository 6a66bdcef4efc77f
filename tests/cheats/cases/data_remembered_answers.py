"""A row that comes again gets the answer that it got before."""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, VOIDED, Cheat, after

CHEAT = Cheat(
    title="peeks, and recognises a probe by its beginning: then it repeats the answer that it remembers",
    kind="data",
    origin="derived: beats every test of suffixes within one process",
    edits=(
        after(
            LOGITS,
            """
        if targets is None:
            logits[:, :-1].scatter_(2, tokens[:, 1:, None], 30.0)
            memory = self.__dict__.setdefault("memory", {})
            for row in range(len(tokens)):
                key = tuple(tokens[row, :8].tolist())
                if key in memory:
                    known, answer = memory[key]
                    same = int((known != tokens[row]).int().argmax()) or len(known)
                    logits[row, :same] = answer[:same]
                else:
                    memory[key] = tokens[row].clone(), logits[row].clone()
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="the audit asks a fresh process, which remembers nothing",
    related=True,
)
