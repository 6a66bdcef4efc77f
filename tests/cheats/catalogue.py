"""All cases, by name: each is the constant CHEAT of a module in tests/cheats/cases."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

from tests.cheats.case import Cheat

KINDS = ("reporting", "data", "time", "host")


def cheats(kind: str | None = None) -> dict[str, Cheat]:
    """Every cheat (of one class) under its name, in the order of the classes."""
    found = {}
    for file in (Path(__file__).parent / "cases").glob("*.py"):
        module = importlib.import_module(f"tests.cheats.cases.{file.stem}")
        found[file.stem] = replace(module.CHEAT, name=file.stem)
    order = sorted(found, key=lambda name: (KINDS.index(found[name].kind), name))
    return {name: found[name] for name in order if kind in (None, found[name].kind)}


def of_every_run(kind: str, *, voided: bool = False) -> dict[str, Cheat]:
    """Those of a class that every run of the tests carries out: what an audit must find, or all the others."""
    return {
        name: cheat
        for name, cheat in cheats(kind).items()
        if cheat.verdict != "open" and not cheat.related and (cheat.verdict == "voided") is voided
    }
