"""The denominator."""

from tests.cheats.case import EVALUATE, FEW, Cheat, attempts, before, thwarted

CHEAT = Cheat(
    title="makes tokens longer: writes token_bytes.npy and tokenizer.json, and patches get_token_bytes",
    kind="data",
    origin="parameter-golf: tampering with token_bytes or the tokenizer (#1271, #1719)",
    edits=(
        *attempts(
            "from pathlib import Path",
            table="Path('/data/token_bytes.npy').write_bytes(b'x')",
            tokenizer="Path('/data/tokenizer.json').unlink()",
            host="Path('@DATASET@/token_bytes_raw.npy').write_bytes(b'x')",
        ),
        before(
            EVALUATE,
            """
        prepare = sys.modules["prepare"]
        prepare.get_token_bytes = lambda device="cpu": torch.full((512,), 1000)
        prepare.VOCAB_SIZE, prepare.EVAL_TOKENS, prepare.MAX_SEQ_LEN = 7, 7, 7
""",
        ),
    ),
    budget=FEW,
    verdict="worthless",
    said=thwarted("table", "tokenizer", "host"),
    defence="the scorer has its own table, made from the tokens' raw bytes and checked by hash",
)
