"""Turns a brief into what a language model is sent: rules first, then what changes slowly, then what is new each time.

Pure: the same brief gives the same bytes. Whatever candidates and models wrote or printed is cut, quoted and called
data. No key, path or validation text comes in. Beside the code and a person's own template a prompt has at most
BUDGET characters:

    rules of the system 8,000 · known negatives 2,000 · program.md 20,000 · scratchpad 4,000 · figures 4,000
    history 9,000 · not measured 2,000 · dead ends 2,000 · recommendation 500 · task 1,500
    differences of a crossover 12,000, or the traceback of a repair 4,000
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from evolve.model import Operator
from evolve.propose.deadends import DeadEnd, dead_among, dead_ends
from evolve.propose.history import history_for, not_measured, table, what_counts
from evolve.propose.negatives import negatives_beside
from evolve.propose.operators import CATEGORIES, Brief
from evolve.propose.parents import ancestry, family
from evolve.propose.placeholders import fill, in_force, names_in, prompt_version, without_empty
from evolve.propose.quoting import inline, quoted, quoted_log
from evolve.propose.templates import DIRECTIONS, INTENTS, PROGRAM, REPAIR_REQUEST, SYSTEM
from evolve.text import one_line, paragraphs

BUDGET = 60_000  # characters beside the code
PROGRAM_LIMIT = 20_000  # characters of program.md
PAD = 4000  # characters of the scratchpad's summary and insights
RECOMMENDATION = 400
REVIEWED = 40  # attempts that a rewrite of the scratchpad sees

# What stays the same from one child of a parent to the next; the rest ends a prefix that calls can share.
_SLOW = frozenset({"scratchpad", "parents", "script", "budget"})


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
    recommendation: str = ""  # of the scratchpad, that it carries


def render(operator: Operator, brief: Brief, templates: Mapping[str, str]) -> Prompt:
    """Build the prompt for one child. `templates`: operator's name to a person's own template.

    Raises UsageError when that template has unknown or missing placeholders, or for an operator without a task.
    """
    template = in_force(operator, templates)
    focus, direction = _direction(brief)
    intent, told = "", ""
    if operator is Operator.REWRITE:
        intent, told = random.Random(brief.seed).choice(sorted(INTENTS.items()))  # noqa: S311
        focus = intent
    carries = "recommendation" in names_in(template)
    values = {
        "parents": family(brief),
        "history": _history(brief, focus),
        "scratchpad": _scratchpad(brief),
        "recommendation": _recommendation(brief),
        "direction": direction,
        "intent": told,
        "ancestor": ancestry(brief),
        "traceback": quoted_log(brief.parents[0].traceback),
        **_facts(brief),
    }
    used = template.replace("{intent}", told)
    return Prompt(
        system=_system(brief),
        messages=(Message("user", _blocks(template, values)),),
        version=prompt_version(used),
        focus=focus,
        recommendation=brief.recommendation if carries else "",
    )


def render_review(brief: Brief, templates: Mapping[str, str]) -> Prompt:
    """The prompt that has the scratchpad rewritten; the brief's only parent is what main holds.

    It begins with the same system text as every other prompt of the run, so that it shares their cached prefix.
    Raises UsageError when a person's template does not fit.
    """
    template = in_force("scratchpad", templates)
    recent = brief.history[-REVIEWED:]
    parts = [
        f"# What counts\n\n{what_counts(brief.sigma, brief.confidence)}",
        f"# Kept or promoted, by kind\n\n{one_line(brief.kinds, 600)}" if brief.kinds else "",
        table(recent, "What was tried lately", reasons=True),
        _dead(dead_among(brief.history, brief.sigma)),
    ]
    values = {
        "parents": family(brief, "Main"),
        "history": "\n\n".join(part for part in parts if part),
        "scratchpad": quoted("scratchpad", brief.scratchpad, 8000) if brief.scratchpad else _NO_PAD,
        **_facts(brief),
    }
    text = fill(without_empty(template, values), values)
    message = Message("user", (Block(text),))
    return Prompt(_system(brief), (message,), prompt_version(template))


def ask_again(prompt: Prompt, answer: str, fault: str) -> Prompt:
    """The conversation after an answer that could not be applied: what is wrong, and a request for all of it anew."""
    turns = (
        Message("assistant", (Block(answer.strip()),)),
        Message("user", (Block(fill(REPAIR_REQUEST, {"fault": fault})),)),
    )
    return replace(prompt, messages=prompt.messages + turns)


# ---- the system text -------------------------------------------------------------------------------------


def _system(brief: Brief) -> tuple[Block, ...]:
    """Rules, known negatives and directions: the same bytes for every call of a run."""
    counts = f"selection goes by {one_line(brief.goes_by, 300)}"
    metric = "nothing else counts" if brief.goes_by == "val_bpb" else counts
    if brief.memory_limit != "none":
        metric += f" (a soft limit of memory aside: {one_line(brief.memory_limit, 100)})"
    rules = fill(SYSTEM, {**_facts(brief), "categories": ", ".join(CATEGORIES), "metric": metric})
    program = paragraphs(brief.program)
    texts = [rules, negatives_beside(program)]
    if len(program) > PROGRAM_LIMIT:
        program = program[:PROGRAM_LIMIT] + "\n(cut here: it is too long)"
    texts.append(fill(PROGRAM, {"program": program}) if program else "")
    texts = [text for text in texts if text]
    return tuple(Block(text, cached=n == len(texts)) for n, text in enumerate(texts, 1))


def _facts(brief: Brief) -> dict[str, str]:
    return {
        "script": one_line(brief.script, 100),
        "budget": one_line(brief.budget, 200),
        "sigma": f"{brief.sigma:.5f}" if brief.sigma is not None else "not measured yet",
    }


# ---- the user's message ------------------------------------------------------------------------------------

_NO_PAD = "# Scratchpad\n\nThere is none yet: this is the first."


def _blocks(template: str, values: Mapping[str, str]) -> tuple[Block, ...]:
    """The filled template, cut behind {scratchpad} and {parents} where a prefix ends that other calls can share."""
    template = without_empty(template, values)
    blocks, rest = [], template
    for name in ("scratchpad", "parents"):
        head, mark, tail = rest.partition(f"{{{name}}}")
        if mark and values[name]:
            shared = names_in(template[: len(template) - len(tail)]) <= _SLOW
            blocks.append(Block(fill(head + mark, values), cached=shared))
            rest = tail
    return (*blocks, Block(fill(rest, values)))


def _history(brief: Brief, focus: str) -> str:
    parts = (
        f"# What counts\n\n{what_counts(brief.sigma, brief.confidence)}",
        table(history_for(brief, focus)),
        not_measured(brief.waiting, brief.refused),
        _dead(dead_ends(brief, focus)),
    )
    return "\n\n".join(part for part in parts if part)


def _dead(ends: tuple[DeadEnd, ...]) -> str:
    if not ends:
        return ""
    lines = "\n".join(f"- {end}" for end in ends)
    return f"# Dead ends: tried again and again, without a gain\n\n{lines}"


def _scratchpad(brief: Brief) -> str:
    if not brief.scratchpad:
        return ""
    return f"# What the search has learned so far\n\n{quoted('scratchpad', brief.scratchpad, PAD)}"


def _recommendation(brief: Brief) -> str:
    if not brief.recommendation:
        return ""
    return (
        f"A look back at this search recommends: {inline(brief.recommendation, RECOMMENDATION)} Take it up where it fits "
        "this task and what was measured since; it is advice, and no evidence."
    )


def _direction(brief: Brief) -> tuple[str, str]:
    """What this child is pointed at: what the brief asks for, else drawn by its seed.

    What was tried a lot lately comes up less.
    """
    if brief.direction in DIRECTIONS:
        return brief.direction, DIRECTIONS[brief.direction]
    recent = [attempt.category for attempt in brief.history[-60:]]
    weights = [1 / (1 + 4 * recent.count(name) / max(1, len(recent))) for name in DIRECTIONS]
    name = random.Random(brief.seed).choices(list(DIRECTIONS), weights)[0]  # noqa: S311
    return name, DIRECTIONS[name]
