"""Edits of source text by the exact place of a syntax node, so that comments and layout survive.

Pure text and trees. It decides nothing about what is worth changing.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TypeVar

from evolve.syntax import parse

_Node = TypeVar("_Node", bound=ast.AST)


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the bytes `start`…`end` of the UTF-8 source by `text`."""

    start: int
    end: int
    text: str


class Code:
    """A parsed source with the byte offset of every node. Raises SyntaxError for what does not parse."""

    def __init__(self, source: str) -> None:
        self.source = source
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # an odd escape in a string is no fault
            self.tree = parse(source)
        self._bytes = source.encode()
        self._starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    @cached_property
    def _surveyed(self) -> tuple[list[ast.AST], dict[int, ast.AST]]:
        return _survey(self.tree)

    @property
    def nodes(self) -> list[ast.AST]:
        """All nodes in the order of the source."""
        return self._surveyed[0]

    @property
    def _parents(self) -> dict[int, ast.AST]:
        return self._surveyed[1]

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Byte offsets of a node; a decorated definition begins at its first decorator."""
        assert node.end_lineno is not None  # noqa: S101 - ast.parse always sets it
        assert node.end_col_offset is not None  # noqa: S101
        first: ast.expr | ast.stmt = node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = min([node, *node.decorator_list], key=lambda n: n.lineno)
        start = self._starts[first.lineno - 1] + first.col_offset
        if first is not node:
            start = self._bytes.rindex(b"@", 0, start)
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.expr | ast.stmt) -> str:
        """The source of a node."""
        start, end = self.span(node)
        return self._bytes[start:end].decode()

    def replace(self, node: ast.expr | ast.stmt, text: str) -> Edit:
        """An edit that puts `text` in the place of `node`."""
        return Edit(*self.span(node), text)

    def before(self, node: ast.stmt, text: str) -> Edit:
        """An edit that puts the lines `text` (not indented) in front of a statement, at its indentation."""
        start, _ = self.span(node)
        return Edit(start, start, _indent(text, self.indent(node)).lstrip(" ") + self.indent(node))

    def after(self, node: ast.stmt, text: str) -> Edit:
        """An edit that puts the lines `text` (not indented) behind a statement, at its indentation."""
        _, end = self.span(node)
        newline = self._bytes.find(b"\n", end)
        end = len(self._bytes) if newline < 0 else newline
        return Edit(end, end, "\n" + _indent(text, self.indent(node)).rstrip("\n"))

    def delete(self, node: ast.stmt) -> Edit:
        """An edit that removes the lines of a statement that shares them with no other."""
        start, end = self.span(node)
        newline = self._bytes.find(b"\n", end)
        return Edit(start - node.col_offset, len(self._bytes) if newline < 0 else newline + 1, "")

    def indent(self, node: ast.stmt) -> str:
        """The blanks in front of a statement."""
        return " " * node.col_offset

    def apply(self, edits: Iterable[Edit]) -> str | None:
        """The source with all edits in place, or None when they overlap or the outcome does not parse."""
        ordered = sorted(edits, key=lambda edit: (edit.start, edit.end))
        for left, right in pairwise(ordered):
            if right.start < left.end:
                return None
        text = self._bytes
        for edit in reversed(ordered):
            text = text[: edit.start] + edit.text.encode() + text[edit.end :]
        outcome = text.decode()
        try:
            parsed(outcome)
        except SyntaxError:
            return None
        return outcome

    def find(self, kind: type[_Node], where: ast.AST | None = None) -> Iterator[_Node]:
        """All nodes of one kind below `where` (default: everywhere), in the order of the source."""
        nodes = self.nodes if where is None else _survey(where)[0]
        return (node for node in nodes if isinstance(node, kind))

    def statement_of(self, node: ast.AST) -> ast.stmt | None:
        """The innermost statement that contains a node."""
        current: ast.AST | None = node
        while current is not None and not isinstance(current, ast.stmt):
            current = self._parents.get(id(current))
        return current

    def function_of(self, node: ast.AST) -> ast.FunctionDef | None:
        """The innermost function that contains a node."""
        current = self._parents.get(id(node))
        while current is not None and not isinstance(current, ast.FunctionDef):
            current = self._parents.get(id(current))
        return current


@lru_cache(maxsize=6)
def parsed(source: str) -> Code:
    """The parsed source, kept for the next question about it; nobody changes its tree. Raises SyntaxError."""
    return Code(source)


def _survey(tree: ast.AST) -> tuple[list[ast.AST], dict[int, ast.AST]]:
    """All nodes from the outside in, as the source has them, and each one's parent by its id."""
    nodes: list[ast.AST] = []
    parents: dict[int, ast.AST] = {}
    open_ = [tree]
    while open_:
        node = open_.pop()
        nodes.append(node)
        children = list(ast.iter_child_nodes(node))
        for child in reversed(children):
            parents[id(child)] = node
            open_.append(child)
    return nodes, parents


def _indent(text: str, blanks: str) -> str:
    return "".join(f"{blanks}{line}\n" if line else "\n" for line in text.strip("\n").split("\n"))
