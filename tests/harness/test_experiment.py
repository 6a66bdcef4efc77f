"""One experiment: real scripts, real processes, and an outcome for every way to end."""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from harness import experiment, identity, rundir, runlock, sandbox
from harness.ending import Verdict
from harness.spec import Budget, ExperimentSpec, HarnessError, Limits, Outcome, Progress, Result

Run = Callable[..., Result]
LEVELS = [
    pytest.param(
        level,
        marks=pytest.mark.skipif(
            level not in sandbox.probe().available, reason=sandbox.probe().advice
        ),
    )
    for level in sandbox.LEVELS
]
QUICK = Limits(wall_seconds=1.0, threads=1)

MODEL = """
import torch
from torch.nn import functional

class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.embed = torch.nn.Embedding(vocabulary, 24)
        self.head = torch.nn.Linear(24, vocabulary)

    def forward(self, x, y=None):
        logits = self.head(self.embed(x)).float()
        return logits if y is None else functional.cross_entropy(logits.flatten(0, 1), y.flatten())
"""

TRAIN = (
    MODEL
    + """
import os
from prepare import MAX_SEQ_LEN, Tokenizer, evaluate_bpb, make_dataloader
torch.set_num_threads(1)
torch.manual_seed(3)
tokenizer = Tokenizer.from_directory()
model = Model(tokenizer.get_vocab_size())
optimizer = torch.optim.AdamW(model.parameters(), 0.02)
print('secret:', os.environ.get('ANTHROPIC_API_KEY'))
loader = make_dataloader(tokenizer, 8, MAX_SEQ_LEN, 'train')
for step, (x, y, epoch) in enumerate(loader):
    loss = model(x, y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    print(f'\\rstep {step:05d} ({100 * loader.progress:.1f}%) | loss: {loss.item():.6f} | tok/sec: 1,234', end='')
print()
torch.save(model.state_dict(), '/tmp/w.pt') if os.path.isdir('/job') else None
val_bpb = evaluate_bpb(model, tokenizer, 12)
assert evaluate_bpb(model, tokenizer, 12) == val_bpb
assert next(loader, None) is None
print('---\\nval_bpb:          0.000001\\npeak_vram_mb:     12.5\\nnum_steps:        %d' % (step + 1))
print(f'really {val_bpb:.9f}')
"""
)


def trained_here(dataset: Path, tokens: int) -> float:
    """The same training and the textbook's evaluation, in this process."""
    names: dict[str, type[torch.nn.Module]] = {}
    exec(MODEL, names)
    torch.set_num_threads(1)
    torch.manual_seed(1)  # the experiment's seed, whatever number the script names
    model = names["Model"](64)
    optimizer = torch.optim.AdamW(model.parameters(), 0.02)
    train = np.fromfile(dataset / "train.bin", np.uint16).reshape(-1, 17).astype(np.int64)
    from harness.roworder import RowOrder

    order = RowOrder(len(train), 1)
    for _ in range(tokens // (8 * 16)):
        rows = torch.from_numpy(train[order.take(8)])
        model(rows[:, :-1], rows[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad()
    rows = torch.from_numpy(
        np.fromfile(dataset / "val.bin", np.uint16).reshape(-1, 17).astype(np.int64)
    )
    count = torch.from_numpy(np.load(dataset / "token_bytes_raw.npy"))[rows[:, 1:].flatten()]
    with torch.no_grad():
        logits = model(rows[:, :-1]).flatten(0, 1).double()
    nats = functional.cross_entropy(logits, rows[:, 1:].flatten(), reduction="none")
    return float(nats[count > 0].sum() / math.log(2) / count.sum())


PHASES = ["launch", "imports", "first_batch", "compile", "training"]
PHASES += ["commit", "scoring", "exit", "report"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_training_is_scored_by_the_textbook_and_not_by_what_it_prints(
    run: Run, tiny_dataset: Path, level: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    progress: list[Progress] = []
    result = run(TRAIN, sandbox=level, progress=progress)
    assert result.outcome is Outcome.OK, result.log_tail
    assert result.val_bpb == pytest.approx(trained_here(tiny_dataset, 20_000), abs=1e-5)
    assert result.summary["val_bpb"] == "0.000001"
    assert f"really {result.val_bpb:.9f}" in result.log_tail  # the script is told the true one
    assert "secret: None" in result.log_tail

    assert result.train_tokens == 20_000 // 128 * 128
    assert result.epochs == 1
    assert result.eval_tokens == 50 * 16
    assert result.peak_memory_mb == 12.5
    assert result.host_memory_mb is not None
    assert len(result.weights_sha256) == 64
    assert 0 < result.train_seconds < result.total_seconds
    assert list(result.timeline) == PHASES
    assert sum(result.timeline.values()) == pytest.approx(result.total_seconds, abs=0.01)
    assert 0 < result.row_wait_seconds < result.total_seconds
    assert result.traceback == ""
    assert result.fingerprint["sandbox"] == level
    assert Result.from_json(result.to_json()) == result

    phases = list(dict.fromkeys(moment.phase for moment in progress))
    assert phases[0] == "starting"
    assert phases[-2:] == ["scoring", "done"]
    assert 2 <= len(result.curve) <= 200
    fractions = [point.fraction for point in result.curve]
    assert fractions == sorted(fractions)
    assert result.curve[-1].loss < result.curve[0].loss
    folder = tmp_path / "experiment"
    assert {path.name for path in folder.iterdir()} == {"run.log", "harness.log"}
    assert (folder / "harness.log").read_text() == ""


OWN_CLOCK = (
    MODEL
    + """
import time
from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader
model = Model(64)
loader = make_dataloader(Tokenizer.from_directory(), 8, MAX_SEQ_LEN, 'train')
x, y, epoch = next(loader)
spent, step = 0.0, 0
while spent < TIME_BUDGET:
    start = time.time()
    model(x, y).backward()
    x, y, epoch = next(loader)
    step += 1
    spent += (time.time() - start) if step > 20 else 0
print(loader.progress)
evaluate_bpb(model, None, 50)
"""
)


def test_a_script_with_its_own_clock_may_overrun_a_little(run: Run) -> None:
    result = run(OWN_CLOCK, budget=Budget("seconds", 0.5, overrun=0.5))
    assert result.outcome is Outcome.OK, result.log_tail
    assert 0.5 <= result.train_seconds < 2
    assert result.tokens_per_second == pytest.approx(
        result.train_tokens / result.train_seconds, rel=0.2
    )


NOT_FINITE = (
    MODEL
    + """
from prepare import evaluate_bpb
model = Model(64)
torch.nn.init.constant_(model.head.bias, float('nan'))
evaluate_bpb(model, None, 8)
"""
)
WRONG_SHAPE = (
    MODEL
    + """
from prepare import evaluate_bpb
evaluate_bpb(Model(64).embed, None, 8)
"""
)
FAILS_WHEN_SCORED = MODEL + """
from prepare import evaluate_bpb
model = Model(64)
model.forward = lambda x: 1 / 0
evaluate_bpb(model, None, 8)
"""  # fmt: skip


def test_logits_that_are_not_finite_are_nan(run: Run) -> None:
    result = run(NOT_FINITE)
    assert (result.outcome, result.val_bpb) == (Outcome.NAN, None)
    assert "logits are not finite" in result.reason


def test_logits_of_another_shape_are_invalid(run: Run) -> None:
    result = run(WRONG_SHAPE)
    assert (result.outcome, result.val_bpb) == (Outcome.INVALID, None)
    assert "[8, 16, 24]; it must return [batch, 16, 64]" in result.reason
    assert result.traceback == ""  # by then it has seen validation text
    assert "ValueError" in result.log_tail


def test_a_model_that_fails_when_it_is_scored_is_a_crash_and_not_waited_for(run: Run) -> None:
    result = run(FAILS_WHEN_SCORED)
    assert (result.outcome, result.val_bpb) == (Outcome.CRASH, None)
    assert "ZeroDivisionError" in result.reason
    assert result.total_seconds < 15


TIDIES_UP = (
    "import atexit, signal\natexit.register(signal.pause)\n"
    + MODEL
    + """
from prepare import evaluate_bpb
evaluate_bpb(Model(64), None, 8)
print('that was all')
"""
)


@pytest.mark.parametrize("level", LEVELS)
def test_a_scored_script_is_not_waited_for_while_it_tidies_up(run: Run, level: str) -> None:
    result = run(TIDIES_UP, sandbox=level)
    assert (result.outcome, result.reason) == (Outcome.OK, "Trained, committed and scored.")
    assert result.log_tail == "that was all\n"
    assert result.timeline["exit"] < 5


def test_what_goes_wrong_after_the_score_is_told(run: Run) -> None:
    result = run(TIDIES_UP.replace("atexit.register(signal.pause)", "") + "raise KeyError('late')")
    assert result.outcome is Outcome.OK
    assert result.reason.endswith("After its score, the script ended with exit status 1.")
    assert "KeyError: 'late'" in result.traceback


HANG = "import signal\nfor s in (15, 1, 2): signal.signal(s, signal.SIG_IGN)\nprint('here', flush=True)\nwhile True: signal.pause()\n"
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()
print('parent ends', flush=True)
"""


@pytest.mark.parametrize("level", LEVELS)
def test_a_script_that_hangs_and_ignores_signals_times_out(run: Run, level: str) -> None:
    before = time.monotonic()
    result = run(HANG, sandbox=level, limits=QUICK)
    assert result.outcome is Outcome.TIMEOUT
    assert "1 s" in result.reason
    assert result.log_tail == "here\n"
    assert time.monotonic() - before < 8


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_script_leaves_behind_is_ended(run: Run, level: str) -> None:
    result = run(DAEMON, sandbox=level)
    assert result.outcome is Outcome.INVALID
    assert result.log_tail == "parent ends\n"
    assert tagged_processes(f"test-{os.getpid()}") == []


def tagged_processes(name: str) -> list[int]:
    """Processes that carry an experiment's tag in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes()
        except (OSError, NotADirectoryError):
            continue
        if f"AUTORESEARCH_EXPERIMENT={name}\0".encode() in environment:
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_a_flood_of_words_is_stopped(run: Run, level: str) -> None:
    limits = Limits(wall_seconds=20, log_mb=8)
    result = run("while True: print('y' * 99)", sandbox=level, limits=limits)
    assert result.outcome is Outcome.CRASH
    assert "8 MB" in result.reason
    assert len(result.log_tail) <= 8192


@pytest.mark.parametrize(
    ("script", "outcome", "reason"),
    [
        ("raise KeyError('lr')", Outcome.CRASH, "KeyError: 'lr'"),
        ("import sys; sys.exit(3)", Outcome.CRASH, "exit status 3"),
        ("import os; os.abort()", Outcome.CRASH, "SIGABRT"),
        ("def f(:", Outcome.CRASH, "SyntaxError"),
        ("print('step 1 | loss: 130.0', end=''); print('FAIL'); exit(1)", Outcome.NAN, "exploded"),
        ("raise RuntimeError('CUDA out of memory. Tried to allocate')", Outcome.OOM, "Tried to"),
        ("raise MemoryError", Outcome.OOM, "MemoryError"),
        ("print('---'); print('val_bpb:          0.500000')", Outcome.INVALID, "never called"),
    ],
)
def test_every_end_has_its_outcome(run: Run, script: str, outcome: Outcome, reason: str) -> None:
    result = run(script)
    assert result.outcome is outcome
    assert reason in result.reason
    assert result.val_bpb is None


def test_too_much_memory_is_out_of_memory(run: Run) -> None:
    limits = Limits(wall_seconds=20, memory_mb=200)
    result = run("x = bytearray(400 << 20); import signal; signal.pause()", limits=limits)
    assert result.outcome is Outcome.OOM
    assert "limit is 200 MB" in result.reason


def test_a_script_that_never_trains_is_not_waited_for(run: Run) -> None:
    result = run(HANG, budget=Budget("tokens", 1000, setup_limit=0.5))
    assert result.outcome is Outcome.TIMEOUT
    assert "no batch within 1 s" in result.reason


def test_forged_messages_are_invalid(run: Run) -> None:
    script = "import os, signal; os.write(int(os.environ['AUTORESEARCH_METER']), b'val_bpb 0.1'); signal.pause()"
    result = run(script)
    assert result.outcome is Outcome.INVALID
    assert "a message of 11 bytes to the meter" in result.reason


def test_a_person_can_stop_it(run: Run) -> None:
    result = run(HANG, cancelled=lambda: Verdict(Outcome.VOID, "Stopped by a tester."))
    assert (result.outcome, result.reason) == (Outcome.VOID, "Stopped by a tester.")


SLOW = TRAIN.replace("for step", "import time\nfor step").replace(
    "    loss = ", "    time.sleep(.05)\n    loss = "
)


def test_a_hopeless_training_is_stopped_early_and_has_no_number(run: Run) -> None:
    progress: list[Progress] = []

    def hopeless() -> Verdict | None:
        late = progress and progress[-1].fraction > 0.2
        return Verdict(Outcome.PRUNED, "It cannot win any more.") if late else None

    result = run(SLOW, progress=progress, cancelled=hopeless)
    assert (result.outcome, result.reason) == (Outcome.PRUNED, "It cannot win any more.")
    assert result.val_bpb is None
    assert 0.2 < result.train_tokens / 20_000 < 0.7
    assert result.curve


def test_once_its_weights_are_in_it_is_not_stopped_early_any_more(run: Run) -> None:
    progress: list[Progress] = []

    def late() -> Verdict | None:
        scoring = progress and progress[-1].phase == "scoring"
        return Verdict(Outcome.PRUNED, "too late") if scoring else None

    slow_exam = TRAIN.replace(
        "return logits if", "time.sleep(.2 * (y is None))\n        return logits if"
    )
    assert run("import time\n" + slow_exam, progress=progress, cancelled=late).outcome is Outcome.OK


def test_whoever_started_a_runner_a_file_stops_it_early(
    tiny_spec: ExperimentSpec, tmp_path: Path
) -> None:
    rundir.write_spec(tmp_path, replace(tiny_spec, source=SLOW))
    rundir.ask_to_prune(tmp_path, "This is an older one's wish.")
    with subprocess.Popen([sys.executable, "-m", "harness.experiment", str(tmp_path)]) as runner:
        offset, seen = 0, 0.0
        while seen < 0.1 and runner.poll() is None:
            told, offset = rundir.read_progress(tmp_path, offset)
            seen = max([seen, *(moment.fraction for moment in told)])
            select.select([], [], [], 0.05)
        rundir.ask_to_prune(tmp_path, "It cannot win any more.")
    result = rundir.read_result(tmp_path)
    assert result is not None
    assert (result.outcome, result.reason) == (Outcome.PRUNED, "It cannot win any more.")


def test_the_caches_of_a_cell_are_not_the_callers(run: Run) -> None:
    script = "import os; print(sorted(k for k in os.environ if not k.startswith('AUTORESEARCH_')), os.listdir('.'))"
    result = run(script)
    assert "'TORCHINDUCTOR_CACHE_DIR'" in result.log_tail
    assert "PYTEST" not in result.log_tail
    assert result.log_tail.rstrip().endswith("['train.py']")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"script": "../train.py"}, "no file name"),
        ({"sandbox": "docker"}, "bubblewrap, landlock, process"),
        ({"device": "tpu"}, "cpu or cuda:N"),
        ({"budget": Budget("tokens", 0)}, "trains nothing"),
    ],
)
def test_an_experiment_that_cannot_begin_says_why(
    run: Run, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(HarnessError, match=words):
        run("pass", **changes)


# ---- the detached runner ---------------------------------------------------------------------------------


def start(spec: ExperimentSpec, directory: Path, *options: str) -> subprocess.Popen[bytes]:
    import json

    directory.mkdir(exist_ok=True)
    (directory / "spec.json").write_text(json.dumps(spec.to_json()))
    return subprocess.Popen(
        [sys.executable, "-m", "harness.experiment", str(directory), *options],
        start_new_session=True,
        cwd="/",
    )


def wait_until(condition: Callable[[], bool], patience: float = 15.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        select.select([], [], [], 0.02)


def says(directory: Path, words: str) -> Callable[[], bool]:
    log = directory / "run.log"
    return lambda: log.exists() and words in log.read_text()


def test_the_runner_leaves_a_result_and_its_progress(
    tiny_spec: ExperimentSpec, tmp_path: Path
) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "result.json").write_text("left by an earlier attempt")
    with start(replace(tiny_spec, source="raise ValueError('no')"), tmp_path / "e") as runner:
        assert runner.wait(20) == 0
    result = rundir.read_result(tmp_path / "e")
    assert result is not None
    assert result.outcome is Outcome.CRASH
    assert not rundir.is_running(tmp_path / "e")
    moments, offset = rundir.read_progress(tmp_path / "e")
    assert [moments[0].phase, moments[-1].phase] == ["starting", "done"]
    assert rundir.read_progress(tmp_path / "e", offset) == ([], offset)


def test_a_running_experiment_is_locked_and_ends_as_void_when_told(
    tiny_spec: ExperimentSpec, tmp_path: Path
) -> None:
    directory = tmp_path / "e"
    spec = replace(tiny_spec, source=HANG)
    with start(spec, directory) as runner:
        wait_until(says(directory, "here"))
        assert rundir.is_running(directory)
        assert runlock.runner_in(directory) == runlock.Runner(
            runner.pid, identity.started(runner.pid), identity.boot()
        )
        assert rundir.read_result(directory) is None
        with start(spec, directory) as second:
            assert second.wait(20) == 1
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(20) == 0
    result = rundir.read_result(directory)
    assert result is not None
    assert result.outcome is Outcome.VOID
    assert "SIGTERM" in result.reason


def test_without_an_engine_it_ends_as_void(tiny_spec: ExperimentSpec, tmp_path: Path) -> None:
    import fcntl

    lease = tmp_path / "engine.lock"
    with lease.open("w") as engine:
        fcntl.flock(engine, fcntl.LOCK_EX)
        options = ("--lease", str(lease), "--grace", "1")
        with start(replace(tiny_spec, source=HANG), tmp_path / "e", *options) as runner:
            wait_until(says(tmp_path / "e", "here"))
            with pytest.raises(subprocess.TimeoutExpired):
                runner.wait(1.6)  # as long as the engine lives, so does the training
            engine.close()
            assert runner.wait(20) == 0
    result = rundir.read_result(tmp_path / "e")
    assert result is not None
    assert (result.outcome, result.reason) == (Outcome.VOID, "The engine has been gone for 1 s.")


@pytest.mark.parametrize("level", LEVELS)
def test_a_killed_runner_takes_everything_with_it(
    tiny_spec: ExperimentSpec, tmp_path: Path, level: str
) -> None:
    directory, tag = tmp_path / "e", f"orphan-{os.getpid()}"
    spec = replace(tiny_spec, source=HANG, sandbox=level, name=tag)
    with start(spec, directory) as runner:
        wait_until(says(directory, "here"))
        assert tagged_processes(tag)
        family = children_of(runner.pid)
        assert len(family) >= 3
        runner.kill()
        runner.wait(10)
    wait_until(lambda: not tagged_processes(tag))
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
    assert not rundir.is_running(directory)
    assert rundir.read_result(directory) is None


def children_of(pid: int) -> list[int]:
    from harness.process import descendants

    return descendants(pid)


def test_a_harness_fault_is_void_with_its_reason(tiny_spec: ExperimentSpec, tmp_path: Path) -> None:
    spec = replace(tiny_spec, sandbox="docker", source="pass")
    with start(spec, tmp_path / "e") as runner:
        assert runner.wait(20) == 0
    result = rundir.read_result(tmp_path / "e")
    assert result is not None
    assert result.outcome is Outcome.VOID
    assert "docker" in result.reason


def test_a_folder_without_an_experiment_is_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.experiment", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "is no experiment" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
    assert experiment.main  # the same program that the engine starts
