"""The Hugging Face hub over HTTP: what a file is, and its bytes from any offset on.

One request a call, on the standard library; it honours HF_ENDPOINT, HF_TOKEN and the proxy variables, and
shows the token to the hub alone. It never repeats and never writes: that is the download's business.
"""

from __future__ import annotations

import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message

from harness.spec import HarnessError

DEFAULT_ENDPOINT = "https://huggingface.co"
REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the server says of a file before it is downloaded."""

    url: str
    size: int
    version: str  # its etag: of a large file on the hub, the SHA-256
    sha256: str | None


def endpoint() -> str:
    """The hub's address: `HF_ENDPOINT`, as Hugging Face's own tools have it, or huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to the caller: the hub puts size and hash into the first answer, not the last."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""
        return


def describe(repository: str, name: str, seconds: float) -> RemoteFile:
    """Ask the hub for size and hash of a file; `seconds` bounds each wait for the server.

    Raises HarnessError when it does not say the size, else what urllib raises (OSError, HTTPException).
    """
    url = f"{endpoint()}/{repository}/resolve/main/{name}"
    headers = _head(url, seconds)
    size = headers.get("X-Linked-Size") or headers.get("Content-Length")
    etag = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
    if size is None or not size.isdecimal():
        raise HarnessError(
            f"{endpoint()} does not say how large {name} is, so it cannot be checked; set HF_ENDPOINT to a "
            "mirror of the Hugging Face hub, or use --source local or a folder."
        )
    sha256 = etag if re.fullmatch(r"[0-9a-f]{64}", etag) else None
    return RemoteFile(url, int(size), etag, sha256)


def _head(url: str, seconds: float) -> Message:
    """Headers of the first answer that describes the file: the hub's redirect, or the end of all redirects."""
    opener = urllib.request.build_opener(_StayHere)
    for _ in range(REDIRECTS):
        try:
            with opener.open(_request(url, {}, "HEAD"), timeout=seconds) as response:
                found: Message = response.headers
                return found
        except urllib.error.HTTPError as error:
            if not 300 <= error.code < 400:
                raise
            error.close()
            if "X-Linked-Size" in error.headers or "Location" not in error.headers:
                return error.headers
            url = urllib.parse.urljoin(url, error.headers["Location"])
    raise ConnectionError(f"more than {REDIRECTS} redirects")


def open_file(url: str, offset: int, seconds: float) -> http.client.HTTPResponse:
    """Open a file at `offset`, through redirects to the storage behind the hub; the token stays with the hub.

    A server may ignore the offset: see `continues_at`. Raises what urllib raises.
    """
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    response: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310 - _request checks the scheme
        _request(url, headers, "GET"), timeout=seconds
    )
    return response


def _request(url: str, headers: dict[str, str], method: str) -> urllib.request.Request:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise HarnessError(
            f"{url} is no web address; set HF_ENDPOINT to one that begins with https://."
        )
    # identity: a compressed answer would have another size, and could not be resumed
    all_headers = {"User-Agent": "autoresearch", "Accept-Encoding": "identity", **headers}
    request = urllib.request.Request(url, headers=all_headers, method=method)  # noqa: S310
    token = os.environ.get("HF_TOKEN")
    if token and _host(url) == _host(endpoint()):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


def continues_at(response: http.client.HTTPResponse, offset: int) -> bool:
    """Whether the server has really gone on at `offset`, and not begun again."""
    stated = response.headers.get("Content-Range", "")
    return response.status == 206 and stated.startswith(f"bytes {offset}-")


def _host(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc
