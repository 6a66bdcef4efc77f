"""A blind audit for real: the script started again, the weights given back, the future hidden."""

from __future__ import annotations

import pytest

from harness.ending import Verdict
from harness.spec import AuditPlan, Budget, ExperimentSpec, Outcome, Progress
from tests.harness.conftest import Run

SCRIPT = """
import torch
from prepare import MAX_SEQ_LEN, VOCAB_SIZE, Tokenizer, evaluate_bpb, make_dataloader
torch.set_num_threads(1)

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(VOCAB_SIZE, 32)
        self.head = torch.nn.Linear(32, VOCAB_SIZE)
        self.seen = 0
    def forward(self, x):
        y = self.head(self.embed(x))
        {forward}
        return y

model = Model()
optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
tokenizer = Tokenizer.from_directory()
for x, y, epoch in make_dataloader(tokenizer, 16, MAX_SEQ_LEN, "train"):
    torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
    optimizer.step()
    optimizer.zero_grad()
    {step}
{end}
print("val_bpb:", evaluate_bpb(model, tokenizer, 16))
"""
PLAN = AuditPlan(probes=256)


def script(forward: str = "pass", step: str = "pass", end: str = "") -> str:
    return SCRIPT.format(forward=forward, step=step, end=end)


def test_an_honest_score_stands_with_the_figures_of_its_audit(run: Run) -> None:
    progress: list[Progress] = []
    result = run(script(), audit=PLAN, sandbox="bubblewrap", progress=progress)
    assert result.outcome is Outcome.OK, result.reason
    assert result.audit
    assert result.audit.passed
    assert result.audit.claimed_bpb == result.val_bpb
    assert result.audit.probes == 40  # of 50 rows; the others lend what stands behind the cuts
    assert result.audit.largest < 1e-4
    assert [p.phase for p in progress if p.phase == "auditing"]
    assert all(p.fraction == 1 for p in progress if p.phase == "auditing")
    assert sum(result.timeline.values()) == pytest.approx(result.total_seconds, abs=0.05)
    assert result.timeline["audit"] == pytest.approx(result.audit.seconds, abs=1e-3)


def test_a_look_ahead_voids_the_score_and_leaves_no_number(run: Run) -> None:
    peek = "y = y.scatter_add(2, x.roll(-1, 1)[..., None], torch.full((*x.shape, 1), 5.0))"
    result = run(script(peek), audit=PLAN)
    assert result.outcome is Outcome.INVALID
    assert result.val_bpb is None
    assert result.val_nats is None
    assert result.audit
    assert result.audit.claimed_bpb < 0.5  # as it would have been believed
    assert f"voids its score of {result.audit.claimed_bpb:.6f}" in result.reason
    assert "look ahead" in result.reason


def test_what_is_not_in_the_weights_does_not_count(run: Run) -> None:
    forward = "y = y + torch.full_like(y, 0).index_fill_(2, torch.tensor([self.seen % 60]), 6.0)"
    result = run(script(forward, step="model.seen += 1"), audit=PLAN)
    assert result.outcome is Outcome.INVALID
    assert "although nothing before them did" in result.reason


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("model.seen or 1 / 0", "ZeroDivisionError"),
        ("model.head = model.head if model.seen else torch.nn.Linear(32, VOCAB_SIZE, bias=False)", "head.bias"),
        ("model.seen or exit()", "never called evaluate_bpb"),
    ],
)  # fmt: skip
def test_a_script_that_cannot_be_replayed_says_why(run: Run, end: str, said: str) -> None:
    result = run(script(step="model.seen += 1", end=end), audit=PLAN)
    assert result.outcome is Outcome.INVALID
    assert "its replay from the committed weights failed" in result.reason
    assert said in result.reason


def test_only_scores_that_matter_are_audited(run: Run) -> None:
    far_off = run(script(), audit=AuditPlan(probes=256, below=0.01))
    assert far_off.outcome is Outcome.OK
    assert far_off.audit is None
    champion = run(script(), audit=AuditPlan(0, None, champion_probes=30, champion_below=9.0))
    assert champion.audit
    assert champion.audit.probes == 30


def test_a_person_may_stop_an_audit_too_and_then_nothing_is_said_of_the_score(run: Run) -> None:
    progress: list[Progress] = []

    def cancelled() -> Verdict | None:
        auditing = progress and progress[-1].phase == "auditing"
        return Verdict(Outcome.VOID, "stopped") if auditing else None

    result = run(script(), audit=PLAN, progress=progress, cancelled=cancelled)
    assert result.outcome is Outcome.VOID
    assert result.val_bpb is None
    assert "stopped" in result.reason


def test_the_sealed_rows_are_scored_when_they_are_asked_for(
    run: Run, tiny_spec: ExperimentSpec
) -> None:
    assert run(script()).sealed_bpb is None
    result = run(script(), sealed=True, budget=Budget("tokens", 100_000))
    assert result.val_bpb is not None
    assert result.sealed_bpb == pytest.approx(result.val_bpb, rel=0.2)  # the same kind of text
    assert result.sealed_bpb != result.val_bpb
    assert result.eval_tokens == run(script()).eval_tokens  # the score rests on what it always did
