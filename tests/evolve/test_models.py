"""A real engine with two language models on loopback HTTP: the bandit asks both, and chatter is booked."""

from __future__ import annotations

import itertools
import re
import threading
from collections import Counter
from pathlib import Path

import pytest

from evolve import credit
from evolve.bandit import BUILTIN
from evolve.journal import Journal
from evolve.serving import serve
from evolve.workspace import create
from tests.evolve.fake_anthropic import Answer, FakeAnthropic, Fault, Raw, Request
from tests.evolve.test_engine import ShortSlot, overrides

GOOD, VAIN = "claude-opus-5-5", "claude-haiku-5-5"
_RATE = re.compile(r"^MATRIX_LR = ([\d.]+)  # Muon: all matrices of the blocks$", re.MULTILINE)


class TwoModels(FakeAnthropic):
    """One model turns the learning rate a little further each time; the other one chats."""

    def __init__(self) -> None:
        super().__init__()
        self.models = {GOOD: {}, VAIN: {}}
        self._count, self._busy = itertools.count(), threading.Lock()

    def next(self, request: Request) -> Answer | Fault | Raw:
        with self._busy:
            self.requests.append(request)
            turn = next(self._count)
        if request.body["model"] == VAIN:
            return Answer("What a fine script! I would not change anything.")
        found = _RATE.search(str(request.body["messages"]).replace("\\n", "\n"))
        assert found, "the parent's source is in the prompt"
        line = found.group(0)
        new = line.replace(found.group(1), f"0.{1000 + turn}")
        return Answer(
            f"TITLE: rate {turn}\nHYPOTHESIS: It may help.\nCATEGORY: optimizer\n"
            f"<<<<<<< SEARCH\n{line}\n=======\n{new}\n>>>>>>> REPLACE\n"
        )


@pytest.mark.e2e
def test_two_models_and_the_built_in_proposer_share_the_proposals_and_chatter_is_booked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    workspace = tmp_path / "work"
    create(workspace)
    with TwoModels() as server:
        settings = overrides(
            tmp_path,
            **{
                "llm.proposer": "auto",
                "llm.base_url": server.url,
                "llm.model": GOOD,
                "llm.models": VAIN,
                "operators.rewrite": "0",
                "scratchpad.every": "0",
                "acceptance.baseline_repeats": "1",
                "acceptance.max_repeats": "1",
                "stop.candidates": "14",
            },
        )
        serve(workspace, overrides=settings, allow_weak_sandbox=True, slot=ShortSlot())
    asked = Counter(request.body["model"] for request in server.requests)
    assert asked[GOOD] >= 2
    assert asked[VAIN] >= 2
    with Journal.reader(workspace / ".autoresearch" / "journal.db") as reader:
        makers = Counter(c.model or c.proposer for c in reader.candidates() if c.parents)
        assert makers[GOOD] >= 2
        assert makers[VAIN] == 0
        assert makers[BUILTIN] >= 2  # constants are its own, beside a model too
        shares = {share.arm: share for share in credit.shares(reader)}
        assert {arm.proposer for arm in shares} == {GOOD, VAIN, BUILTIN}
        lost = [s for s in shares.values() if s.arm.proposer == VAIN and s.pulls]
        assert lost
        assert all(s.gain == 0 and s.cost > 0 for s in lost)
