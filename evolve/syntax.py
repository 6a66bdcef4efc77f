"""Python's own parser, one thread at a time: the only door to it in the engine.

CPython before 3.11.8 and 3.12.2 counts how deep it is in one place for all threads, and a proposer's thread beside the
engine's then ends in a SystemError (python/cpython#106905).
"""

from __future__ import annotations

import ast
import threading

_one_at_a_time = threading.Lock()


def parse(source: str) -> ast.Module:
    """The syntax tree of a source. Raises SyntaxError, ValueError, RecursionError or MemoryError like `ast.parse`."""
    with _one_at_a_time:
        return ast.parse(source)
