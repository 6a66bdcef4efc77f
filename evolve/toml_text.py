"""Settings as flat text: dotted keys, values as TOML. Shared by the settings and by clients, so it stays light.

Pure; it knows neither which keys exist nor where files are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LIVE = (
    "population",
    "vetting",
    "approval",
    "pruning",
    "operators",
    "bandit",
    "prompts",
    "scratchpad",
    "llm",
    "stop",
)  # sections that may change while an engine runs


def is_live(key: str) -> bool:
    """May the setting of this dotted key change while an engine runs?"""
    return key.partition(".")[0] in LIVE


def flat(nested: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as `{"population.size": "8"}`; values are TOML literals.

    Sections are one level deep. A table inside a section gives a key per entry, written as an inline table:
    `llm.prices.claude-opus-5-5`.
    """
    lines: dict[str, str] = {}
    for section, value in nested.items():
        if not isinstance(value, Mapping):
            lines[section] = literal(value)
            continue
        for key, inner in value.items():
            if isinstance(inner, Mapping):
                lines |= {f"{section}.{key}.{name}": literal(v) for name, v in inner.items()}
            else:
                lines[f"{section}.{key}"] = literal(inner)
    return lines


def text_of(value: str) -> str:
    """The bare text of a TOML string as `literal` writes it; anything else as it is."""
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value, strict=False))
    except ValueError:
        return value


def texts(flat_settings: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The text settings under `prefix`, bare and without it: `{"mutate": "..."}` for `prompts.`."""
    return {
        key.removeprefix(prefix): text_of(value)
        for key, value in flat_settings.items()
        if key.startswith(prefix)
    }


def literal(value: object) -> str:
    """One value as TOML text."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {literal(v)}" for key, v in value.items()) + " }"
    # JSON's scalars are TOML's, except that TOML also escapes DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
