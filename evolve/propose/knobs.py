"""Finds the constants of a train.py and edits them.

A knob is a literal with a name: a constant in capitals, a field's default, an entry of a preset table. It is
found in the syntax tree and edited at its exact place, so that comments and layout survive. Which knob is turned, and
how far, is `turns`' to say. Pure.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from evolve.propose.moves import INLINE_KINDS, Kind, classify, classify_known
from evolve.propose.presets import Setting, out_of_force
from evolve.propose.spans import Code, Edit, parsed

INLINE = 0.3  # weight of a literal inside a function, against a constant at the top


@dataclass(frozen=True, slots=True)
class Knob:
    """One literal that can be changed."""

    name: str  # "MATRIX_LR", "ADAM_BETAS[0]", "PRESETS[cpu].depth"
    text: str  # as written
    kind: Kind
    start: int  # bytes
    end: int
    weight: float  # how promising it is before anything is known
    inline: bool = False  # inside a function


@dataclass(frozen=True, slots=True)
class Turn:
    """A knob's change."""

    knob: Knob
    text: str  # the new literal

    def __str__(self) -> str:
        return f"{self.knob.name}: {self.knob.text} -> {self.text}"


@lru_cache(maxsize=32)
def find_knobs(source: str) -> tuple[Knob, ...]:
    """All knobs of a source: constants and defaults, then literals in functions. Raises SyntaxError."""
    code = parsed(source)
    knobs: list[Knob] = []
    for statement in code.tree.body:
        for name, value in _named(statement):
            if name.isupper():
                knobs += _literals(code, name, value)
        if isinstance(statement, ast.ClassDef):
            knobs += _defaults(code, statement)
    passed, calls = _passed(code), _calls_by_function(code)
    for function in code.find(ast.FunctionDef):
        knobs += _inline(code, function, passed.get(function.name, set()), calls[id(function)])
    seen: dict[str, Knob] = {}
    for knob in knobs:
        seen.setdefault(knob.name, knob)  # a name that is assigned twice counts once
    return tuple(seen.values())


def in_force(source: str, setting: Setting) -> list[Knob]:
    """The knobs that can matter where the child is trained."""
    code = parsed(source)
    absent = out_of_force(code.tree, setting.memory)
    read = {n.id for n in code.nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    knobs = [
        knob
        for knob in find_knobs(source)
        if not knob.name.startswith(absent)
        and (knob.inline or re.split(r"[.\[]", knob.name)[0] in read)
    ]
    patterns = [knob.text.strip("\"'") for knob in knobs if knob.kind.name == "pattern"]
    if patterns and set("".join(patterns)) == {"L"}:  # no short window is in use
        knobs = [k for k in knobs if "WINDOW" not in k.name or k.kind.name == "pattern"]
    return knobs


def apply_turns(source: str, turns: Sequence[Turn]) -> str | None:
    """The source with the knobs turned, everything else untouched; None when that does not parse."""
    code = parsed(source)
    return code.apply([Edit(t.knob.start, t.knob.end, t.text) for t in turns])


def category_of(turns: Sequence[Turn]) -> str:
    """The category of the first turn, which is the one that was chosen for its own sake."""
    return turns[0].knob.kind.category


# ---- finding -------------------------------------------------------------------------------------------


def _named(statement: ast.stmt) -> list[tuple[str, ast.expr]]:
    """Names and values of `A = 1`, `A: int = 1` and `A, B = 1, 2`."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [(statement.target.id, statement.value)] if statement.value else []
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return []
    target, value = statement.targets[0], statement.value
    if isinstance(target, ast.Name):
        return [(target.id, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=False)
        return [(name.id, inner) for name, inner in pairs if isinstance(name, ast.Name)]
    return []


def _defaults(code: Code, definition: ast.ClassDef) -> list[Knob]:
    """Defaults of the fields of a dataclass, but not of those that every maker of it sets itself."""
    calls = [
        call
        for call in code.find(ast.Call)
        if isinstance(call.func, ast.Name) and call.func.id == definition.name
    ]
    always_set = (
        set.intersection(*({k.arg or "**" for k in c.keywords} for c in calls)) if calls else set()
    )
    knobs: list[Knob] = []
    for statement in definition.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            if statement.value and name not in always_set and "**" not in always_set:
                knobs += _literals(code, f"{definition.name}.{name}", statement.value)
    return knobs


def _inline(
    code: Code, function: ast.FunctionDef, passed: set[str], calls: list[ast.Call]
) -> list[Knob]:
    """Named literals inside a function: defaults that no caller overrides, and arguments passed by name.

    Much of the ancestor's gain came from such ones (the weight decay of single groups, the rotary base). Only
    names that mean something in this field count.
    """
    found: list[tuple[str, ast.expr]] = []
    arguments = function.args.args[len(function.args.args) - len(function.args.defaults) :]
    for argument, default in zip(arguments, function.args.defaults, strict=True):
        if argument.arg not in passed:
            found.append((argument.arg, default))
    for call in calls:
        found += [(k.arg, k.value) for k in call.keywords if k.arg]
    knobs: list[Knob] = []
    counts: dict[str, int] = {}
    for name, value in found:
        if not _is_literal(value):
            continue
        text = code.text(value)
        kind = classify_known(name, text)
        if kind and kind.name in INLINE_KINDS:
            counts[name] = counts.get(name, 0) + 1
            label = f"{function.name}.{name}#{counts[name]}"
            knobs.append(Knob(label, text, kind, *code.span(value), INLINE * kind.weight, True))
    return knobs


def _calls_by_function(code: Code) -> defaultdict[int, list[ast.Call]]:
    """The calls inside each function (by its id), in the order of the file."""
    calls: defaultdict[int, list[ast.Call]] = defaultdict(list)
    for call in code.find(ast.Call):
        function = code.function_of(call)
        if function is not None:
            calls[id(function)].append(call)
    return calls


def _passed(code: Code) -> dict[str, set[str]]:
    """Function's name -> arguments that some caller passes by name."""
    passed: dict[str, set[str]] = {}
    for call in code.find(ast.Call):
        function = call.func
        if isinstance(function, (ast.Name, ast.Attribute)):
            name = function.id if isinstance(function, ast.Name) else function.attr
            passed.setdefault(name, set()).update(k.arg for k in call.keywords if k.arg)
    return passed


def _literals(code: Code, name: str, value: ast.expr) -> list[Knob]:
    """The literals inside a constant's value, each under its own name."""
    if isinstance(value, (ast.Tuple, ast.List)):
        items = [(f"{name}[{index}]", item) for index, item in enumerate(value.elts)]
        if any(isinstance(item, (ast.Tuple, ast.List)) for item in value.elts):
            return []  # a table of coefficients
    elif isinstance(value, ast.Dict):
        items = [
            (f"{name}[{key.value!s}]", item)
            for key, item in zip(value.keys, value.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, (str, int))
        ]
    elif isinstance(value, ast.Call):
        items = [(f"{name}.{k.arg}", k.value) for k in value.keywords if k.arg]
    else:
        text = code.text(value)
        kind = classify(name, text) if _is_literal(value) else None
        return [Knob(name, text, kind, *code.span(value), kind.weight)] if kind else []
    return [knob for inner, item in items for knob in _literals(code, inner, item)]


def _is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _is_literal(node.operand)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _is_literal(node.left) and _is_literal(node.right)
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str))
