"""Takes credentials out of text before it is written down or shown. Pure; it reads no environment."""

from __future__ import annotations

import re
from collections.abc import Iterable

SECRET = 8  # characters from which a credential is one: local servers take any word for a key
TELLING = 12  # first characters that give a credential away, wherever a text breaks off
_REST = r"[\w.~+/=-]*"
# What keys of language models look like, whoever put one into a text.
_KEY = re.compile(rf"\bsk-(?:ant|proj|or|svcacct)-[\w-]{{6}}{_REST}")


def conceal(text: str, secrets: Iterable[str | None]) -> str:
    """`text` without these credentials; half of one, where a text breaks off, goes too."""
    for secret in secrets:
        if secret and len(secret) >= SECRET:
            text = text.replace(secret, "…")
        if secret and len(secret) > TELLING and (start := secret[:TELLING]) in text:
            text = re.sub(re.escape(start) + _REST, "…", text)
    return text


def conceal_keys(text: str) -> str:
    """`text` without anything that has the form of a key, for readers who do not know which one it was."""
    return _KEY.sub("…", text)
