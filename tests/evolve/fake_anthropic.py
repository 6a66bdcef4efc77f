"""A server on loopback that speaks /v1/messages with streaming, and every fault that a test asks for.

It answers by a plan, one entry a request, and keeps what it was sent. It is a server, not a mock: the real SDK talks
to it over a real socket.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """A streamed answer."""

    text: str = ""
    stop_reason: str = "end_turn"
    category: str | None = None  # of a refusal
    input_tokens: int = 100
    output_tokens: int = 50
    cache_read: int = 0
    cache_write: int = 0
    cut: bool = False  # close the connection in the middle of the text
    hang: bool = False  # send half of the text, then nothing until the server closes
    error: str = ""  # an error event of this type in the middle of the text


@dataclass(frozen=True)
class Fault:
    """An answer with an HTTP error."""

    status: int
    kind: str = "api_error"
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Bytes under status 200, as a broken server sends them."""

    body: bytes
    content_type: str = "text/event-stream"


def stream(*events: dict[str, Any]) -> Raw:
    """A stream of just these events, whatever they are."""
    return Raw(
        b"".join(
            f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n".encode()
            for event in events
        )
    )


def opening(**given: Any) -> dict[str, Any]:
    """The event with which a proper answer begins; `given` replaces fields of its message."""
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 1},
    }  # fmt: skip
    return {"type": "message_start", "message": message | given}


Entry = Answer | Fault | Raw | Callable[["Request"], "Answer | Fault | Raw"]


@dataclass(frozen=True)
class Request:
    """What was sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class FakeAnthropic:
    """The server; a context manager."""

    def __init__(self) -> None:
        self.plan: list[Entry] = []
        self.requests: list[Request] = []  # of messages
        self.lookups: list[Request] = []  # of models
        self.models: dict[str, dict[str, Any]] | Fault = {"claude-opus-5-5": {}}
        self.closing = threading.Event()
        self.hanging = threading.Event()  # set once a request hangs
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = False  # closing waits for them, so no test leaves one behind
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def next(self, request: Request) -> Answer | Fault | Raw:
        with self._lock:
            self.requests.append(request)
            entry = self.plan.pop(0)
        return entry(request) if callable(entry) else entry


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeAnthropic

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # the client hung up
            super().handle()

    def do_GET(self) -> None:
        request = Request(self.path, self._headers(), {})
        self.fake.lookups.append(request)
        name = self.path.rpartition("/")[2]
        if isinstance(self.fake.models, Fault):
            self._fault(self.fake.models)
        elif name in self.fake.models:
            info = {"id": name, "type": "model", "display_name": name, "lifecycle": "active"}
            self._json(200, info | self.fake.models[name])
        else:
            self._fault(Fault(404, "not_found_error", f"model: {name}"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        given = self.fake.next(Request(self.path, self._headers(), body))
        if isinstance(given, Fault):
            self._fault(given)
        elif isinstance(given, Raw):
            self._send(200, given.body, given.content_type)
        else:
            self._stream(given, body["model"])

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _fault(self, fault: Fault) -> None:
        error = {"type": "error", "error": {"type": fault.kind, "message": fault.message}}
        self._json(fault.status, error, fault.headers)

    def _json(self, status: int, data: object, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(data).encode(), "application/json", headers)

    def _send(
        self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"content-type": content_type, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, answer: Answer, model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        usage = {
            "input_tokens": answer.input_tokens,
            "cache_read_input_tokens": answer.cache_read,
            "cache_creation_input_tokens": answer.cache_write,
            "output_tokens": 1,
        }
        message = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        half = len(answer.text) // 2
        self._event("message_start", message=message)
        self._event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        self._text(answer.text[:half])
        if answer.hang:
            self.fake.hanging.set()
            self.fake.closing.wait(30)
        if answer.cut or answer.hang:
            self.close_connection = True
            return
        if answer.error:
            self._event("error", error={"type": answer.error, "message": "busy"})
        self._text(answer.text[half:])
        self._event("content_block_stop", index=0)
        delta: dict[str, Any] = {"stop_reason": answer.stop_reason, "stop_sequence": None}
        if answer.stop_reason == "refusal":
            delta["stop_details"] = {"type": "refusal", "category": answer.category}
        self._event("message_delta", delta=delta, usage={"output_tokens": answer.output_tokens})
        self._event("message_stop")
        self.wfile.write(b"0\r\n\r\n")

    def _text(self, text: str) -> None:
        for start in range(0, len(text), 4096):
            piece = text[start : start + 4096]
            self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})

    def _event(self, name: str, **data: object) -> None:
        body = f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()
        try:
            self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):  # the client has read enough
            self.close_connection = True
