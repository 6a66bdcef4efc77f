"""The keys of the language models: taken out of the engine's environment, kept in its memory, and nowhere else.

Whoever starts an engine gives it keys as variables, for there is no better way that every shell knows. From the moment
at which its clients are built no child can inherit them, and no process of the same user can read them.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from harness.environment import DOWNLOADS, credentials_in, wipe
from harness.process import become_trusted

# What the client reads for itself at each call, and no child gets.
_NEEDED = (DOWNLOADS - {"HF_TOKEN"}) | {"ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS"}


class Credentials:
    """What an engine was given. `repr` shows nothing of it."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """`environ`: os.environ for the process of an engine, or a copy, which leaves the caller's own alone."""
        self._environ = environ
        self._kept: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        """The credential of this variable, or None. Once asked for, it is in the environment no more."""
        if name in self._environ:
            self._take((name,))
        return self._kept.get(name) or None

    def withdraw(self) -> None:
        """Take whatever looks like a credential out of the environment, whoever it is for."""
        found = credentials_in(self._environ)
        self._take(tuple(name for name in found if name not in _NEEDED))

    def _take(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._kept[name] = self._environ.pop(name)
        if self._environ is os.environ and names:
            wipe(names)


def own() -> Credentials:
    """Those of this very process, which is an engine from now on: nobody else may look inside it."""
    become_trusted()
    return Credentials(os.environ)
