"""Two loops may come with the same child at the same moment, for both draw the same numbers: it is queued once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from evolve.boot import boot
from evolve.model import Operator
from evolve.nursery import Nursery
from evolve.propose.builtin import BuiltinProposer
from evolve.propose.operators import Proposal
from evolve.workspace import create
from tests.evolve.test_engine import overrides


def test_a_child_that_both_loops_have_made_is_queued_once(tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    create(workspace)
    settings = overrides(tmp_path, **{"sandbox.level": "process"})
    with boot(
        workspace, overrides=settings, name=None, allow_weak_sandbox=True, on_event=None
    ) as ready:
        context = ready.context
        source = context.lineage.source(context.journal.candidate(1).commit)
        twins = Proposal(
            source=source.replace("SOFTCAP = 15.0", "SOFTCAP = 17.0"),
            operator=Operator.TUNE,
            proposer="builtin",
            parents=(1,),
            title="softer",
            hypothesis="It may help.",
            category="architecture",
        )
        nursery = Nursery(context, BuiltinProposer(), {})

        async def both() -> list[bool]:
            return await asyncio.gather(nursery._adopt(twins), nursery._adopt(twins))

        assert sorted(asyncio.run(both())) == [False, True]
        assert [c.id for c in context.journal.queue()] == [1, 2]
        refused = [e.text for e in context.journal.events() if e.kind == "refused"]
        assert refused == ["builtin: “softer” rejected unseen: it is the same code as #2"]
