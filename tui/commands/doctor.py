"""`autoresearch doctor`: what works here, what does not, and what to do about it. It changes nothing unless asked to.

The value of a key is never read further than to see that it is there.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from tui.commands.parsing import Parser

LOW_DISK = 5 * 10**9  # bytes: shards, packed rows and compile caches of a GPU run
COLUMNS = (80, 24)  # the smallest terminal that shows the whole app
CUDA_CHECK = "import torch; print(torch.cuda.is_available())"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: Literal["ok", "note", "bad"]  # "bad" keeps a run from starting
    found: str
    advice: str = ""


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `doctor`."""
    parser = add_command(
        commands,
        "doctor",
        _run,
        summary="what works on this machine, and what to do",
        description="Look at GPU, torch, sandbox, terminal, workspace, settings, API key, data and disk.\n"
        "Ends with code 1 when something keeps a run from starting.",
        example="autoresearch doctor --json",
    )
    parser.add_argument(
        "--terminal",
        action="store_true",
        help="only put this terminal back, after an app that was killed (kill -9, no memory)",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="make a damaged journal whole again; the damaged file is kept",
    )
    parser.add_argument("--json", action="store_true", help="the same findings for programs")


def _run(args: argparse.Namespace) -> int:
    if args.terminal:
        return _mend_terminal()
    if args.repair:
        from tui.commands.repairing import repair_journal

        return repair_journal(workspace(args))
    from tui.plain import table, to_json

    findings = list(examine(workspace(args)))
    if args.json:
        print(to_json(findings))
    else:
        print(table([(f.state, f.subject, f.found) for f in findings]))
        todo = [f for f in findings if f.advice]
        if todo:
            print("\nWhat would help:")
        for finding in todo:
            print(f"  {finding.subject}: {finding.advice}")
    return 1 if any(f.state == "bad" for f in findings) else 0


def _mend_terminal() -> int:
    """What the app does when it ends, done for one that could not do it."""
    from evolve.model import UsageError
    from tui.terminal import mend

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("This is not a terminal; type it in the one that is to be put back.")
    mend(sys.stdin, sys.stdout)
    print("This terminal is as it should be: main screen, cursor, no reports, typing is shown.")
    return 0


def examine(folder: Path) -> Iterator[Finding]:
    """Every finding, in the order in which a person would mend them."""
    yield _python()
    yield from _torch_and_gpu()
    yield _sandbox()
    yield _workspace(folder)
    yield from _journal(folder)
    yield from _settings(folder)
    yield _tpe()
    yield _data()
    yield _disk()
    yield _terminal()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", "ok", f"{version}, {sys.executable}")


def _torch_and_gpu() -> Iterator[Finding]:
    from importlib import metadata

    from harness.device import detect

    machine = detect()
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        yield Finding(
            "torch",
            "bad",
            "not installed",
            "pip install 'autoresearch[train]' into this environment",
        )
        version = ""
    else:
        yield Finding("torch", "ok", version)
    if not machine.gpus:
        yield Finding(
            "GPU",
            "note",
            "none: the cpu profile, a rehearsal",
            "an NVIDIA GPU with its driver (and `pip install nvidia-ml-py`) gives real results",
        )
        return
    for gpu in machine.gpus:
        yield Finding(
            "GPU", "ok", f"{gpu.name}, {gpu.memory_mb / 1024:.0f} GiB, driver {gpu.driver}"
        )
    if version:
        yield _cuda()
        yield from _bytecode()


def _cuda() -> Finding:
    """Whether this torch can use the GPU; asked in a process of its own, torch takes long to import."""
    import subprocess

    from harness.environment import without_credentials

    answer = subprocess.run(
        [sys.executable, "-c", CUDA_CHECK],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=without_credentials(),
    )
    if answer.stdout.strip() == "True":
        return Finding("CUDA", "ok", "torch can use the GPU")
    return Finding(
        "CUDA",
        "bad",
        "torch cannot use the GPU",
        "install a torch build for this driver (https://pytorch.org/get-started)",
    )


def _bytecode() -> Iterator[Finding]:
    from harness import bytecode

    bare = bytecode.missing()
    if not bare:
        return
    names = ", ".join(folder.name for folder in bare)
    if all(map(bytecode.writable, bare)):
        yield Finding("byte code", "note", f"none of {names} yet; the first training writes it")
        return
    yield Finding(
        "byte code",
        "note",
        f"none of {names}: every training starts many seconds later",
        f"as the owner of the folder: python -m compileall -q -j 0 {shlex.join(map(str, bare))}",
    )


def _sandbox() -> Finding:
    from harness import sandbox
    from tui.plain import one_line

    report = sandbox.probe()
    failed = [f"{check.name}: {one_line(check.detail)}" for check in report.checks if not check.ok]
    if report.level != "process":
        count = len(report.checks)
        held = (
            f"{report.level}, {count} {'attempt' if count == 1 else 'attempts'} to break out failed"
        )
        return Finding("Sandbox", "ok", held, report.advice)
    return Finding(
        "Sandbox",
        "bad",
        "; ".join(failed) or "none is to be had",
        f"{report.advice} (or accept the risk with `autoresearch run --allow-weak-sandbox`)",
    )


def _workspace(folder: Path) -> Finding:
    from evolve.lineage import Lineage
    from evolve.model import EvolveError

    try:
        lineage = Lineage(folder, "auto", "auto", "check")
        lineage.check()
    except EvolveError as error:
        return Finding("Workspace", "bad", str(folder), str(error))
    return Finding("Workspace", "ok", f"{folder}, {lineage.script} on {lineage.branch}")


def _journal(folder: Path) -> Iterator[Finding]:
    """Whether the journal is whole, where there is one, and how old its copy is."""
    from evolve.backup import copies
    from evolve.places import JOURNAL, STATE
    from evolve.repair import behind, look

    state = folder / STATE
    if not (state / JOURNAL).exists():
        return
    found = look(state / JOURNAL)
    faults = (*found.damage, *found.oddities, *behind(state))
    if faults:
        advice = "end the engine if there is one, then `autoresearch doctor --repair`"
        yield Finding("Journal", "bad" if found.damage else "note", faults[0], advice)
        return
    last = copies(state)
    hours = (time.time() - last[0].stat().st_mtime) / 3600 if last else 0.0
    copy = f"its last copy is {hours:.1f} h old" if last else "no copy of it yet"
    yield Finding("Journal", "ok", f"whole; {copy}")


def _settings(folder: Path) -> Iterator[Finding]:
    from evolve import settings as config
    from evolve.model import EvolveError
    from evolve.stopping import in_words
    from harness.device import detect

    try:
        settings = config.load(folder, gpu=bool(detect().gpus), overrides={})
    except EvolveError as error:
        yield Finding("Settings", "bad", "autoresearch.toml cannot be used", str(error))
        return
    yield Finding("Settings", "ok", f"profile {settings.profile}, ends after {in_words(settings)}")
    llm = settings.llm
    names = [name for name in (llm.api_key_env, llm.auth_token_env) if os.environ.get(name)]
    if names or llm.base_url:
        where = f"{names[0]} is set" if names else f"no key, server {llm.base_url}"
        yield Finding("API key", "ok", f"{where}; {llm.model} proposes")
        return
    yield Finding(
        "API key",
        "bad" if llm.proposer == "claude" else "note",
        f"{llm.api_key_env} is not set; the built-in proposer works without",
        f"export {llm.api_key_env} to let {llm.model} propose",
    )


def _tpe() -> Finding:
    """Whether the built-in proposer may search constants by TPE; looked for, not imported."""
    from importlib import metadata

    try:
        version = metadata.version("optuna")
    except metadata.PackageNotFoundError:
        return Finding(
            "TPE",
            "note",
            "no optuna: the built-in proposer turns constants by its own rules alone",
            "pip install 'autoresearch[tpe]' into this environment",
        )
    return Finding("TPE", "ok", f"optuna {version}, for constants, beside the built-in rules")


def _data() -> Finding:
    from harness.places import cache_dir

    folder = cache_dir() / "datasets"
    ready = sorted(folder.glob("*/manifest.json")) if folder.is_dir() else []
    if not ready:
        return Finding("Data", "note", "none prepared yet", "`autoresearch prepare`, or just run")
    return Finding("Data", "ok", f"{len(ready)} prepared in {folder}")


def _disk() -> Finding:
    from harness.places import cache_dir

    folder = cache_dir()
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.0f} GB free for {folder}"
    if free < LOW_DISK:
        return Finding(
            "Disk", "note", found, "free some space, or point AUTORESEARCH_CACHE elsewhere"
        )
    return Finding("Disk", "ok", found)


def _terminal() -> Finding:
    from tui.commands.parsing import can_show_app

    term = os.environ.get("TERM", "unknown")
    if not can_show_app():
        return Finding(
            "Terminal",
            "note",
            f"no terminal for the app (TERM={term})",
            "`autoresearch status --watch` follows a run in plain text",
        )
    size = shutil.get_terminal_size()
    found = f"{term}, {size.columns}x{size.lines}{', in tmux' if os.environ.get('TMUX') else ''}"
    if size.columns < COLUMNS[0] or size.lines < COLUMNS[1]:
        return Finding("Terminal", "note", found, "80x24 shows the whole app")
    return Finding("Terminal", "ok", found)
