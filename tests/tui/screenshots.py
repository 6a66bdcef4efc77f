"""Pictures of the app for the docs, made from the shipped recording: `make screenshots`.

The same sources give the same bytes: the clock stands still, the time zone is UTC, and an SVG asks for no font from
anywhere.
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.tui.stage import MOMENT, stage

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
LARGE = (120, 40)
LATE = (28, 12.0)
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


@dataclass(frozen=True)
class Picture:
    """One picture: what is pressed on the way to it."""

    name: str
    keys: tuple[str, ...]
    size: tuple[int, int] = LARGE
    moment: tuple[int, float] = MOMENT  # as `stage` takes it


PICTURES = (
    Picture("live", ("1",)),
    Picture("population", ("2",), moment=LATE),
    Picture("lineage", ("3", *"jjjj"), moment=LATE),  # on what main holds
    Picture("diff", ("2", "g", *"jj", "d"), moment=LATE),
    Picture("tune", ("5",), moment=LATE),
    Picture("live-80x24", ("1",), (80, 24)),
)


def bare(svg: str) -> str:
    """An SVG whose text is set in a font that the reader has; columns keep their width, which each text carries."""
    svg = _FONT_FACE.sub("", svg)
    svg = svg.replace("Fira Code, monospace", FONTS).replace(
        "font-family: arial", f"font-family: {FONTS}"
    )
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


async def shoot(picture: Picture) -> str:
    """The SVG of one picture."""
    async with stage(picture.size, picture.moment) as staged:
        await staged.press(*picture.keys)
        return bare(staged.app.export_screenshot(title="autoresearch"))


def main() -> None:
    """Write the pictures that are named, or all of them."""
    wanted = set(sys.argv[1:]) or {picture.name for picture in PICTURES}
    FOLDER.mkdir(exist_ok=True)
    for picture in PICTURES:
        if picture.name in wanted:
            path = FOLDER / f"{picture.name}.svg"
            path.write_text(asyncio.run(shoot(picture)), encoding="utf-8")
            print(f"{path.relative_to(FOLDER.parents[1])}: {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
