"""Text that a person hands to a command: read from a file, within bounds, with one sentence for each thing that can be off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.orders import Wish

SCRIPT = 1 << 20  # bytes of an injected script
TEMPLATE = 1 << 17  # bytes of a prompt's template; the settings say how many characters it may have
PROMPTS = "prompts."  # what the keys of templates begin with


def enclosed(wish: Wish, folder: Path) -> Wish:
    """The wish with the text of the files that it names, looked for in `folder`. Raises UsageError."""
    args = wish.args
    if wish.name == "inject":
        path = folder / Path(args["source"]).expanduser()
        source = read_text(path, SCRIPT, "a complete train.py")
        return replace(wish, args={"title": path.stem, **args, "source": source})
    if wish.name == "set" and args["key"].startswith(PROMPTS) and args["value"].startswith("@"):
        path = folder / Path(args["value"][1:]).expanduser()
        return replace(wish, args={**args, "value": read_text(path, TEMPLATE, "a template")})
    return wish


def read_text(path: Path, most: int, what: str) -> str:
    """The text of a file of at most `most` bytes; `what` it should be, in words. Raises UsageError."""
    from evolve.model import UsageError

    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f"There is no file {path}; name {what}.") from None
    if len(data) > most:
        raise UsageError(f"{path} is larger than {what} can be ({_size(most)}).")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no UTF-8 text; name {what}.") from None


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
