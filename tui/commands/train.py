"""`autoresearch train`: one scored experiment on one file, without a search, a journal or git.

The harness trains and scores exactly as in a run; this module draws the live line and prints the result.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from evolve.settings import Settings
    from harness.ending import Verdict
    from harness.spec import Budget, ExperimentSpec, Progress, Result
    from tui.commands.parsing import Parser


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `train`."""
    parser = add_command(
        commands,
        "train",
        _run,
        summary="one scored training of one file, no search",
        description="Train and score FILE once under the budget of the settings, in the sandbox, as a run\n"
        "would, and audit the score: when it does not stand, the exit code is 1. The log is kept in\n"
        ".autoresearch/train/ until the next `train`.",
        example="autoresearch train my_train.py --seed 3",
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="a train.py (default: the workspace's)"
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="order of the data and initialisation (default: 0)",
    )
    parser.add_argument(
        "--audit",
        metavar="N",
        type=_whole,
        help="places of the blind audit (default: that of the settings; 0: none)",
    )
    parser.add_argument(
        "--allow-weak-sandbox",
        action="store_true",
        help="train without a sandbox where none is to be had",
    )


def _whole(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"“{text}” is no whole number")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from evolve import settings as config
    from evolve.levels import sandbox_level
    from evolve.places import state_folder
    from harness import experiment
    from harness.device import detect
    from harness.spec import AuditPlan, Outcome
    from tui.commands.bar import Bar

    folder = workspace(args)
    machine = detect()
    settings = config.load(folder, gpu=bool(machine.gpus), overrides={})
    path = Path(args.file) if args.file else _script(folder, settings)
    source = _source(path)
    _check_slot(folder)
    level = sandbox_level(settings, allow_weak=args.allow_weak_sandbox)
    device = "cuda:0" if machine.gpus and settings.device.device != "cpu" else "cpu"
    spec = replace(
        _spec(path, source, settings, seed=args.seed, device=device, sandbox=level),
        audit=AuditPlan(settings.scoring.audit_probes if args.audit is None else args.audit),
    )
    directory = state_folder(folder) / "train"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    print(f"Training {path}: {_budget(spec.budget)} on {device}, seed {args.seed}.", flush=True)
    with Bar() as bar, _interruptible() as cancelled:
        result = experiment.run(
            spec, directory, lambda progress: bar.line(_live(progress)), cancelled
        )
        interrupted = cancelled() is not None
    print(_report(result, directory))
    return 130 if interrupted else 0 if result.outcome is Outcome.OK else 1


def _script(folder: Path, settings: Settings) -> Path:
    """The workspace's own script."""
    if settings.workspace.script != "auto":
        return folder / settings.workspace.script
    nested = folder / "trainer" / "train.py"
    return nested if nested.is_file() else folder / "train.py"


def _source(path: Path) -> str:
    """The text of a script that parses. Raises EvolveError otherwise."""
    import ast

    from evolve.model import EvolveError

    try:
        source = path.read_text(encoding="utf-8")
        ast.parse(source)
    except (FileNotFoundError, IsADirectoryError):
        raise EvolveError(f"There is no file {path}; name a train.py to train.") from None
    except UnicodeDecodeError:
        raise EvolveError(f"{path} is no UTF-8 text; name a train.py to train.") from None
    except SyntaxError as error:
        raise EvolveError(
            f"{path} does not parse: {error.msg} in line {error.lineno}; mend it, then train again."
        ) from None
    return source


def _check_slot(folder: Path) -> None:
    """Refuse while an engine trains here: two trainings on one device disturb each other's clock."""
    from evolve.model import EvolveError
    from tui.commands.live import current_snapshot

    snapshot = current_snapshot(folder)
    if snapshot is not None and snapshot.running is not None:
        raise EvolveError(
            f"An engine is training {snapshot.running.candidate.label} here, and two trainings disturb each "
            "other; `autoresearch pause` or `autoresearch stop` first."
        )


def _spec(
    path: Path, source: str, settings: Settings, *, seed: int, device: str, sandbox: str
) -> ExperimentSpec:
    """What a run with these settings would ask for this source."""
    from evolve.boot import data_config
    from harness.dataset import prepare_dataset
    from harness.spec import Budget, ExperimentSpec, Limits
    from tui.commands.bar import Bar

    with Bar() as bar:
        data = prepare_dataset(data_config(settings), bar)
    budget = settings.budget
    return ExperimentSpec(
        name=f"train-{os.getpid()}",
        source=source,
        seed=seed,
        dataset=str(data.path),
        budget=Budget(
            kind=budget.kind,
            amount=budget.seconds if budget.kind == "seconds" else budget.tokens,
            setup_limit=budget.setup_limit,
        ),
        device=device,
        sandbox=sandbox,
        script=path.name,
        cache="write",  # the user's own file
        limits=Limits(
            wall_seconds=budget.wall_limit,
            memory_mb=settings.sandbox.memory_mb,
            log_mb=settings.sandbox.log_mb,
            threads=settings.sandbox.threads,
        ),
        eval_tokens=settings.data.eval_tokens,
        byte_count=settings.scoring.byte_count,
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], Verdict | None]]:
    """SIGINT and SIGTERM end the training cleanly: the yielded function then gives the verdict."""
    from harness.ending import Verdict
    from harness.spec import Outcome

    verdict: Verdict | None = None

    def stop(number: int, _: object) -> None:
        nonlocal verdict
        verdict = Verdict(Outcome.VOID, f"stopped by {signal.Signals(number).name}")

    before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: verdict
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _budget(budget: Budget) -> str:
    return f"{budget.amount:,.0f} {budget.kind}"


def _live(progress: Progress) -> str:
    """`training  43%  loss 3.4012  step 210  41,000 tokens/s`."""
    parts = [f"{progress.phase:<8} {progress.fraction:4.0%}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4f}")
    if progress.step is not None:
        parts.append(f"step {progress.step}")
    if progress.tokens_per_second is not None:
        parts.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    return "  ".join(parts)


def _report(result: Result, directory: Path) -> str:
    """The result for a person, in the manner of the ancestor's summary."""
    from tui.plain import one_line

    if result.val_bpb is None:
        lines = [f"{result.outcome}: {one_line(result.reason)}"]
        lines += [line for line in result.traceback.splitlines() if line.strip()][-8:]
    else:
        lines = [
            f"val_bpb:          {result.val_bpb:.6f}",
            f"training_seconds: {result.train_seconds:.1f}",
            f"total_seconds:    {result.total_seconds:.1f}",
            f"total_tokens_M:   {result.train_tokens / 1e6:.1f}",
            f"tokens_per_s:     {result.tokens_per_second:,.0f}",
            f"sandbox:          {result.sandbox}",
        ]
    lines += _audit(result)
    return "\n".join([*lines, f"log:              {directory / 'run.log'}"])


def _audit(result: Result) -> list[str]:
    """The verdict of the blind audit and its figures."""
    from tui.plain import one_line

    report = result.audit
    if report is None:
        if result.val_bpb is None:
            return []
        return ["audit:            none, so a script that looks ahead is not found out"]
    return [
        f"audit:            {'passed' if report.passed else 'VOID'}: {one_line(report.reason)}",
        f"audit_figures:    {report.probes:,} places, mean {report.mean:+.4f} ± {report.error:.4f} nats, "
        f"{report.outliers} outliers, {report.stateful:.2%} stateful, largest {report.largest:.4f}, "
        f"{report.seconds:.1f} s",
    ]
