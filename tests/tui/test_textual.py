"""What the app uses of Textual that Textual does not promise: all of it stands here, with where and what for.

A new release of Textual that drops or moves one of these fails here first, by name.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.css.stylesheet import Stylesheet
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen

ROOT = Path(__file__).parents[2]
USED: dict[tuple[type, str], str] = {
    (App, "_driver"): "whether the terminal keeps up, and what is copied",
    (App, "_exit"): "an app that is being left takes no more keys",
    (App, "_fatal_error"): "a fault of the app is a sentence; its traceback goes to a file",
    (App, "_close_messages_no_wait"): "and then it ends",
    (Screen, "_compositor_refresh"): "a view is painted once when it opens",
    (Screen, "_repaint_required"): "and not a second time",
    (LinuxDriver, "_writer_thread"): "frames that wait for a terminal that does not read",
    (LinuxDriver, "_debug"): "for the parser of keys",
    (WriterThread, "_queue"): "those frames",
    (Stylesheet, "_variables"): "rules are parsed once",
}


@cache
def names_in(module: str) -> frozenset[str]:
    """What begins with one underscore in a module: attributes and methods."""
    source = Path(inspect.getfile(importlib.import_module(module))).read_text()
    return frozenset(re.findall(r"(?:self\.|def )(_[a-z]\w*)", source))


def textual_names(kind: type) -> set[str]:
    """Those of the modules of Textual that a class is in or derives from."""
    modules = {base.__module__ for base in kind.__mro__}
    return set[str]().union(*(names_in(m) for m in modules if m.startswith("textual.")))


def our_classes() -> Iterator[type]:
    """Every class of the app."""
    for path in sorted((ROOT / "tui").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if path.name != "__main__.py":
            module = importlib.import_module(name)
            yield from (c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == name)  # fmt: skip


@pytest.mark.parametrize(("owner", "name"), USED)
def test_textual_still_has_it(owner: type, name: str) -> None:
    assert name in textual_names(owner)


def test_the_parser_of_keys_is_fed_text_and_gives_events() -> None:
    parser = XTermParser(False)
    assert [event.key for event in parser.feed("j")] == ["j"]  # type: ignore[attr-defined]
    assert list(parser.tick()) == []


def test_no_class_of_ours_uses_or_hides_another_private_name_of_textual() -> None:
    known = {name for _, name in USED}
    clashes = [
        (kind.__qualname__, name)
        for kind in our_classes()
        for name in names_in(kind.__module__) & textual_names(kind) - known
    ]
    assert clashes == []


def test_nobody_reaches_into_another_object_of_textual() -> None:
    known = {name for _, name in USED}
    found = set[str]()
    for path in (ROOT / "tui").rglob("*.py"):
        source = path.read_text()
        if "textual" in source:
            found.update(re.findall(r"(?<!self)(?<!super\(\))\.(_[a-z]\w*)", source))
    assert found - known == {"_xterm_parser"}
