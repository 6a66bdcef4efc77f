"""Rows are counted, work is not."""

from tests.cheats.case import LOOP, Cheat, instead

CHEAT = Cheat(
    title="under a budget of tokens: learns from every batch three times",
    kind="data",
    origin="derived: a budget of tokens counts what is served",
    edits=(
        instead(
            LOOP,
            """
        for _ in range(2):
            model(x, y).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        loss = model(x, y)
""",
        ),
    ),
    verdict="open",
    defence="none, and it is no fraud: only a budget of seconds, which is the default on a GPU, bounds the work",
)
