"""Every view as text, at three sizes and once in ASCII, on the shipped recording at one moment.

What is stored in `snapshots/` is what a person sees. After a wanted change: `python -m tests.tui.test_snapshots --write`,
and look at the difference in git.
"""

from __future__ import annotations

import asyncio
import difflib
import sys
from pathlib import Path

import pytest

from tests.tui.screenshots import FOLDER, PICTURES, bare, shoot
from tests.tui.stage import MOMENT, stage
from tui.keys import VIEWS

STORED = Path(__file__).parent / "snapshots"
SIZES = {"60x20": (60, 20), "80x24": (80, 24), "120x40": (120, 40), "80x24-ascii": (80, 24)}
WRITE = "python -m tests.tui.test_snapshots --write"


async def views(name: str) -> dict[str, str]:
    """Every view's text at one size, by the name of its file."""
    async with stage(SIZES[name], MOMENT, ascii_only=name.endswith("ascii")) as staged:
        found = {}
        for number, view in enumerate(VIEWS, 1):
            await staged.press(str(number))
            found[f"{view}-{name}.txt"] = staged.text()
        return found


@pytest.mark.parametrize("name", SIZES)
async def test_the_screens_are_those_that_are_stored(name: str) -> None:
    shown = await views(name)
    wrong = []
    for file, text in shown.items():
        path = STORED / file
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        wrong += difflib.unified_diff(
            before.splitlines(), text.splitlines(), f"stored {file}", f"shown {file}", lineterm=""
        )
    assert not wrong, "\n".join([*wrong, f"If that is as it should be: {WRITE}"])
    if name.endswith("ascii"):
        assert all(text.isascii() for text in shown.values())


def test_no_snapshot_is_left_over() -> None:
    files = {f"{view}-{name}.txt" for view in VIEWS for name in SIZES}
    assert {path.name for path in STORED.iterdir()} == files


async def test_a_picture_is_the_same_twice_small_and_asks_for_nothing_from_elsewhere() -> None:
    picture = next(picture for picture in PICTURES if picture.name == "live-80x24")
    svg = await shoot(picture)
    assert svg == await shoot(picture)
    assert "@font-face" not in svg
    assert svg.count("http") == svg.count("http://www.w3.org/") + svg.count(
        "https://www.textualize.io"
    )
    assert "url(http" not in svg
    assert bare(svg) == svg


def test_every_view_has_a_picture_that_is_small_enough_for_a_page() -> None:
    for picture in PICTURES:
        path = FOLDER / f"{picture.name}.svg"
        assert path.stat().st_size <= 100 << 10, path
    assert {"live", "population", "lineage", "diff", "tune"} <= {p.name for p in PICTURES}


async def _write() -> None:
    STORED.mkdir(exist_ok=True)
    for path in STORED.glob("*.txt"):
        path.unlink()
    for name in SIZES:
        for file, text in (await views(name)).items():
            (STORED / file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"usage: {WRITE}")
    asyncio.run(_write())
