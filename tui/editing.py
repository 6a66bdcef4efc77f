"""A person's own editor on a text: opens it on a copy, waits, and brings the text back.

One way for the commands and the app. What was written is never lost: the copy stays until its owner discards it, and
every fault says where it is. Nothing here draws or talks to an engine; the app suspends itself around `edited`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evolve.model import EvolveError, UsageError


@dataclass(frozen=True, slots=True)
class Draft:
    """A text as it came back from the editor, and the file that still holds it."""

    text: str
    path: Path

    def discard(self) -> None:
        """The text has arrived where it belongs, or nobody wants it."""
        self.path.unlink(missing_ok=True)


def editor(environ: Mapping[str, str]) -> str:
    """The command of the person's editor, `$VISUAL` before `$EDITOR`; empty when neither names one."""
    return environ.get("VISUAL") or environ.get("EDITOR") or ""


def edited(before: str, *, name: str, suffix: str, most: int, what: str) -> Draft | None:
    """Open the editor on a copy of `before` and return what was saved, or None when nothing was changed.

    `name` and `suffix` are of the copy's file; `what` it is, in words, and how many bytes it may have (`most`). Raises
    UsageError without an editor or when the text is too long or not UTF-8, EvolveError when the editor failed.
    """
    path = keep(before, name, suffix).path
    try:
        open_editor(path)
    except UsageError:  # nobody has seen the copy
        path.unlink()
        raise
    except EvolveError as error:
        raise EvolveError(f"{error} Your text is in {path}.") from None
    text = _read(path, most, what)
    if text == before:
        path.unlink()
        return None
    return Draft(text, path)


def keep(text: str, name: str, suffix: str) -> Draft:
    """Put a text into a file of its own, which only this person can read."""
    handle, place = tempfile.mkstemp(prefix=f"{name}-", suffix=suffix)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return Draft(text, Path(place))


def open_editor(path: Path) -> None:
    """Open the person's editor on a file and wait for its end.

    Raises UsageError when there is no editor, EvolveError when it ended with a fault.
    """
    command = editor(os.environ)
    if not command:
        raise UsageError("Neither VISUAL nor EDITOR names an editor; set one, such as EDITOR=nano.")
    try:
        code = subprocess.run([*shlex.split(command), str(path)], check=False).returncode
    except (FileNotFoundError, PermissionError):
        raise UsageError(f"There is no editor {command}; set EDITOR to one.") from None
    if code != 0:
        raise EvolveError(f"{command} ended with {code}, so nothing was changed.")


def _read(path: Path, most: int, what: str) -> str:
    from tui.commands.texts import read_text

    try:
        return read_text(path, most, what)
    except UsageError as error:
        raise UsageError(f"{error} Your text is in {path}.") from None
