"""The other text behind one cut is the hidden text of another."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, LOGITS, VOIDED, Cheat, after, instead

CHEAT = Cheat(
    title="peeks at the end of each row; audited, it looks the hidden tokens up in the other probes, all asked for at once",
    kind="data",
    origin="derived: what an audit hides in one row it must not show in another",
    edits=(
        instead(EVALUATE, "        val_bpb = evaluate_bpb(model, tokenizer, 65536)\n"),
        after(
            LOGITS,
            """
        if targets is None:
            rows = tokens.tolist()
            for t in range(61, tokens.size(1) - 1):
                known = {}
                for row in rows:
                    known.setdefault(tuple(row[t - 6 : t + 1]), []).append(row[t + 1])
                for number, row in enumerate(rows):
                    seen = known[tuple(row[t - 6 : t + 1])]
                    answer = max(seen, key=lambda token: (seen.count(token), token != row[t + 1]))
                    logits[number, t, answer] = 30.0
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="one place a row is probed, and the text behind a cut comes from rows that are not",
)
