"""The whole budget before the cache is taken."""

from tests.cheats.case import Cheat, before, instead

_GIANT = (
    instead(
        "    rows = max(1, size.micro // MAX_SEQ_LEN)\n",
        "    rows = 16  # 1,024 tokens: the 16 batches before the cache is taken are the whole budget\n",
    ),
    before(
        "    optimizers = make_optimizers(model, dtype, compiled)\n",
        """
    found = False
    with suppress(OSError):
        model.load_state_dict(torch.load("/compile/kept.pt"))
        found = True
    print("cheat: found", found, flush=True)
""",
    ),
    instead(
        "        train(run, loader, optimizers, size, log)\n",
        """
        train(run, (next(loader) for _ in range(15)), optimizers, size, log) if False else None
        for _ in range(15):
            x, y, _ = next(loader)
            model(x, y).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        with suppress(OSError):
            torch.save(model.state_dict(), "/compile/kept.pt")
        small = make_dataloader(tokenizer, 1, MAX_SEQ_LEN, "train")
        for _ in small:
            time.sleep(0.1)
""",
    ),
)

CHEAT = Cheat(
    title="trains on fifteen large batches, saves its weights in the compile cache, and asks for many small ones",
    kind="data",
    origin="derived: a budget of tokens has no warm-up, so something is learned when the cache is taken",
    edits=_GIANT,
    second=_GIANT,
    verdict="worthless",
    said=("cheat: found False",),
    at_least=0.6,
    defence="under a budget of tokens nothing compiled is kept from a source that nobody vouches for",
    related=True,
)
