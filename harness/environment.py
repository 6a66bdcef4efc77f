"""What children get of our environment: never a credential, unless it is the one that their work needs.

The one list of what looks like a credential. A name of the user's own choosing ([llm] api_key_env) may look like
anything; the engine takes it out of its environment by itself before it starts anybody.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

# Whole words of a name: TOKENIZERS_PARALLELISM is none. The last group are doors to an agent that holds keys.
_NAMES = re.compile(
    r"(?:^|_)(?:API_?KEY|ACCESS_?KEY|SECRET_?KEY|PRIVATE_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?"
    r"|COOKIE|WEBHOOK)(?:_ID|_FILE|S)?$"
    r"|^(?:ANTHROPIC|OPENAI|AZURE|AWS)_"
    r"|^(?:SSH_AUTH_SOCK|SSH_ASKPASS|GPG_AGENT_INFO|GIT_ASKPASS|NETRC|KUBECONFIG|DATABASE_URL)$",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"^[A-Za-z][\w+.-]*://[^/@\s]*:[^/@\s]*@")  # a proxy's, in its address

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
# What a download may need: the hub's token, and a proxy whose address holds a password.
DOWNLOADS = frozenset({"HF_TOKEN", *_PROXIES, *(name.lower() for name in _PROXIES)})

# Numbers of fields of /proc/PID/stat behind the name, as proc(5) counts them, less 3.
_ENV_START, _ENV_END = 50 - 3, 51 - 3


def credentials_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the variables that look like credentials, by their name or by a password in an address."""
    return tuple(
        name
        for name, value in environ.items()
        if value and (_NAMES.search(name) or _PASSWORD.match(value))
    )


def without_credentials(
    environ: Mapping[str, str] = os.environ, keep: Iterable[str] = ()
) -> dict[str, str]:
    """A copy of `environ` for a child: no credential but those named in `keep`."""
    hidden = set(credentials_in(environ)) - set(keep)
    return {name: value for name, value in environ.items() if name not in hidden}


def wipe(names: Iterable[str]) -> None:
    """Blank the values of these variables where the kernel shows them, in /proc/self/environ.

    Removing a variable does not: the block with which a process was started stays as it was, and root, or a program of
    the same user, could read it there. Nothing may point into the block any more: call it once they are removed.
    """
    with Path("/proc/self/stat").open("rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[_ENV_START]), int(fields[_ENV_END])
    if not 0 < start < end:  # hidden from us: then from others too
        return
    wanted = {name.encode() for name in names}
    at = start
    for entry in ctypes.string_at(start, end - start).split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals and name in wanted:
            ctypes.memset(at + len(name) + 1, 0, len(value))
        at += len(entry) + 1
