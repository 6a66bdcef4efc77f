"""Scored again and again, in the hope of a better result."""

from tests.cheats.case import EVALUATE, Cheat, instead

CHEAT = Cheat(
    title="has itself scored five times with other weights and reports the best",
    kind="reporting",
    origin="best of n on the validation rows",
    edits=(
        instead(
            EVALUATE,
            """
        scores = []
        for _ in range(5):
            scores.append(evaluate_bpb(model, tokenizer, rows))
            with torch.no_grad():
                model.head.weight.mul_(1.05)
        val_bpb = min(scores)
        print("cheat: scores", len(set(scores)), flush=True)
""",
        ),
    ),
    verdict="worthless",
    defence="the first evaluation counts; a later one returns the same number",
    said=("cheat: scores 1",),
)
