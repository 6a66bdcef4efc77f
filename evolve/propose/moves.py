"""What each kind of constant means in this field, and which steps make sense for it.

A table from names to kinds, and for each kind a few next values. Pure; it never sees a source or the history.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from evolve.propose.lessons import number

PATTERNS = ("L", "SL", "SSL", "SSSL", "SSSSL", "SSSSSL")  # sliding windows: S short, L full
ANGLES = (10e3, 20e3, 50e3, 100e3, 200e3, 500e3, 1e6)  # rotary bases


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of constant."""

    name: str
    category: str  # one of operators.CATEGORIES
    weight: float = 1.0  # how often it is worth a try before anything is known


# The first rule whose expression is found in the name decides. Weights: most of the ancestor's gains came from
# batch, depth, learning rates, decay of single groups and the warmdown; learning-rate warm-up never helped.
_RULES: tuple[tuple[str, str, str, float], ...] = (
    (
        r"SEED|VOCAB|SEQ(UENCE)?_LEN|PEAK|FLOPS|EVAL|LOG_|PRINT|VERSION|WORKER|IGNORE|BUDGET|THREAD|MEMORY"
        r"|VRAM|_[GM]I?B\b|EPS\b|DTYPE|BACKEND|COMPILE|COEFF|POLAR|(LOG|SAVE)_EVERY",
        "fixed",
        "other",
        0.0,
    ),
    (r"WARMUP|WARM_UP", "fraction", "schedule", 0.15),
    (r"WARMDOWN|COOLDOWN|DECAY_(RATIO|FRAC)", "phase", "schedule", 3.0),
    (r"(FINAL|MIN|END).*(LR|FRAC|RATIO)", "fraction", "schedule", 1.5),
    (r"RAMP", "phase", "schedule", 0.8),
    (r"_DECAY\b|WEIGHT_DECAY|(\b|_)WD(\b|_)", "decay", "regularisation", 1.0),
    (r"(MATRIX|MUON)_LR\b", "rate", "optimizer", 3.0),
    (r"(SCALAR|RESID|NORM|BIAS)\w*_LR\b", "rate", "optimizer", 0.7),
    (r"(\b|_)LR(\b|_)|LEARNING_RATE", "rate", "optimizer", 2.0),
    (r"BETA|MOMENTUM", "momentum", "optimizer", 1.0),
    (r"PATTERN|WINDOWS\b", "pattern", "attention", 1.5),
    (r"HEAD_DIM", "head_dim", "size", 0.5),
    (r"(\b|_)(N|NUM)_?(KV_)?HEADS?\b|(\b|_)HEADS\b", "heads", "size", 0.3),
    (r"DEPTH|N_?LAYERS?|(\b|_)LAYERS", "count", "size", 1.5),
    (r"ASPECT", "size", "size", 1.0),
    (r"WIDTH|MODEL_DIM|D_MODEL|N_EMBD|(\b|_)DIM\b", "width", "size", 1.5),
    (r"STD\b", "gain", "init", 0.4),
    (r"INIT", "gain", "init", 1.0),
    (r"GRAM_(RATIO|ROWS|SIZE|VOCAB|BUCKETS)|BUCKET", "power", "size", 1.0),  # of hashed n-grams
    (r"BIGRAM|TABLE|CHANNELS", "power", "architecture", 0.6),
    (r"MICRO|DEVICE_BATCH|(\b|_)ROWS", "rows", "systems", 0.15),
    (
        r"TOTAL_BATCH|BATCH_TOKENS|(\b|_)BATCH\b|TOKENS_PER_STEP|STEP_TOKENS",
        "batch",
        "optimizer",
        2.0,
    ),
    (r"BATCH", "rows", "systems", 0.3),
    (r"ROPE|ROTARY|THETA|\bBASE\b", "angle", "attention", 1.0),
    (r"WINDOW", "power", "attention", 0.8),
    (r"NS_STEPS|ITERATIONS", "count", "optimizer", 0.4),
    (r"_EVERY\b", "count", "architecture", 0.8),
    (r"MLP_RATIO|EXPANSION|MLP_MULT", "count", "size", 1.0),
    (r"SOFTCAP|CLIP|\bCAP\b", "gain", "regularisation", 0.5),
    (r"GAIN|SCALE|LAMBDA|MULT", "gain", "architecture", 1.2),
)
# Kinds that a literal inside a function may have; there a `dim=-1` is no width.
INLINE_KINDS = frozenset({"fraction", "phase", "decay", "rate", "momentum", "angle", "gain"})
_BY_TYPE = {
    "bool": Kind("switch", "architecture", 0.8),
    "float": Kind("gain", "other", 0.7),
    "int": Kind("size", "other", 0.4),
}


def classify(name: str, text: str) -> Kind | None:
    """The kind of the literal `text` under `name`; None for what is better left alone."""
    kind = classify_known(name, text)
    return kind or (None if _rule(name) else _BY_TYPE.get(_type_of(text)))


def classify_known(name: str, text: str) -> Kind | None:
    """As `classify`, but None for names that mean nothing in this field, too."""
    found, value_type = _rule(name), _type_of(text)
    if found is None or found.name == "fixed" or not value_type:
        return None
    if value_type == "bool":
        return Kind("switch", found.category, found.weight)
    if (value_type == "str") != (found.name == "pattern"):
        return None
    if value_type == "str":
        return found if set(_unquoted(text)) <= set("SL") and _unquoted(text) else None
    if value_type == "int" and found.name in {"fraction", "phase", "momentum", "decay"}:
        return Kind("size", found.category, found.weight)  # counted in steps, say
    return found


def _rule(name: str) -> Kind | None:
    """The first rule of the table that knows the name."""
    plain = re.sub(r"\[\d+\]$", "", name).upper().replace("[", ".").replace("]", "")
    for expression, kind, category, weight in _RULES:
        if re.search(expression, plain):
            return Kind(kind, category, weight)
    return None


def steps(
    kind: Kind, name: str, text: str, siblings: dict[str, str], rng: random.Random
) -> list[str]:
    """A few next literals for `text`, in random order of size; `siblings` are all knobs of the file."""
    if kind.name == "switch":
        return ["False" if text == "True" else "True"]
    if kind.name == "pattern":
        return _patterns(text)
    value = number(text)
    if value is None:
        return []
    values = _STEPS[kind.name](value, rng)
    if kind.name == "width":
        values = _divisible(value, unit_of(name, value, siblings))
    if kind.name == "head_dim":
        values = [v for v in values if _width(name, siblings) % v == 0]
    if kind.name == "heads":
        values = _divisors(value, name, siblings)
    literals = [literal(text, new) for new in values]
    return list(dict.fromkeys(new for new in literals if new != text))


# ---- steps by kind -------------------------------------------------------------------------------------


def _log_uniform(low: float, high: float) -> Callable[[float, random.Random], list[float]]:
    """Factors between `low` and `high`, up and down, evenly on the logarithm."""

    def values(value: float, rng: random.Random) -> list[float]:
        factors = [math.exp(rng.uniform(math.log(low), math.log(high))) for _ in range(3)]
        return [value * f for f in factors] + [value / f for f in factors]

    return values


def _rate(value: float, rng: random.Random) -> list[float]:
    return _log_uniform(1.15, 2.0)(value, rng) if value else [0.01, 0.03]


def _decay(value: float, rng: random.Random) -> list[float]:
    if not value:
        return [0.001, 0.003, 0.01, 0.03, 0.1]
    return [*_log_uniform(1.25, 3.0)(value, rng), 0.0]


def _fraction(value: float, rng: random.Random) -> list[float]:
    sizes = [rng.uniform(0.02, 0.2) for _ in range(3)]
    moved = [value + s for s in sizes] + [value - s for s in sizes] + [value / 2]
    return [min(1.0, max(0.0, round(v * 50) / 50)) for v in moved]


def _phase(value: float, rng: random.Random) -> list[float]:
    """A part of the budget that something is divided by: it never becomes nothing."""
    return [max(0.02, share) for share in _fraction(value, rng)]


def _momentum(value: float, rng: random.Random) -> list[float]:
    """Steps in the horizon 1 / (1 - beta), because .9 to .95 is as far as .95 to .975."""
    if not 0 < value < 1:
        return []
    horizons = _log_uniform(1.2, 2.5)(1 - value, rng)
    return [round(1 - h, 3 if h < 0.1 else 2) for h in horizons if 0.0005 < h < 0.6]


def _gain(value: float, rng: random.Random) -> list[float]:
    return _log_uniform(1.1, 1.8)(value, rng) if value else [0.02, 0.05, 0.1]


def _count(value: float, rng: random.Random) -> list[float]:
    return [v for v in (value + 1, value - 1, value + 2, value - 2) if v >= 1]


def _size(value: float, rng: random.Random) -> list[float]:
    if value < 8:
        return _count(value, rng)
    return [round(v) for v in _log_uniform(1.1, 1.6)(value, rng)]


def _power(value: float, rng: random.Random) -> list[float]:
    return [v for v in (value * 2, value / 2) if v >= 1 and v == int(v)]


def _angle(value: float, rng: random.Random) -> list[float]:
    near = sorted(ANGLES, key=lambda angle: abs(math.log(angle / value)) if value else angle)
    return near[:5]


_STEPS: dict[str, Callable[[float, random.Random], list[float]]] = {
    "rate": _rate,
    "decay": _decay,
    "fraction": _fraction,
    "phase": _phase,
    "momentum": _momentum,
    "gain": _gain,
    "count": _count,
    "size": _size,
    "width": _size,
    "heads": _count,
    "power": _power,
    "head_dim": _power,
    "batch": _power,
    "rows": _power,
    "angle": _angle,
}


def _patterns(text: str) -> list[str]:
    """Window patterns nearby: a longer or a shorter period, or all windows full."""
    quote, current = text[0], _unquoted(text)
    index = PATTERNS.index(current) if current in PATTERNS else 3
    near = {PATTERNS[max(0, index - 1)], PATTERNS[min(len(PATTERNS) - 1, index + 1)], "L"}
    return sorted(f"{quote}{pattern}{quote}" for pattern in near if pattern != current)


def unit_of(name: str, value: float, siblings: dict[str, str]) -> int:
    """What a width must be a multiple of: the head's width, or the number of heads, or 32."""
    scope = name.rpartition(".")[0]
    for sibling, text in siblings.items():
        same_scope = sibling.rpartition(".")[0] == scope or "." not in sibling
        amount = number(text)
        about_heads = re.search(r"HEAD_DIM|(\b|_)N?_?HEADS?\b", sibling.upper())
        if same_scope and about_heads and amount and value % amount == 0:
            return int(amount) if "DIM" in sibling.upper() else 2 * int(amount)
    return 64 if value >= 512 else 32 if value >= 128 else 16


def _divisible(value: float, unit: int) -> list[float]:
    multiples = {round(value * factor / unit) * unit for factor in (0.5, 0.67, 0.8, 1.25, 1.5, 2.0)}
    return [v for v in sorted(multiples | {int(value) + unit, int(value) - unit}) if v >= unit]


def _divisors(value: float, name: str, siblings: dict[str, str]) -> list[float]:
    """Other numbers of heads that divide the width; none when the width is not in sight."""
    width = _width(name, siblings)
    near = (value / 2, value - 1, value + 1, value * 2)
    return [h for h in near if width and h >= 1 and width % (2 * h) == 0]


def _width(name: str, siblings: dict[str, str]) -> float:
    """The width that stands beside `name` (in the same row, or at the top); 0 when there is none."""
    scope = name.rpartition(".")[0]
    for sibling, text in siblings.items():
        about_width = re.search(r"WIDTH|N_EMBD|MODEL_DIM|(?<!HEAD_)DIM\b", sibling.upper())
        if about_width and sibling.rpartition(".")[0] == scope:
            return number(text) or 0.0
    return 0.0


# ---- literals ------------------------------------------------------------------------------------------


def literal(old: str, value: float) -> str:
    """`value` written in the manner of `old`: an integer, a power of two, or two digits of a fraction."""
    base, power, _ = old.partition("**")
    if power and value > 0 and math.log(value, float(base)).is_integer():
        return f"{base}**{round(math.log(value, float(base)))}"
    if _type_of(old) == "int":
        return f"{round(value):_}" if "_" in old else str(round(value))
    for digits in (2, 3, 4):
        rounded = float(f"{value:.{digits}g}")
        text = f"{rounded:_}" if "_" in old else repr(rounded)
        if float(text) != number(old):
            return text
    return old


def _type_of(text: str) -> str:
    if text in {"True", "False"}:
        return "bool"
    if text[:1] in {'"', "'"}:
        return "str"
    value = number(text)
    if value is None:
        return ""
    return "int" if "**" in text or text.lstrip("-").replace("_", "").isdigit() else "float"


def _unquoted(text: str) -> str:
    return text.strip("\"'")
