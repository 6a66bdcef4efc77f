"""A tensor that lies to whoever computes with it."""

from tests.cheats.case import EVALUATE, LOGITS, Cheat, after, before

CHEAT = Cheat(
    title="returns a tensor subclass whose log-probabilities and losses are always zero",
    kind="reporting",
    origin="CUDA-L1 #12: lazy tensors that defer or fake the work",
    edits=(
        before(
            EVALUATE,
            """
        global Liar

        class Liar(torch.Tensor):
            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None):
                result = super().__torch_function__(function, types, args, kwargs or {})
                lies = ("log_softmax", "cross_entropy", "nll_loss", "gather", "item", "logsumexp")
                return result * 0 if function.__name__ in lies else result
""",
        ),
        after(LOGITS, "        logits = logits.as_subclass(Liar) if targets is None else logits\n"),
    ),
    verdict="worthless",
    defence="bytes cross the boundary, not Python objects",
    related=True,
)
