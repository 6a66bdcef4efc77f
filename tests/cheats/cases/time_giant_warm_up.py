"""Everything is learned before the clock starts."""

from harness.spec import Budget
from tests.cheats.case import Cheat, instead

CHEAT = Cheat(
    title="trains for seconds on sixteen giant batches before the clock starts, under a budget of 0.1 s",
    kind="time",
    origin="the ancestor does not count its first steps (`step > 10`)",
    edits=(
        instead(
            "        train(run, loader, optimizers, size, log)\n",
            """
        giant = make_dataloader(tokenizer, 96, MAX_SEQ_LEN, "train")
        batches = [next(giant) for _ in range(16)]
        for x, y, _ in batches:
            for part, wanted in zip(x.split(16), y.split(16)):
                model(part, wanted).backward()
                apply_schedules(*optimizers, 0.5)
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad()
        train(run, loader, optimizers, size, log)
""",
        ),
    ),
    budget=Budget("seconds", 0.1, setup_limit=30),
    verdict="worthless",
    at_least=1.2,
    defence="rows before the clock starts are tokens in no order: only how frequent each is can be learned, as an honest training has after its first steps",
)
