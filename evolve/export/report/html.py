"""Markup from plain text, the only way in which a report is written. Pure.

Text is hostile: titles, reasons, logs and diffs come from candidates and models. Whatever is no `Markup` is escaped, and
characters that a page cannot hold, or that change how the rest reads, are shown as a replacement mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_VOID = frozenset({"br", "hr", "input", "link", "meta"})
# Control characters, direction overrides, invisible ones, lone surrogates and noncharacters.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
MOST = 4000  # characters of one text, unless somebody asks for more

Child = str | None  # plain text, which is escaped, or `Markup`
Attribute = str | int | float | bool | None


class Markup(str):
    """HTML that is complete: only `tag`, `join` and `trusted` make it."""

    __slots__ = ()


def plain(text: str, most: int = MOST) -> str:
    """`text` with replacement marks for what must not be on a page, cut to `most` characters with an ellipsis."""
    cut = text if len(text) <= most else f"{text[:most]}…"
    return _HIDDEN.sub("\ufffd", cut.replace("\r\n", "\n"))


def escaped(text: str, most: int = MOST) -> Markup:
    """Plain text as markup, safe between tags and inside of quoted attributes."""
    return Markup(plain(text, most).translate(_SPECIAL))


def trusted(text: str) -> Markup:
    """Markup of our own making: our style sheet, our script, a figure by one of our writers."""
    return Markup(text)


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element. `class_` is class, `data_id` is data-id; True is a bare attribute, None and False leave one out."""
    opened = f"<{name}{''.join(_attribute(k, v) for k, v in attributes.items())}>"
    if name in _VOID:
        return Markup(opened)
    return Markup(f"{opened}{join(children)}</{name}>")


def join(children: Iterable[Child], between: str = "") -> Markup:
    """Several things after each other."""
    return Markup(between.join(c if isinstance(c, Markup) else escaped(c) for c in children if c))


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Child]],
    *,
    numbers: Sequence[int] = (),
    name: str = "",
) -> Markup:
    """A table with a caption that scrolls by itself where it is too wide; `numbers`: the columns set to the right.

    The first cell of each row names the row.
    """
    right = frozenset(numbers)

    def cells(row: Sequence[Child]) -> Markup:
        made = [
            tag(
                "td" if place else "th",
                cell,
                scope=None if place else "row",
                class_="n" if place in right else None,
            )
            for place, cell in enumerate(row)
        ]
        return tag("tr", *made)

    head = tag(
        "tr",
        *(
            tag("th", title, scope="col", class_="n" if place in right else None)
            for place, title in enumerate(heads)
        ),
    )
    body = tag("tbody", *(cells(row) for row in rows))
    inner = tag("table", tag("caption", caption), tag("thead", head), body, class_=name or None)
    return tag("div", inner, class_="wide", tabindex=0, role="region", aria_label=caption)


def section(name: str, title: str, *children: Child) -> Markup:
    """A section with its heading; `name` is what links lead to."""
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, *children, id=name, aria_labelledby=f"{name}-title")


def paragraph(text: Child, name: str = "") -> Markup:
    """A paragraph."""
    return tag("p", text, class_=name or None)


def bar(start: float, end: float, words: str, name: str = "") -> Markup:
    """A bar from `start` to `end`, shares of its cell (0…1), with its meaning in words for those who do not see it."""
    left, right = sorted((min(1.0, max(0.0, start)), min(1.0, max(0.0, end))))
    shape = tag(
        "rect",
        x=f"{100 * left:.2f}",
        y=1,
        width=f"{max(0.6, 100 * (right - left)):.2f}",
        height=8,
        class_=name or None,
    )
    return tag(
        "svg",
        shape,
        class_="bar",
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        role="img",
        aria_label=words,
    )


def link(number: int) -> Markup:
    """`#17`, leading to that candidate."""
    return tag("a", f"#{number}", href=f"#c{number}")


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    key = name.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{escaped(str(value), 20_000)}"'
