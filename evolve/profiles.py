"""What a profile changes in the defaults: `gpu` is the defaults themselves, `cpu` a rehearsal of minutes.

Data only; `settings` lays it under what a person wrote.
"""

from __future__ import annotations

from typing import Any

# Small enough that a dozen candidates train within minutes on two CPU cores, and deterministic by tokens.
_REHEARSAL: dict[str, dict[str, Any]] = {
    "budget": {"kind": "tokens", "tokens": 200_000, "wall_limit": 180.0},
    "data": {
        "source": "local",
        "sequence_length": 256,
        "vocabulary": 1024,
        "eval_tokens": 65_536,
        "local_mb": 2,
    },
    "scoring": {"audit_probes": 256, "champion_probes": 1024},
    "device": {"device": "cpu"},
    "sandbox": {"threads": 1},
    "population": {"size": 6},
    # Two dozen trainings of seconds leave no room for fourteen repeats: what a rehearsal cannot confirm in five, it
    # does not; a gain of 3 sigma it finds, one of 2 mostly not.
    "acceptance": {"baseline_repeats": 3, "max_repeats": 5},
    "llm": {"cache_ttl": "5m"},
    "stop": {"candidates": 12},
}

PROFILES: dict[str, dict[str, dict[str, Any]]] = {"gpu": {}, "cpu": _REHEARSAL}
