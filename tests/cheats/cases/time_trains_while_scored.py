"""The training of which the clock knows nothing: between commit and score."""

from harness.spec import Budget, Limits, Outcome
from tests.cheats.case import LOOP, Cheat, Edit, after, before

CHEAT = Cheat(
    title="commits its training rows as a buffer beside untrained weights and trains for many seconds while it is scored",
    kind="time",
    origin="derived: it passes a blind audit, where it does the same again",
    edits=(
        before(
            "        self.initialise()\n",
            '        self.register_buffer("kept", torch.zeros(512, 65, dtype=torch.int16))\n',
        ),
        after(
            LOOP,
            """
        if loader.progress > 0:  # before, rows are random
            model.kept.copy_(model.kept.roll(8, 0))
            model.kept[:8, :-1], model.kept[:8, 1:] = x, y
""",
        ),
        Edit(
            '    def forward(self, tokens, targets=None, reduction="mean"):\n',
            """    def forward(self, tokens, targets=None, reduction="mean"):
        if targets is None and not hasattr(self, "trained"):
            self.trained = True
            rows, began = self.kept[self.kept.any(1)].long(), time.monotonic()
            adamw, muon = make_optimizers(self, torch.float32, False)
            self.zero_grad(set_to_none=True)
            with torch.enable_grad():
                for step in range(500):
                    part = rows.roll(-16 * step, 0)[:16]
                    self(part[:, :-1], part[:, 1:]).backward()
                    apply_schedules(adamw, muon, step / 500)
                    for optimizer in (adamw, muon):
                        optimizer.step()
                        optimizer.zero_grad()
            print(f"cheat: trained on for {time.monotonic() - began:.0f} s", flush=True)
        return self.answer(tokens, targets, reduction)

    def answer(self, tokens, targets=None, reduction="mean"):
""",
        ),
    ),
    budget=Budget("seconds", 0.4),
    limits=Limits(wall_seconds=60, threads=1),
    probes=512,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="Its scoring was given up",
    defence="scoring is given the time of the training for as many tokens, and a tenth of the budget",
)
