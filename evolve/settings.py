"""The settings in force: lays the layers over one another, checks them, changes them, writes the live ones down.

Later layers win: defaults, profile, `autoresearch.toml`, `.autoresearch/live.toml`, command line. A person's
`autoresearch.toml` is read and never written. Nothing here looks at the machine, at git or at the journal.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

import tomli_w
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from evolve.keys import (
    FROZEN,
    Described,
    field_of,
    frozen,
    is_list,
    reference,
    sections,
    unfit,
    unknown,
)
from evolve.model import EvolveError, UsageError
from evolve.places import LIVE_FILE, SETTINGS_FILE, head_of, state_folder
from evolve.profiles import PROFILES
from evolve.propose.placeholders import validate_template
from evolve.sections import Settings
from evolve.toml_text import LIVE, flat, is_live

__all__ = [
    "FROZEN",
    "LIVE",
    "Described",
    "Settings",
    "change",
    "defaults",
    "flatten",
    "load",
    "rebuilt",
    "reference",
    "reload",
    "save_live",
    "sections",
]

LARGEST = 4 << 20  # bytes of a settings file; templates of prompts are pages long

Nested = dict[str, Any]
Place = Callable[[str], str]  # dotted key -> `FILE, line N: ` or nothing


def load(workspace: Path, *, gpu: bool, overrides: Mapping[str, str]) -> Settings:
    """The settings in force in `workspace`, with `profile` resolved to gpu or cpu.

    `gpu`: an NVIDIA GPU is here. `overrides`: dotted key to value from the command line. Raises UsageError
    that names file, line and key.
    """
    layers = [_read(workspace, SETTINGS_FILE), _read(workspace, LIVE_FILE), _nested(overrides)]
    asked = next((layer["profile"] for layer in reversed(layers) if "profile" in layer), "auto")
    profile = ("gpu" if gpu else "cpu") if asked == "auto" else asked
    merged = _merge(Settings().model_dump(), PROFILES[profile], *layers, {"profile": profile})
    merged["origin"] = {"gpu": gpu, "overrides": dict(overrides)}
    return _consistent(Settings.model_validate(merged))


def reload(workspace: Path, settings: Settings) -> tuple[Settings, list[str]]:
    """Read the files again while an engine runs: live sections are taken over, the rest is named.

    Returns the new settings and the keys whose edits wait for another run or engine. Raises like `load`.
    """
    origin = settings.origin
    fresh = load(workspace, gpu=origin.gpu, overrides=origin.overrides)
    profile = fresh.profile
    if profile != settings.profile:
        forced = {**origin.overrides, "profile": settings.profile}
        fresh = load(workspace, gpu=origin.gpu, overrides=forced)
    before, after = flatten(settings), flatten(fresh)
    ignored = [k for k in after if not is_live(k) and after[k] != before.get(k)]
    ignored += ["profile"] if profile != settings.profile else []
    live = {section: dict(fresh)[section] for section in LIVE}
    return settings.model_copy(update=live), ignored


def change(settings: Settings, key: str, value_text: str) -> Settings:
    """`settings` with one live key changed; the value is a TOML literal or a bare string.

    Raises UsageError for an unknown key (with the nearest), a frozen one (with the reason) or a wrong value.
    """
    if field_of(key) is None:
        raise UsageError(unknown(key))
    if not is_live(key):
        raise UsageError(frozen(key))
    changed = _merge(settings.model_dump(), _nested({key: value_text}))
    kept = {k: v for k, v in settings.origin.overrides.items() if k != key}
    changed["origin"] = {"gpu": settings.origin.gpu, "overrides": kept}
    return _consistent(Settings.model_validate(changed))


def rebuilt(in_force: Mapping[str, str]) -> Settings:
    """The settings of a run from their flat form (dotted key to TOML), as a client finds them in the journal.

    What this version does not know, or takes no more, has its default: the journal may be of an older one.
    """
    known = {key: value for key, value in in_force.items() if field_of(key) is not None}
    try:
        layer = _nested(known)
    except UsageError:
        layer = _nested({key: value for key, value in known.items() if _fits(key, value)})
    return Settings.model_validate(_merge(Settings().model_dump(), layer))


def _fits(key: str, text: str) -> bool:
    try:
        _nested({key: text})
    except UsageError:
        return False
    return True


def defaults(profile: str) -> dict[str, str]:
    """Dotted key to TOML of what nobody has set: the built-in values, and what the profile makes of them."""
    merged = _merge(Settings().model_dump(), PROFILES.get(profile, {}), {"profile": profile})
    return flatten(Settings.model_validate(merged))


def flatten(settings: Settings) -> dict[str, str]:
    """Dotted key to value as TOML, in the order of the documentation."""
    return flat(settings.model_dump(mode="json"))


def save_live(workspace: Path, changes: Mapping[str, str]) -> None:
    """Keep changes made by machine in `.autoresearch/live.toml`, atomically; later layers read them.

    Raises UsageError when a key or value is none, or when the file has been broken by hand.
    """
    state_folder(workspace)
    text = tomli_w.dumps(_merge(_read(workspace, LIVE_FILE), _nested(changes)))
    path = workspace / LIVE_FILE
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)  # an engine that was killed may have left one
    private = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(private, "w", encoding="utf-8") as file:
        file.write("# Written by `autoresearch set` and the app; wins over autoresearch.toml.\n\n")
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the name, too, survives a loss of power
    finally:
        os.close(folder)


def check_live(workspace: Path) -> None:
    """Raises UsageError when live.toml has been broken by hand, so that nothing can be kept in it."""
    _read(workspace, LIVE_FILE)


# ---- reading ---------------------------------------------------------------------------------------------


def _read(workspace: Path, name: str) -> Nested:
    """One file as a checked layer; an absent file is an empty one."""
    text = _text(workspace / name, name)
    if text is None:
        return {}
    try:
        layer = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_syntax(name, str(error))) from None
    except RecursionError:
        raise UsageError(f"{name} is nested too deeply to be settings; correct it.") from None
    _check(layer, lambda key: _place(name, text, key))
    return layer


def _text(path: Path, name: str) -> str | None:
    """The text of a settings file, or None where there is none. Never waits, whatever stands at its place."""
    try:
        text = head_of(path, LARGEST + 1)
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        raise UsageError(
            f"{name} is a folder; move it away and write the settings there."
        ) from None
    except OSError as error:
        why = error.strerror
        raise EvolveError(f"{name} cannot be read: {why}; check its owner and kind.") from None
    if len(text) > LARGEST:
        raise UsageError(
            f"{name} is larger than {LARGEST >> 20} MB, so it holds no settings; correct it."
        )
    try:
        return text.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not UTF-8 text; save it as UTF-8.") from None


def _nested(changes: Mapping[str, str]) -> Nested:
    """Dotted keys with values as text, from a command, as a checked layer."""
    layer: Nested = {}
    for key, text in changes.items():
        field = field_of(key)
        if field is None:
            raise UsageError(unknown(key))
        inside = layer
        *path, last = key.split(".", 2)
        for part in path:
            inside = inside.setdefault(part, {})
        inside[last] = _parse(field, text)
    _check(layer, lambda key: "")
    return layer


def _parse(field: FieldInfo, text: str) -> object:
    """A TOML literal; text that is none, or that stands for text anyway, is taken as it is."""
    value: object
    try:
        document = tomllib.loads(f"value = {text}")
        value = document["value"] if len(document) == 1 else text
    except tomllib.TOMLDecodeError:
        value = text
    if field.annotation in (int, float) and isinstance(value, str):
        try:
            return float(value)  # TOML has no `.5`
        except ValueError:
            return value
    if is_list(field) and isinstance(value, str):
        return [name for part in value.split(",") if (name := part.strip())]
    wants_text = field.annotation is str or get_origin(field.annotation) is Literal
    return text if wants_text and not isinstance(value, str) else value


def _merge(*layers: Mapping[str, Any]) -> Nested:
    """Later layers win, table by table."""
    merged: Nested = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = _merge(merged[key], value) if both else value
    return merged


# ---- checking ------------------------------------------------------------------------------------------


def _check(layer: Nested, place: Place) -> None:
    """Raise UsageError for the first thing in a layer that is no setting or no fitting value."""
    if "origin" in layer:
        raise UsageError(f"{place('origin')}{unknown('origin')}")
    try:
        Settings.model_validate(layer)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            raise UsageError(f"{place(key)}{unknown(key)}") from None
        raise UsageError(f"{place(key)}{unfit(key, fault['input'])}") from None


def _consistent(settings: Settings) -> Settings:
    """What no single key can tell."""
    budget, weights = settings.budget, settings.operators.model_dump().values()
    if budget.kind == "seconds" and budget.wall_limit <= budget.seconds:
        raise UsageError(
            f"budget.wall_limit ({budget.wall_limit:g} s) ends an experiment before its {budget.seconds:g} s of "
            "training are over; make it at least twice budget.seconds."
        )
    if not any(weights):
        raise UsageError("Every weight in [operators] is 0, so no child could be made; raise one.")
    population = settings.population
    if population.islands > 1 and population.size < 2 * population.islands:
        raise UsageError(
            f"population.size ({population.size}) leaves {population.islands} islands fewer than two places each; "
            f"make it at least {2 * population.islands}, or lower population.islands."
        )
    for operator, template in settings.prompts.model_dump().items():
        if template:
            validate_template(operator, template)
    return settings


def _syntax(name: str, message: str) -> str:
    where = re.search(r" \(at line (\d+), column \d+\)$", message)
    what = re.sub(r" \(at .*\)$", "", message)
    at_end = ", at its end," if "at end of document" in message else ""  # saved half way
    line = f", line {where.group(1)}" if where else at_end
    return (
        f"{name}{line} is not valid TOML ({what[:1].lower()}{what[1:]}); correct it and try again."
    )


def _place(name: str, text: str, key: str) -> str:
    """`autoresearch.toml, line 12: `, as far as the line can be found."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.replace('"', "").replace("'", "")
        header = re.match(r"\s*\[\s*([^\]]+?)\s*\]", bare)
        assignment = re.match(r"\s*([\w.-]+)\s*=", bare)
        if header:
            section = f"{header.group(1)}."
            found = key == header.group(1)
        else:
            here = f"{section}{assignment.group(1)}" if assignment else ""
            found = bool(here) and f"{key}.".startswith(f"{here}.")
        if found:
            return f"{name}, line {number}: "
    return f"{name}: "
