"""Where the language model is reached, with which credentials, and what its faults mean in words.

Pure: it opens no connection and reads no environment. Every sentence made here is free of the credentials, whatever
a server echoes.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import urlsplit

from evolve.concealing import conceal
from evolve.propose.operators import ProposerUnavailable
from evolve.sections import Llm, Price
from evolve.text import one_line

BACKOFF_LIMIT = 600.0  # seconds until a server that failed is asked again, at most
RETRY_LIMIT = 3600.0  # of what a server asks for

# What a server says in `error.type`, for faults that come inside a stream under status 200.
_KINDS = {
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "invalid_request_error": 400,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "api_error": 500,
    "overloaded_error": 529,
}
_PASSING = frozenset({408, 409, 425, 429})  # and everything from 500 up


@dataclass(frozen=True, slots=True)
class LlmConfig:
    """How to reach a model. Credentials never show in its repr."""

    model: str
    api_key: str | None = field(default=None, repr=False)
    auth_token: str | None = field(default=None, repr=False)
    base_url: str = ""  # without /v1; empty: Anthropic
    api_version: str = ""  # anthropic-version header; empty: the SDK's own
    effort: str = "medium"
    max_tokens: int = 32_000  # of one answer, thinking included
    fallback_model: str = ""  # asked instead of a model that refuses; empty: none
    cache: bool = True
    cache_ttl: Literal["5m", "1h"] = "5m"
    timeout: float = 600.0  # seconds for one answer
    backoff: float = 30.0  # seconds until a server that failed is asked again; doubled each time
    prices: Mapping[str, Price] = field(default_factory=dict)
    prices_as_of: str = ""  # YYYY-MM-DD; empty: not known
    retries: int = 2  # of a call that failed for a moment, each a call of its own
    key_name: str = "ANTHROPIC_API_KEY"  # the variable a person has to look at
    extras: bool = True  # the server knows cache_control and effort

    @classmethod
    def from_settings(cls, llm: Llm, *, api_key: str | None, auth_token: str | None) -> Self:
        """Settings of [llm] with credentials from the environment. The key wins where both are there."""
        host = urlsplit(llm.base_url).hostname or ""
        return cls(
            model=llm.model,
            api_key=api_key,
            auth_token=None if api_key else auth_token,
            base_url=llm.base_url,
            api_version=llm.api_version,
            effort=llm.effort,
            max_tokens=llm.max_tokens,
            fallback_model=llm.fallback_model if llm.fallback_model != llm.model else "",
            cache=llm.cache,
            cache_ttl=llm.cache_ttl,
            timeout=llm.timeout,
            backoff=llm.backoff,
            prices=llm.prices,
            prices_as_of=llm.prices_as_of,
            key_name=llm.auth_token_env if auth_token and not api_key else llm.api_key_env,
            extras=not llm.base_url or f".{host}".endswith(".anthropic.com"),
        )

    @property
    def place(self) -> str:
        """The server's name for a person, without any user name or password of its address."""
        parts = urlsplit(self.base_url)
        return parts.netloc.rpartition("@")[2] or "Anthropic"

    def scrub(self, text: str) -> str:
        """`text` without the credentials, whoever put them in; half of one, where a text breaks off, goes too."""
        return conceal(text, (self.api_key, self.auth_token, urlsplit(self.base_url).password))


def effective_status(status: int, kind: str | None) -> int:
    """The status that a fault amounts to: inside a stream the type of the error says it."""
    return status if status >= 400 else _KINDS.get(kind or "", 500)


def unavailable(
    config: LlmConfig, status: int, said: str, retry_after: float | None, setbacks: int
) -> ProposerUnavailable:
    """The fault of an HTTP status (or of an error inside a stream), in words, with when to ask again.

    `said`: the server's own words; `retry_after`: seconds it asked for; `setbacks`: passing faults in a row before.
    """
    quoted = one_line(config.scrub(said), 160)
    tail = f" ({status}: {quoted})" if quoted else f" ({status})"
    if status in _PASSING or status >= 500:
        what = "limits the rate of requests" if status == 429 else "cannot answer now"
        wait = waiting(retry_after, setbacks, config.backoff)
        return ProposerUnavailable(f"{config.place} {what}{tail}.", wait)
    if status == 402 or (status == 400 and "credit balance" in said):
        # Credit is added elsewhere, where nobody tells us: it is looked at from time to time.
        return ProposerUnavailable(_lasting(config, 402, tail), RETRY_LIMIT)
    return ProposerUnavailable(_lasting(config, status, tail))


def unreachable(config: LlmConfig, what: str, setbacks: int) -> ProposerUnavailable:
    """A fault of the connection, or a server that does not speak the protocol; `what` completes the sentence."""
    return ProposerUnavailable(
        f"{config.place} {one_line(config.scrub(what), 200)}.",
        waiting(None, setbacks, config.backoff),
    )


def waiting(retry_after: float | None, setbacks: int, backoff: float) -> float:
    """Seconds until it is worth asking again: what the server asked for, else `backoff`, doubled with every setback."""
    if retry_after is not None and math.isfinite(retry_after):
        return min(max(retry_after, 0.0), RETRY_LIMIT)
    return min(backoff * 2.0 ** min(setbacks, 10), max(backoff, BACKOFF_LIMIT))


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `retry-after` header, or None."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return float(headers[name]) / unit
        except (KeyError, ValueError):  # absent, or a date
            continue
    return None


def _lasting(config: LlmConfig, status: int, tail: str) -> str:
    """A fault that stays until a person acts: what is wrong, and what to do."""
    if status == 401:
        return (
            f"{config.place} did not accept the key in {config.key_name}{tail}. "
            "Export a valid one and start the engine again."
        )
    if status == 402:
        return (
            f"The account at {config.place} has no credit left{tail}. Add some; "
            f"`autoresearch set llm.model {config.model}` then has it asked at once."
        )
    if status == 403:
        return (
            f"The key in {config.key_name} may not use the model {config.model}{tail}. "
            "Use another key, or another model with `autoresearch set llm.model NAME`."
        )
    if status == 404:
        close = difflib.get_close_matches(config.model, list(config.prices), 1, 0.6)
        near = f" Did you mean {close[0]}?" if close and close[0] != config.model else ""
        where = " and llm.base_url (without /v1)" if config.base_url else ""
        return (
            f"{config.place} knows no model {config.model}{tail}.{near} "
            f"Check llm.model{where}: `autoresearch set llm.model NAME`."
        )
    return (
        f"{config.place} rejected the request{tail}. "
        "Check model, effort, max_tokens and api_version in [llm]."
    )
