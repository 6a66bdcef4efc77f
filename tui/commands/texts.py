"""Text that a person hands to a command: read from a file, within bounds, with one sentence for each thing that can be off."""

from __future__ import annotations

from pathlib import Path


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
