"""docs/design.md names every module, in the table of its floor, and nothing that is not there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLES = {
    "harness": "The harness, room by room",
    "evolve": "The engine, room by room",
    "tui": "The app, room by room",
}
DOORS = {"__init__.py", "__main__.py"}


def rooms(heading: str) -> list[tuple[list[str], str]]:
    """Of each row of a table: the modules, and what it says of their functions."""
    section = (
        (ROOT / "docs" / "design.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    )
    rows = [row.replace(r"\|", "or").split("|") for row in section.splitlines() if row[:3] == "| `"]
    return [(re.findall(r"`([\w/]+\.py)`", row[1]), row[3]) for row in rows]


@pytest.mark.parametrize("floor", TABLES)
def test_every_module_has_its_place_in_the_design(floor: str) -> None:
    named = [module for modules, _ in rooms(TABLES[floor]) for module in modules]
    there = [p.relative_to(ROOT / floor) for p in (ROOT / floor).rglob("*.py")]
    assert sorted(named) == sorted(str(path) for path in there if path.name not in DOORS)


@pytest.mark.parametrize("floor", TABLES)
def test_the_design_names_no_function_that_is_gone(floor: str) -> None:
    gone = []
    for modules, functions in rooms(TABLES[floor]):
        source = "".join((ROOT / floor / module).read_text() for module in modules)
        for name in re.findall(r"`(?!python )(\w+)[^`]*`", functions):
            if not re.search(rf"\b{name}\b", source):
                gone.append((modules, name))
    assert gone == []
