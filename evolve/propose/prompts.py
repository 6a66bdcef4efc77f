"""Turns a brief into what a language model is sent: rules first, then parents, history and the task.

Pure: the same brief gives the same bytes, and what stays the same between calls stands first, so that it can be
cached. Whatever candidates wrote or printed is cut, fenced and called data. No key, path or validation text comes in.
"""

from __future__ import annotations

import difflib
import hashlib
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from evolve.model import Operator, UsageError
from evolve.propose.history import history_for, table
from evolve.propose.operators import CATEGORIES, Brief, ParentView
from evolve.propose.templates import (
    ALLOWED,
    DIRECTIONS,
    INTENTS,
    PROGRAM,
    REPAIR_REQUEST,
    REQUIRED,
    SYSTEM,
    TEMPLATES,
)
from evolve.text import one_line, paragraphs
from harness.process import clean

LOG = 4096  # characters of a traceback, its end
DIFF = 12_000  # characters of a difference to the ancestor
PROGRAM_LIMIT = 20_000  # characters of program.md
CURVE = 8  # points of a loss curve

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_FOLDERS = re.compile(r"(?<![\w.])~?/(?:[^\s/:\"']+/)+")  # `/tmp/x/` of `/tmp/x/train.py`


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of text; `cached` marks the end of a prefix that other calls share."""

    text: str
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation."""

    role: Literal["user", "assistant"]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent, independent of any SDK."""

    system: tuple[Block, ...]
    messages: tuple[Message, ...]
    version: str  # of the template: 12 hex digits
    focus: str = ""  # the category that a mutation was pointed at, or the intent of a rewrite


def render(operator: Operator, brief: Brief, templates: Mapping[str, str]) -> Prompt:
    """Build the prompt for one child. `templates`: operator's name to a person's own template.

    Raises UsageError when that template has unknown or missing placeholders, or for an operator without a task.
    """
    template = templates.get(str(operator), "")
    if template:
        validate_template(operator, template)
    else:
        template = TEMPLATES[_known(operator)]
    focus, direction = _direction(brief)
    intent, told = "", ""
    if operator is Operator.REWRITE:
        intent, told = random.Random(brief.seed).choice(sorted(INTENTS.items()))  # noqa: S311
        focus = intent
    values = {
        "parents": _parents(brief),
        "history": table(history_for(brief, focus), brief.sigma),
        "direction": direction,
        "intent": told,
        "ancestor": _ancestor(brief),
        "traceback": quoted_log(brief.parents[0].traceback),
        **_facts(brief),
    }
    end = template.index("{parents}") + len("{parents}")
    user = (
        Block(_fill(template[:end], values), cached=True),
        Block(_fill(template[end:], values)),
    )
    used = template.replace("{intent}", told)
    return Prompt(_system(brief), (Message("user", user),), prompt_version(used), focus)


def ask_again(prompt: Prompt, answer: str, fault: str) -> Prompt:
    """The conversation after an answer that could not be applied: what is wrong, and a request for all of it anew."""
    turns = (
        Message("assistant", (Block(answer.strip()),)),
        Message("user", (Block(_fill(REPAIR_REQUEST, {"fault": fault})),)),
    )
    return replace(prompt, messages=prompt.messages + turns)


def validate_template(operator: Operator | str, text: str) -> None:
    """Check a person's template. Raises UsageError that names what is missing or unknown, with the nearest word."""
    operator = _known(operator)
    found, allowed = set(_PLACEHOLDER.findall(text)), ALLOWED[operator]
    if unknown := sorted(found - allowed):
        close = difflib.get_close_matches(unknown[0].lower(), sorted(allowed), 1, 0.5)
        hint = f"; did you mean {{{close[0]}}}?" if close else "."
        words = ", ".join(f"{{{name}}}" for name in sorted(allowed))
        raise UsageError(
            f"The template [prompts] {operator} has an unknown placeholder {{{unknown[0]}}}{hint} It may use {words}."
        )
    if missing := sorted(REQUIRED[operator] - found):
        raise UsageError(
            f"The template [prompts] {operator} lacks {{{missing[0]}}}, without which the model sees no "
            f"{missing[0]}; add it."
        )


def prompt_version(template: str) -> str:
    """The first 12 hex digits of a template's SHA-256."""
    return hashlib.sha256(template.encode()).hexdigest()[:12]


def quoted_log(text: str) -> str:
    """Untrusted output, fit to be shown to a model: cleaned, without folders, cut to its end, fenced and labelled."""
    body = paragraphs(_FOLDERS.sub("", clean(text)))[-LOG:].replace(
        "</untrusted-log", "</ untrusted-log"
    )
    return f"<untrusted-log>\n{body or '(it printed nothing)'}\n</untrusted-log>"


# ---- private ---------------------------------------------------------------------------------------------


def _known(operator: Operator | str) -> Operator:
    if operator not in TEMPLATES:
        raise UsageError(
            f"“{one_line(str(operator), 40)}” has no template; there are {', '.join(TEMPLATES)}."
        )
    return Operator(operator)


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Put values in, once: what they contain is never taken for a placeholder."""
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], template)


def _facts(brief: Brief) -> dict[str, str]:
    return {
        "script": one_line(brief.script, 100),
        "budget": one_line(brief.budget, 200),
        "sigma": f"{brief.sigma:.5f}" if brief.sigma is not None else "not measured yet",
    }


def _system(brief: Brief) -> tuple[Block, ...]:
    """Rules and directions: the same bytes for every call of a run."""
    rules = _fill(SYSTEM, {**_facts(brief), "categories": ", ".join(CATEGORIES)})
    program = paragraphs(brief.program)
    if len(program) > PROGRAM_LIMIT:
        program = program[:PROGRAM_LIMIT] + "\n(cut here: it is too long)"
    blocks = [rules] + ([_fill(PROGRAM, {"program": program})] if program else [])
    return tuple(Block(text, cached=text is blocks[-1]) for text in blocks)


def _direction(brief: Brief) -> tuple[str, str]:
    """What this child is pointed at, drawn by the brief's seed; what was tried a lot lately comes up less."""
    recent = [attempt.category for attempt in brief.history[-60:]]
    weights = [1 / (1 + 4 * recent.count(name) / max(1, len(recent))) for name in DIRECTIONS]
    name = random.Random(brief.seed).choices(list(DIRECTIONS), weights)[0]  # noqa: S311
    return name, DIRECTIONS[name]


def _parents(brief: Brief) -> str:
    if len(brief.parents) == 1:
        return _parent("Parent", brief.parents[0])
    letters = zip("AB", brief.parents, strict=False)
    return "\n\n".join(_parent(f"Parent {a}", parent) for a, parent in letters)


def _parent(name: str, parent: ParentView) -> str:
    title = f" “{one_line(parent.title, 72)}”" if parent.title else ""
    return f"# {name}: #{parent.id}{title}\n\n{_measured(parent)}\n\n{_fenced(parent.source, 'python')}"


def _measured(parent: ParentView) -> str:
    """What is known about a parent, in sentences."""
    if parent.mean_bpb is None:
        facts = ["It has no score."]
    else:
        runs = len(parent.scores)
        each = ", ".join(f"{score:.6f}" for score in parent.scores[-8:])
        over = f", the mean of {runs} trainings ({each})" if runs > 1 else " in a single training"
        facts = [f"val_bpb {parent.mean_bpb:.6f}{over}."]
    speed = [
        f"{parent.steps:,} steps" if parent.steps else "",
        f"{parent.tokens_per_second:,.0f} tokens/s" if parent.tokens_per_second else "",
        f"{parent.peak_memory_mb:,.0f} MB peak memory" if parent.peak_memory_mb else "",
    ]
    if any(speed):
        facts.append(", ".join(part for part in speed if part) + ".")
    if parent.curve:
        step = max(1, len(parent.curve) // CURVE)
        points = [*parent.curve[step - 1 :: step][: CURVE - 1], parent.curve[-1]]
        shown = ", ".join(f"{fraction:.0%} {loss:.3f}" for fraction, loss in dict.fromkeys(points))
        facts.append(f"Training loss in nats by share of the budget: {shown}.")
    return " ".join(facts)


def _ancestor(brief: Brief) -> str:
    """How two parents came apart: the difference of each from their common ancestor, else from one another."""
    if len(brief.parents) < 2:
        return ""
    one, two = brief.parents[:2]
    if brief.ancestor is None:
        return f"# From parent A to parent B\n\n{_difference(one, two)}"
    past = brief.ancestor
    return (
        f"# Since their common ancestor #{past.id}\n\n{_measured(past)}\n\n"
        f"From the ancestor to parent A:\n\n{_difference(past, one)}\n\n"
        f"From the ancestor to parent B:\n\n{_difference(past, two)}"
    )


def _difference(old: ParentView, new: ParentView) -> str:
    lines = difflib.unified_diff(
        old.source.splitlines(), new.source.splitlines(), f"#{old.id}", f"#{new.id}", "", "", 2, ""
    )
    text = "\n".join(lines)
    if len(text) > DIFF:
        text = text[:DIFF].rsplit("\n", 1)[0] + "\n(cut here: the difference is longer)"
    return _fenced(text or "(no difference)", "diff")


def _fenced(text: str, language: str) -> str:
    """A code fence longer than any run of backticks in `text`, so that no content can close it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    body = text if text.endswith("\n") else f"{text}\n"
    return f"{fence}{language}\n{body}{fence}"
