"""The keys of the settings: which there are, what each accepts, and the sentences for those that do not fit.

Pure: made from the descriptions in `sections`. It reads no file.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from evolve.places import SETTINGS_FILE
from evolve.sections import Price, Settings
from evolve.toml_text import is_live, literal

FROZEN = (
    "profile",
    "budget",
    "data",
    "scoring",
    "metric",
    "device",
    "sandbox",
)  # they give a score its meaning
A_PRICE = "a price such as { input = 4.0, output = 20.0 }"
A_LIST = 'a list of names such as ["claude-sonnet-5-5"]'


@dataclass(frozen=True, slots=True)
class Described:
    """One setting for the documentation, and for whoever offers to change it."""

    key: str
    type: str  # in words
    default: str  # as TOML
    doc: str
    live: bool  # may change while an engine runs
    kind: str = "text"  # "whole", "number", "switch", "choice", "text", "list" or "table"
    choices: tuple[str, ...] = ()  # of a choice
    least: float | None = None  # the smallest number that may be meant; None = no limit
    most: float | None = None


_KINDS = {int: "whole", float: "number", bool: "switch", str: "text"}


def reference() -> tuple[Described, ...]:
    """Every setting with its type, default and meaning, for the documentation."""
    defaults = dict(Settings())
    rows = []
    for section, part in Settings.model_fields.items():
        if section == "origin":
            continue
        inside = inner(part)
        for name, field in inside.items() or {section: part}.items():
            value = dict(defaults[section])[name] if inside else defaults[section]
            rows.append(
                Described(
                    key=f"{section}.{name}" if inside else section,
                    type=wanted(field),
                    default="the built-in table" if isinstance(value, dict) else literal(value),
                    doc=field.description or "",
                    live=is_live(section),
                    **_handles(field),
                )
            )
    return tuple(rows)


def inner(field: FieldInfo) -> Mapping[str, FieldInfo]:
    """The settings inside a section; empty for a single setting."""
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_fields
    return {}


def field_of(key: str) -> FieldInfo | None:
    """The field behind a dotted key; `llm.prices.MODEL` is a price whatever the model is called."""
    section, _, name = key.partition(".")
    part = Settings.model_fields.get(section)
    if part is None or section == "origin":
        return None
    if section == "llm" and name.startswith("prices."):
        return FieldInfo(annotation=Price)
    if (outer := inner(part).get(name.partition(".")[0])) and is_list(outer):
        return outer  # an entry of a list is told of as the list
    if not name:
        return None if inner(part) else part
    return inner(part).get(name)


def _handles(field: FieldInfo) -> dict[str, Any]:
    """What a hand can turn: the kind of a setting, its choices and its limits."""
    kind: Any = field.annotation
    if is_list(field):
        return {"kind": "list"}
    if get_origin(kind) is Literal:
        return {"kind": "choice", "choices": tuple(get_args(kind))}
    limits = _limits(field)
    return {
        "kind": _KINDS.get(kind, "table"),
        "least": limits.get("ge", limits.get("gt")),
        "most": limits.get("le", limits.get("lt")),
    }


def sections() -> dict[str, str]:
    """Section to what it is about, in the order of the documentation."""
    docs = {}
    for name, part in Settings.model_fields.items():
        if inner(part) and name != "origin":
            docs[name] = " ".join((part.annotation.__doc__ or "").split())
    return docs


# ---- sentences -------------------------------------------------------------------------------------------


def unknown(key: str) -> str:
    """That there is no such setting, with the nearest one."""
    known = [row.key for row in reference()]
    # The right name in a wrong section first, then a slip of the pen.
    same = [k for k in known if k.rpartition(".")[2] == key.rpartition(".")[2]]
    near = same or difflib.get_close_matches(key, [*known, *Settings.model_fields], n=1, cutoff=0.5)
    return f"there is no setting {key}" + (f"; did you mean {near[0]}?" if near else ".")


def frozen(key: str) -> str:
    """Why a key cannot change now, and what to do."""
    if key.partition(".")[0] in FROZEN:
        return (
            f"{key} is frozen in a run, because changing it would make scores incomparable: put it into "
            f"{SETTINGS_FILE} and start a new run with `autoresearch run --name NAME`."
        )
    return (
        f"{key} is read when an engine starts: `autoresearch stop`, put it into {SETTINGS_FILE}, then "
        "`autoresearch run`."
    )


def unfit(key: str, value: object) -> str:
    """What a key wants, and what it got."""
    field = field_of(key)
    text = literal(value) if isinstance(value, str | int | float | bool | dict) else str(value)
    got = text if len(text) <= 60 else f"{text[:59]}…"
    if field is not None:
        want = wanted(field)
        key = ".".join(key.split(".")[:2]) if is_list(field) else key
    else:  # inside a price, or a section that is no table
        want = A_PRICE if key.startswith("llm.prices.") else f"a section, [{key}]"
    return f"{key} must be {want}, not {got}."


def is_list(field: FieldInfo) -> bool:
    """Does a setting hold a list of names?"""
    return get_origin(field.annotation) is list


def wanted(field: FieldInfo) -> str:
    """A field's type and limits in words."""
    kind: Any = field.annotation
    if is_list(field):
        return A_LIST
    if get_origin(kind) is Literal:
        *some, last = get_args(kind)
        return f"{', '.join(some)} or {last}"
    if kind is Price:
        return A_PRICE
    limits = _limits(field)
    if "pattern" in limits:
        return field.description or "text"
    words = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
    return " ".join([words.get(kind, "a table"), *_in_words(limits)])


def _limits(field: FieldInfo) -> dict[str, Any]:
    """Pydantic keeps each limit as an object with one attribute: `Ge(ge=1)`."""
    names = ("gt", "ge", "lt", "le", "pattern")
    found = {n: getattr(m, n, None) for m in field.metadata for n in names if hasattr(m, n)}
    return {name: limit for name, limit in found.items() if limit is not None}


def _in_words(limits: dict[str, Any]) -> list[str]:
    if {"ge", "le"} <= limits.keys():
        return [f"from {limits['ge']} to {limits['le']}"]
    signs = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}
    said = [f"{signs[name]} {limit}" for name, limit in limits.items()]
    return [" and ".join(said)] if said else []
