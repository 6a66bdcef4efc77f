"""Rows that were got ready, but never asked for."""

from tests.cheats.case import FEW, Cheat, after, instead

CHEAT = Cheat(
    title="reads the batch after the last one, which the meter has already put into shared memory",
    kind="data",
    origin="derived: what is served ahead is not yet paid for",
    edits=(
        instead(
            "    rows = max(1, size.micro // MAX_SEQ_LEN)\n",
            "    rows = 32  # 2,048 tokens\n",
        ),
        after(
            '    loader = make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "train")\n',
            """
    served = {tuple(row) for _ in range(2) for row in next(loader)[0].tolist()}
    time.sleep(0.5)
    seen = {tuple(row) for row in loader._slots[:, :, :-1].reshape(-1, MAX_SEQ_LEN).tolist()}
    unpaid = [row for row in seen - served if any(row)]
    print("cheat: unpaid rows", len(unpaid), flush=True)
    sys.modules["prepare"]._meter.send(5000)  # so ends the experiment
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended="invalid",
    reason="out of turn",
    said=("cheat: unpaid rows 0",),
    defence="the last batch of a budget of tokens is the last one that is got ready",
)
