"""Once more, please."""

from tests.cheats.case import TRAINED, Cheat, before

CHEAT = Cheat(
    title="asks for more rows after the end, with the same loader, with a new one, and by hand with every flag that the meter knows",
    kind="time",
    origin="derived: budgets kept by the one who spends them",
    edits=(
        before(
            TRAINED,
            """
        more = list(loader) + list(make_dataloader(tokenizer, 1, MAX_SEQ_LEN, "train"))
        line = sys.modules["prepare"]._meter
        for flags in range(8):
            line.send(3, 0, flags)  # NEXT, as a script with its own clock, as one that is still warming up …
            more += [flags] if line.receive()[0] != 5 else []  # END
        print("cheat: more", len(more), flush=True)
""",
        ),
    ),
    verdict="worthless",
    said=("cheat: more 0",),
    defence="the meter counts what it serves, over all loaders of an experiment",
)
