"""Rejects a proposal before it costs a second of training, and says when two versions are the same code.

Everything is read off the syntax tree; nothing is imported or run. This is a courtesy and a fence against
accidents, not a wall: the wall is the harness, which gives a candidate no network, no files and no targets.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from evolve.propose.lint import lint, ruff_executable
from evolve.propose.policy import (
    ALLOWED_MODULES,
    ALLOWED_OF,
    FORBIDDEN_ATTRIBUTES,
    FORBIDDEN_CALLS,
    FORBIDDEN_DOTTED,
    FORBIDDEN_NAMES,
    MAX_BYTES,
    MAX_ITEMS,
    MAX_LINES,
    MAX_LITERAL,
    REQUIRED_CALLS,
)
from evolve.propose.spans import parsed
from evolve.syntax import parse

_SEEDING = frozenset({"manual_seed", "manual_seed_all", "seed"})
_BLOCKS = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.If, ast.For, ast.While, ast.With, ast.Try, ast.ExceptHandler),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason not to train a proposal."""

    kind: str  # "syntax", "import", "call", "contract", "size", "literal", "lint"
    what: str  # in words, without the place
    line: int = 0  # 1 for the first; 0 when it has no place

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" if self.line else self.what


def vet(source: str, parent_sources: Sequence[str] = ()) -> list[Problem]:
    """What speaks against training `source`; empty when nothing does.

    What a parent already does, its child may go on doing: a workspace whose own train.py uses another package
    stays workable, and only additions are judged.
    """
    inherited = {problem.what for parent in parent_sources for problem in _examine(parent)}
    return [problem for problem in _examine(source) if problem.what not in inherited]


@lru_cache(maxsize=64)
def normalise(source: str) -> str:
    """The code without comments, docstrings, layout and seeds: what makes two versions the same experiment.

    Seeds belong to the harness, so another literal in `manual_seed(…)` or a constant named SEED is no new idea.
    Raises SyntaxError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # an odd escape in a string is no fault
        tree = parse(source)
    for node in ast.walk(tree):
        _strip(node)
    return ast.unparse(tree)


def code_hash(source: str) -> str:
    """SHA-256 (64 hex digits) of the normalised code. Raises SyntaxError."""
    return hashlib.sha256(normalise(source).encode()).hexdigest()


# ---- examination ---------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _examine(source: str) -> tuple[Problem, ...]:
    size = tuple(_size(source))
    if size:
        return size
    try:
        code = parsed(source)
        normalise(source)
    except SyntaxError as error:
        return (Problem("syntax", f"it is not valid Python: {error.msg}", error.lineno or 0),)
    except (ValueError, RecursionError, MemoryError) as error:
        # A NUL byte, or nesting beyond Python's depth.
        return (Problem("syntax", f"Python cannot parse it: {error}"),)
    return (
        *_imports(code.nodes),
        *_calls(code.nodes),
        *_literals(code.nodes),
        *_contract(code.nodes),
        *(Problem("lint", what, line) for what, line in lint(source, ruff_executable())),
    )


def _size(source: str) -> Iterator[Problem]:
    size, lines = len(source.encode(errors="surrogatepass")), source.count("\n") + 1
    if size > MAX_BYTES:
        yield Problem("size", f"it has {size:,} bytes, more than {MAX_BYTES:,}")
    if lines > MAX_LINES:
        yield Problem("size", f"it has {lines:,} lines, more than {MAX_LINES:,}")


def _imports(nodes: Sequence[ast.AST]) -> Iterator[Problem]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield Problem("import", "it imports relative to a package", node.lineno)
                continue
            module = node.module or ""
            yield from _import(module, node.lineno)
            for alias in node.names:
                yield from _member(module, alias.name, node.lineno)


def _import(module: str, line: int) -> Iterator[Problem]:
    root = module.partition(".")[0]
    if root not in ALLOWED_MODULES:
        yield Problem("import", f"it imports {root}, which a candidate may not", line)
    elif module in FORBIDDEN_DOTTED:
        yield Problem("import", f"it imports {module}, which a candidate may not", line)


def _member(module: str, name: str, line: int) -> Iterator[Problem]:
    """`module.name` or `from module import name`."""
    dotted = f"{module}.{name}"
    allowed = ALLOWED_OF.get(module)
    if (
        dotted in FORBIDDEN_DOTTED
        or (allowed is not None and name not in allowed)
        or (module == "prepare" and name.startswith("_"))
    ):
        yield Problem("call", f"it uses {dotted}, which a candidate may not", line)


def _calls(nodes: Sequence[ast.AST]) -> Iterator[Problem]:
    modules = _module_names(nodes)
    for node in nodes:
        if isinstance(node, ast.Attribute):
            if node.attr in FORBIDDEN_ATTRIBUTES:
                yield Problem("call", f"it touches {node.attr}", node.lineno)
            root, _, rest = _dotted(node.value).partition(".")
            module = ".".join(filter(None, (modules.get(root, ""), rest)))
            if root in modules:
                yield from _member(module, node.attr, node.lineno)
                if module == "prepare" and not isinstance(node.ctx, ast.Load):
                    yield Problem("call", "it changes the module prepare", node.lineno)
        elif isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            yield Problem("call", f"it uses {node.id}(), which a candidate may not", node.lineno)
        elif isinstance(node, ast.Call):
            yield from _call(node)


def _call(node: ast.Call) -> Iterator[Problem]:
    if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
        yield Problem("call", f"it uses {node.func.id}(), which a candidate may not", node.lineno)
    if _called(node) == "make_dataloader":
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if any(isinstance(a, ast.Constant) and a.value == "val" for a in arguments):
            yield Problem("call", "it reads the validation rows itself", node.lineno)


def _module_names(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """Local name -> module, for `import x.y as z` and for submodules of torch."""
    names: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    names[alias.asname] = alias.name
                else:
                    names[alias.name.partition(".")[0]] = alias.name.partition(".")[0]
    return names


def _dotted(node: ast.expr) -> str:
    """`torch.utils` for that expression, "" for anything that is not a plain chain of names."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def _literals(nodes: Sequence[ast.AST]) -> Iterator[Problem]:
    """Weights or text smuggled in as a literal: nothing that a training script needs is that long."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
            if len(node.value) > MAX_LITERAL:
                yield Problem(
                    "literal",
                    f"a literal of {len(node.value):,} characters, more than {MAX_LITERAL:,}",
                    node.lineno,
                )
        elif isinstance(node, (ast.List, ast.Tuple, ast.Set)) and len(node.elts) > MAX_ITEMS:
            yield Problem(
                "literal",
                f"a literal of {len(node.elts):,} items, more than {MAX_ITEMS:,}",
                node.lineno,
            )


def _contract(nodes: Sequence[ast.AST]) -> Iterator[Problem]:
    imported = any(
        (isinstance(node, ast.ImportFrom) and node.module == "prepare")
        or (isinstance(node, ast.Import) and any(a.name == "prepare" for a in node.names))
        for node in nodes
    )
    if not imported:
        yield Problem("contract", "it does not import from prepare")
    called = {_called(node) for node in nodes if isinstance(node, ast.Call)}
    for name in REQUIRED_CALLS:
        if name not in called:
            yield Problem("contract", f"it never calls {name}")


# ---- normal form ---------------------------------------------------------------------------------------


def _strip(node: ast.AST) -> None:
    """Drop docstrings and other bare strings from a block; set every seed to 0."""
    if isinstance(node, (ast.Module, *_BLOCKS)):
        body = [statement for statement in node.body if not _is_string(statement)]
        if body or isinstance(node, ast.Module):
            node.body = body
        else:
            node.body = [ast.Pass()]  # it held only a docstring, and must not end up empty
    if isinstance(node, (ast.If, ast.For, ast.While, ast.Try)):
        node.orelse = [statement for statement in node.orelse if not _is_string(statement)]
    if isinstance(node, ast.Call):
        if _called(node) in _SEEDING:
            node.args = [_zero(argument) for argument in node.args]
        for keyword in node.keywords:
            if keyword.arg == "seed":
                keyword.value = _zero(keyword.value)
    elif isinstance(node, ast.Assign) and all(map(_is_seed, node.targets)):
        node.value = _zero(node.value)


def _is_seed(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.upper().endswith("SEED")


def _is_string(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _zero(node: ast.expr) -> ast.expr:
    return ast.Constant(0) if isinstance(node, ast.Constant) else node
