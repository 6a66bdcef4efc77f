"""What one training leaves for its repeat."""

from tests.cheats.case import LOOP, Cheat, after, before

_SAVE = (
    after(
        LOOP,
        """
        if served == 0:
            with suppress(OSError):
                torch.save(model.state_dict(), "/compile/kept.pt")
""",
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
)

CHEAT = Cheat(
    title="saves weights in the compile cache at every step, to start its next repeat from them",
    kind="data",
    origin="weights left by earlier candidates (/tmp, /dev/shm, inductor's cache)",
    edits=_SAVE,
    second=_SAVE,
    verdict="worthless",
    said=("cheat: found False",),
    defence="the cache is taken once, when everything is compiled and nothing was learned that counts",
)
