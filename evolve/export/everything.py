"""All of a run as one folder: every kind of export, what shaped the search, how to reproduce it, and sums of every file.

Whatever stands in the registry comes along by itself; all of it is of the one instant that was gathered. What cannot be made
here (a figure without matplotlib, a script without git) is named in README.md with the reason instead.
"""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING

from evolve.export.escaping import utf8
from evolve.export.overview import Entry, overview
from evolve.export.registry import KINDS, Form, Kind
from evolve.export.saving import SUMS
from evolve.model import EvolveError, Passing
from evolve.provenance import scrubber
from evolve.text import one_line
from evolve.toml_text import flat

if TYPE_CHECKING:
    from evolve.export.gather import Gathered

# The same once more, in a form for other purposes; who wants it asks for it.
_TWICE = frozenset({("results", ".jsonl"), ("data", ".jsonl"), ("lineage", ".gv")})
_NAMES = {("best", ".py"): "train.py"}
_PROGRAM = 1 << 20  # bytes of program.md that come along
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass
class _Folder:
    """The folder as it grows."""

    gathered: Gathered
    path: Path
    entries: list[Entry] = field(default_factory=list)

    def export(self, kind: Kind, form: Form) -> None:
        """One form of one kind, or the reason why there is none."""
        name = _NAMES.get((kind.name, form.suffix), f"{kind.name}{form.suffix}")
        place = self.path / name
        about = f"{kind.about}: {form.about}"
        try:
            if form.is_folder:
                place.mkdir()
                form.load()(self.gathered, place)
            else:
                with place.open("xb") as file:
                    form.load()(self.gathered, file)
        except Passing:  # a full disk: there is no use in going on
            raise
        except EvolveError as error:
            _remove(place)
            self.entries.append(Entry(name, about, missing=str(error)))
            return
        self.entries.append(Entry(name + "/" * form.is_folder, about))

    def text(self, name: str, text: str) -> None:
        """A file of text, without credentials."""
        place = self.path / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(utf8(scrubber(self.gathered.journal)(text)))


def write_folder(gathered: Gathered, path: Path) -> None:
    """Fill a fresh folder. Raises what the system raises when it cannot be written."""
    folder = _Folder(gathered, path)
    for kind in KINDS:
        if kind.name != "all":
            for form in kind.forms:
                if (kind.name, form.suffix) not in _TWICE:
                    folder.export(kind, form)
    for write in (_program, _settings, _prompts, _scratchpads):
        write(folder)
    (path / "README.md").write_bytes(utf8(overview(gathered, folder.entries)))
    (path / SUMS).write_text(_sums(path), encoding="utf-8")


# ---- what shaped the search ----------------------------------------------------------------------------------


def _program(folder: _Folder) -> None:
    """The journal does not keep program.md by itself, so it comes as it is now; prompts in the data hold older ones."""
    gathered = folder.gathered
    about = "the directions of research, as they are in the workspace now"
    if gathered.workspace is None:
        folder.entries.append(Entry("program.md", about, missing="There is a journal alone here."))
        return
    name = str(gathered.run.settings.get("workspace", {}).get("program", "program.md"))
    place = (gathered.workspace / name).resolve()
    try:
        if not place.is_relative_to(gathered.workspace.resolve()) or not place.is_file():
            raise FileNotFoundError
        with place.open("rb") as file:
            text = file.read(_PROGRAM).decode("utf-8", "replace")
    except OSError:
        missing = f"The workspace has no {one_line(name, 80)} that can be read."
        folder.entries.append(Entry("program.md", about, missing=missing))
        return
    folder.text("program.md", text)
    folder.entries.append(Entry("program.md", about))


def _settings(folder: _Folder) -> None:
    """Every setting in force, those that people changed while it ran with who and when."""
    gathered = folder.gathered
    began = flat(gathered.run.settings)
    changed = {change.key: change for change in gathered.setting_changes()}
    lines = [
        f"# Every setting of the run {one_line(gathered.run.name)} in force at the export. The values are those that the run began with",
        "# (defaults, its profile, the settings file and the command line together) unless a line says who changed them.",
    ]
    for key, value in sorted(gathered.settings.items()):
        if (change := changed.get(key)) is not None:
            when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(change.time))
            first = one_line(began.get(key, "not set"), 60)
            lines.append(f"# {one_line(change.who, 60)}, {when}, from #{change.applied_from} on; at the start {first}")  # fmt: skip
        lines.append(f"{_dotted(key)} = {value}")
    folder.text("autoresearch.toml", "\n".join(lines) + "\n")
    folder.entries.append(
        Entry("autoresearch.toml", "every setting in force, and who changed which")
    )


def _prompts(folder: _Folder) -> None:
    found = folder.gathered.prompts()
    for template in found:
        folder.text(f"prompts/{_plain(template.operator)}-{_plain(template.version)}.md", template.text)  # fmt: skip
    if found:
        about = "every version of every prompt's template that was in force, by the first digits of its SHA-256"
        folder.entries.append(Entry("prompts/", about))


def _scratchpads(folder: _Folder) -> None:
    found = folder.gathered.scratchpads()
    for at, note in enumerate(found, 1):
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(note.time))
        head = (
            f"<!-- {when}, by {_plain(note.who)}, after {note.settled} children with a verdict -->"
        )
        folder.text(f"scratchpad/{at:04d}.md", f"{head}\n{note.text}\n")
    if found:
        about = "every version of what the search had learned, oldest first"
        folder.entries.append(Entry("scratchpad/", about))


# ---- private -------------------------------------------------------------------------------------------------


def _dotted(key: str) -> str:
    """A key of the journal as one of TOML: what follows the second dot is one name, whatever is in it."""
    parts = key.split(".", 2)
    return ".".join(p if _BARE.fullmatch(p) else _quoted(p) for p in parts)


def _quoted(name: str) -> str:
    inner = one_line(name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


def _plain(word: str) -> str:
    """As part of a file's name or of a comment."""
    return re.sub(r"[^\w.@ +]|--+", "_", one_line(word, 60)).lstrip(".") or "_"


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _sums(path: Path) -> str:
    """As `sha256sum` writes and `sha256sum --check` reads them."""
    return "".join(
        f"{_sum(file)}  {file.relative_to(path).as_posix()}\n"
        for file in sorted(path.rglob("*"))
        if file.is_file()
    )


def _sum(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
