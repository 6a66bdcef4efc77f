"""A candidate that flees and then hangs, in the phase of an experiment that a test wants to disturb."""

from __future__ import annotations

PHASES = ("setup", "training", "scoring", "audit")

_SCRIPT = """
import os, signal, time

def flee():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        while True:
            time.sleep(10)
    print('here', flush=True)
    time.sleep(100)

def reached(phase):
    if phase == PHASE:
        flee()

replay = bool(os.environ.get('AUTORESEARCH_REPLAY'))
reached('setup')
import torch
from prepare import MAX_SEQ_LEN, Tokenizer, evaluate_bpb, make_dataloader
torch.set_num_threads(1)
tokenizer = Tokenizer.from_directory()

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(64, 64)
    def forward(self, x):
        reached('audit' if replay else 'scoring')
        return self.table(x)

for _ in make_dataloader(tokenizer, 8, MAX_SEQ_LEN, 'train'):
    reached('training')
evaluate_bpb(Model(), tokenizer, 12)
"""


def script(phase: str) -> str:
    """Its source: it flees in `phase`, one of PHASES, or never when that is empty."""
    return f"PHASE = {phase!r}\n{_SCRIPT}"
