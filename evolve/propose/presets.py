"""Reads what a brief says about the device, and which rows of a table of presets cannot be in force on it.

Turning a constant that this device never reads would cost a training and teach nothing. Pure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_LARGE = re.compile(r"\b(A100|A800|H100|H200|H800|H20|GH200|GB200|B[12]00|B300|MI[23]\d\dX?)\b")
_MEMORY_FIELD = re.compile(r"memory|vram|gib|gb")


@dataclass(frozen=True, slots=True)
class Setting:
    """Under what the child will be trained."""

    memory: float | None = None  # GiB of the device; 0 = a CPU, None = not known
    counts_tokens: bool = False  # the budget is in tokens, so that a larger model is not paid for


def read_budget(words: str) -> Setting:
    """Understand `Brief.budget`: "400,000 tokens on a CPU", "300 seconds on NVIDIA H200 (140 GiB)"."""
    size = re.search(r"(\d+(?:\.\d+)?)\s*Gi?B", words)
    if size:
        memory: float | None = float(size.group(1))
    elif re.search(r"\bCPU\b", words):
        memory = 0.0
    else:
        memory = 80.0 if _LARGE.search(words) else None
    return Setting(memory=memory, counts_tokens="tokens" in words)


def out_of_force(tree: ast.Module, memory: float | None) -> tuple[str, ...]:
    """Prefixes of names ("SIZES[0]") of the preset rows that a device with so much memory does not take.

    A table of presets is a constant in capitals whose rows name the memory that they need; the row that asks
    for most of what is there is in force. With unknown memory only the row for a CPU is ruled out.
    """
    ruled_out: list[str] = []
    for name, rows in _tables(tree):
        needs = sorted({need for _, need in rows})
        if memory is None:
            in_force = set(needs) - {0.0}
        else:
            fitting = [need for need in needs if need <= memory]
            in_force = {fitting[-1]} if fitting else set(needs)
        ruled_out += [f"{name}[{key}]" for key, need in rows if need not in in_force]
    return tuple(ruled_out)


def _tables(tree: ast.Module) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """(constant's name, [(row's key, memory)]) of every table of presets."""
    for statement in tree.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            continue
        rows = [
            (key, need) for key, row in _rows(statement.value) if (need := _memory(row)) is not None
        ]
        if len(rows) > 1:
            yield statement.targets[0].id, rows


def _rows(value: ast.expr) -> list[tuple[str, ast.expr]]:
    if isinstance(value, (ast.Tuple, ast.List)):
        return [(str(index), row) for index, row in enumerate(value.elts)]
    if isinstance(value, ast.Dict):
        pairs = zip(value.keys, value.values, strict=True)
        return [(str(k.value), row) for k, row in pairs if isinstance(k, ast.Constant)]
    return []


def _memory(row: ast.expr) -> float | None:
    """The literal under a name such as `memory` in one row."""
    fields: list[tuple[str, ast.expr]] = []
    if isinstance(row, ast.Call):
        fields = [(keyword.arg or "", keyword.value) for keyword in row.keywords]
    elif isinstance(row, ast.Dict):
        pairs = zip(row.keys, row.values, strict=True)
        fields = [(str(k.value), v) for k, v in pairs if isinstance(k, ast.Constant)]
    for name, value in fields:
        is_number = isinstance(value, ast.Constant) and type(value.value) in {int, float}
        if _MEMORY_FIELD.search(name.lower()) and is_number:
            return float(ast.literal_eval(value))
    return None
