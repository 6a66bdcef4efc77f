"""What a prompt's template may and must contain, how it is filled in, and its version.

Pure. Settings, steering and commands check a person's template here before anything is made from it.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping

from evolve.model import Operator, UsageError
from evolve.propose.templates import INTENTS, SCRATCHPAD, TEMPLATES
from evolve.text import one_line

LIMIT = 20_000  # characters of a person's template

BUILT_IN: dict[str, str] = {
    **{str(name): text for name, text in TEMPLATES.items()},
    SCRATCHPAD[0]: SCRATCHPAD[1],
}
_FACTS = frozenset({"parents", "history", "scratchpad", "script", "budget", "sigma"})
_CHILD = _FACTS | {"direction", "recommendation"}
ALLOWED: dict[str, frozenset[str]] = {
    "mutate": _CHILD,
    "tune": _CHILD,
    "rewrite": _CHILD | {"intent"},
    "crossover": _CHILD | {"ancestor"},
    "repair": _CHILD | {"traceback"},
    "scratchpad": _FACTS,
}
REQUIRED: dict[str, frozenset[str]] = {
    "mutate": frozenset({"parents"}),
    "tune": frozenset({"parents"}),
    "rewrite": frozenset({"parents"}),
    "crossover": frozenset({"parents"}),
    "repair": frozenset({"parents", "traceback"}),
    "scratchpad": frozenset({"scratchpad", "history"}),
}
# What each placeholder stands for, for people.
MEANING: dict[str, str] = {
    "parents": "the parents with their figures, main's beside them, and their code",
    "history": "what counts as a gain, the nearest attempts, what was refused unseen, dead ends",
    "scratchpad": "what the search has learned so far",
    "recommendation": "one recommendation of the scratchpad, drawn anew for each child",
    "direction": "what a child is pointed at: attention, schedule, …, drawn anew for each child",
    "intent": "one of the five intents of a rewrite",
    "ancestor": "what both parents changed since their common ancestor",
    "traceback": "what the crashed version left behind, quoted",
    "script": "the name of the file that evolves",
    "budget": "the budget and the device in words",
    "sigma": "the measured noise of one training in bits per byte",
}

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


def validate_template(operator: str, text: str) -> None:
    """Check a person's template. Raises UsageError that names what is missing or unknown, with the nearest word."""
    if operator not in BUILT_IN:
        raise UsageError(
            f"“{one_line(str(operator), 40)}” has no template; there are {', '.join(BUILT_IN)}."
        )
    if len(text) > LIMIT:
        raise UsageError(
            f"The template [prompts] {operator} has {len(text):,} characters; {LIMIT:,} are the most."
        )
    found, allowed = names_in(text), ALLOWED[operator]
    if unknown := sorted(found - allowed):
        close = difflib.get_close_matches(unknown[0].lower(), sorted(allowed), 1, 0.5)
        hint = f"; did you mean {{{close[0]}}}?" if close else "."
        words = ", ".join(f"{{{name}}}" for name in sorted(allowed))
        raise UsageError(
            f"The template [prompts] {operator} has, in line {_line_of(unknown[0], text)}, an unknown placeholder "
            f"{{{one_line(unknown[0], 40)}}}{hint} "
            f"It may use {words}."
        )
    if missing := sorted(REQUIRED[operator] - found):
        raise UsageError(
            f"The template [prompts] {operator} lacks {{{missing[0]}}}, without which the model sees no "
            f"{missing[0]}; add it."
        )


def _line_of(name: str, template: str) -> int:
    """The number of the line in which a placeholder stands first."""
    return template[: template.index(f"{{{name}}}")].count("\n") + 1


def in_force(operator: str, templates: Mapping[str, str]) -> str:
    """The template that counts: a person's, checked, else the built-in one. Raises UsageError."""
    own = templates.get(operator, "")
    if own or operator not in BUILT_IN:
        validate_template(operator, own)
    return own or BUILT_IN[operator]


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values in, once: what they contain is never taken for a placeholder."""
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], template)


def without_empty(template: str, values: Mapping[str, str]) -> str:
    """`template` without the lines that would hold an empty value and nothing else."""
    for name in (name for name, value in values.items() if not value):
        template = re.sub(rf"(\A|\n\n)\{{{name}\}}\n\n", r"\1", template)
        template = re.sub(rf"^\{{{name}\}}\n", "", template, flags=re.MULTILINE)
    return template


def names_in(template: str) -> frozenset[str]:
    """The placeholders of a template."""
    return frozenset(_PLACEHOLDER.findall(template))


def prompt_version(template: str) -> str:
    """The first 12 hex digits of a template's SHA-256."""
    return hashlib.sha256(template.encode()).hexdigest()[:12]


def variants(operator: str, template: str) -> tuple[str, ...]:
    """The texts that are versioned: a rewrite's template once for each intent that it may be given."""
    if operator != Operator.REWRITE or "{intent}" not in template:
        return (template,)
    return tuple(template.replace("{intent}", told) for told in INTENTS.values())


def versions_in_force(templates: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    """(version, operator, text) of every template that a prompt may now be made from. Raises UsageError."""
    return tuple(
        (prompt_version(text), operator, text)
        for operator in BUILT_IN
        for text in variants(operator, in_force(operator, templates))
    )
