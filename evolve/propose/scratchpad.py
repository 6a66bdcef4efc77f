"""The scratchpad: what a search has learned, in three sections of Markdown, read strictly and written in one form.

Pure. The idea is ShinkaEvolve's meta scratchpad (arXiv 2509.19349, `core/summarizer.py`): every so many children a
model sums up, draws insights and recommends; one recommendation goes into each prompt. Here a person may edit it too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evolve.model import UsageError
from evolve.text import one_line, paragraphs
from harness.process import clean

LIMIT = 6000  # characters of the whole
RECOMMENDATIONS = 5
SECTIONS = ("Summary", "Insights", "Recommendations")

_HEADING = re.compile(r"#{1,6}\s*\**\s*(\w+)\s*\**:?\s*$")
_ITEM = re.compile(r"\s{0,3}(?:[-*•]|\d{1,2}[.)])\s+(.*)$")


class Malformed(UsageError):
    """A text that is no scratchpad; says what is missing."""


@dataclass(frozen=True, slots=True)
class Scratchpad:
    """What the search has learned."""

    summary: str  # one paragraph
    insights: tuple[str, ...]  # one line each
    recommendations: tuple[str, ...]  # one line each, at most five

    def __str__(self) -> str:
        """The form in which it is kept, shown and edited."""
        advice = "\n".join(f"{n}. {line}" for n, line in enumerate(self.recommendations, 1))
        return f"{self.learned()}\n\n# Recommendations\n\n{advice}\n"

    def learned(self) -> str:
        """Summary and insights: what every prompt of a language model holds."""
        lines = "\n".join(f"- {line}" for line in self.insights)
        return f"# Summary\n\n{self.summary}\n\n# Insights\n\n{lines}"


def parse(text: str) -> Scratchpad:
    """Read a scratchpad. Raises Malformed when a section is missing, doubled or empty, or when it is too long.

    What stands before the first section is left out: models like to announce what they send.
    """
    if len(text) > 4 * LIMIT:
        raise Malformed(f"a scratchpad has at most {LIMIT:,} characters, this has {len(text):,}")
    found = _sections(paragraphs(clean(text)))
    if missing := [name for name in SECTIONS if name not in found]:
        raise Malformed(f"the section “# {missing[0]}” is missing")
    if list(found) != list(SECTIONS):
        raise Malformed(f"the sections must stand in the order {', '.join(SECTIONS)}")
    # Bare text, so that what is kept reads as it was read.
    summary = one_line(" ".join(found["Summary"])).lstrip("#`*- ")
    advice = _items(found["Recommendations"], "Recommendations")
    if not summary:
        raise Malformed("the section “# Summary” is empty")
    if not 1 <= len(advice) <= RECOMMENDATIONS:
        raise Malformed(
            f"there are {len(advice)} recommendations; from 1 to {RECOMMENDATIONS} are wanted"
        )
    pad = Scratchpad(summary, _items(found["Insights"], "Insights"), advice)
    if len(str(pad)) > LIMIT:
        raise Malformed(
            f"a scratchpad has at most {LIMIT:,} characters, this has {len(str(pad)):,}"
        )
    return pad


# ---- private ---------------------------------------------------------------------------------------------


def _sections(text: str) -> dict[str, list[str]]:
    """Lines by section, in the order of the text; fences around the whole are left out."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        heading = _HEADING.match(line)
        name = heading.group(1).capitalize() if heading else ""
        if name in SECTIONS:
            if name in found:
                raise Malformed(f"the section “# {name}” is there twice")
            current = found.setdefault(name, [])
        elif heading and found:
            raise Malformed(f"there is no section “{one_line(line, 40)}” in a scratchpad")
        elif not line.lstrip().startswith("```"):
            current.append(line)
    return found


def _items(lines: list[str], section: str) -> tuple[str, ...]:
    """The items of a list; a line that begins none belongs to the one before."""
    items: list[list[str]] = []
    for line in lines:
        item = _ITEM.match(line)
        if item:
            items.append([item.group(1)])
        elif line.strip() and items:
            items[-1].append(line)
        elif line.strip():
            raise Malformed(f"“# {section}” is a list, but begins with “{one_line(line, 40)}”")
    return tuple(text for item in items if (text := one_line(" ".join(item))))
