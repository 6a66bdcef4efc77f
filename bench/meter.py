"""How fast the meter serves rows: as they lie in shared memory, and as int64 tensors in a candidate's hands."""

from __future__ import annotations

from bench.synthetic import measure

SHAPES = ((128, 2048), (8, 256))
SCRIPT = """
import json, time
import prepare, torch
torch.set_num_threads(1)
figures = {}
for B, T in %r:
    loader = prepare.make_dataloader(prepare.Tokenizer.from_directory(), B, T, 'train')
    def raw():
        prepare._meter.send(prepare.wire.NEXT, loader._number, 0)
        return prepare._meter.receive()
    for name, draw in (('raw', raw), ('int64', lambda: next(loader))):
        draw()
        best = 0.0
        for _ in range(3):
            drawn, start = 0, time.perf_counter()
            while time.perf_counter() - start < 0.5:
                for _ in range(8):
                    draw()
                drawn += 8
            best = max(best, drawn * B * T / (time.perf_counter() - start))
        figures[f'{B}x{T} {name}'] = best / 1e6
print(json.dumps(figures))
"""


def run() -> list[tuple[str, str, str]]:
    """Millions of tokens a second, the best of three times 0.5 s."""
    figures = measure(SCRIPT % (SHAPES,), length=2048, vocabulary=8192, train_rows=8192, val_rows=1)
    words = {"raw": "in shared memory", "int64": "as int64 tensors"}
    rows = []
    for key, value in figures.items():
        shape, kind = key.split()
        rows.append(
            (f"meter, {shape}, {words[kind]}", f"{value:,.0f} M tokens/s", ">= 5 M tokens/s")
        )
    return rows
