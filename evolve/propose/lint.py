"""Certain errors in a script, found without running it: by ruff where it is installed, else by Python itself.

The only effect is one short subprocess; the verdict is `vetting`'s.
"""

from __future__ import annotations

import ast
import builtins
import json
import shutil
import subprocess
import symtable
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from evolve.syntax import parse
from harness.environment import without_credentials

RULES = "E9,F63,F7,F82"  # syntax, nonsense comparisons, misplaced statements, undefined names
_SECONDS = 20.0

Fault = tuple[str, int]  # in words, and the line


@lru_cache(maxsize=1)
def ruff_executable() -> str | None:
    """Where ruff is, beside this interpreter or on the path; None when it is not installed."""
    beside = Path(sys.executable).with_name("ruff")
    return str(beside) if beside.is_file() else shutil.which("ruff")


def linter() -> str:
    """Which linter vets proposals here: `ruff` or `compile` (Python's own compiler and symbol table)."""
    return "ruff" if ruff_executable() else "compile"


def lint(source: str, ruff: str | None) -> tuple[Fault, ...]:
    """Undefined names and other certain errors, by the ruff at that path, or by Python's own compiler."""
    return _ruff(ruff, source) if ruff else tuple(_compile(source))


def _ruff(ruff: str, source: str) -> tuple[Fault, ...]:
    command = [ruff, "check", "--isolated", "--no-cache", "--quiet", "--select", RULES]
    command += ["--output-format", "json", "--stdin-filename", "train.py", "-"]
    answer = subprocess.run(
        command,
        input=source,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        env=without_credentials(),
    )
    if not answer.stdout.strip():
        return ()
    return tuple(
        (f"{found['message']} ({found['code']})", found["location"]["row"])
        for found in json.loads(answer.stdout)
    )


def _compile(source: str) -> Iterator[Fault]:
    """What the compiler refuses, and names that are read and bound nowhere."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            compile(source, "train.py", "exec")
    except SyntaxError as error:
        yield error.msg, error.lineno or 0
        return
    tree = parse(source)
    if any(isinstance(n, ast.ImportFrom) and n.names[0].name == "*" for n in ast.walk(tree)):
        return  # what a star brings cannot be known
    top = symtable.symtable(source, "train.py", "exec")
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    bound |= _declared_global(top) | set(dir(builtins)) | {"__file__", "__name__"}
    lines = {n.id: n.lineno for n in ast.walk(tree) if isinstance(n, ast.Name)}
    for name in sorted(_global_reads(top) - bound):
        yield f"Undefined name `{name}`", lines.get(name, 0)


def _declared_global(table: symtable.SymbolTable) -> set[str]:
    names = {
        s.get_name() for s in table.get_symbols() if s.is_declared_global() and s.is_assigned()
    }
    return names.union(*(_declared_global(child) for child in table.get_children()))


def _global_reads(table: symtable.SymbolTable) -> set[str]:
    here = {
        s.get_name()
        for s in table.get_symbols()
        if s.is_referenced() and (s.is_global() or table.get_type() == "module")
    }
    return here.union(*(_global_reads(child) for child in table.get_children()))
