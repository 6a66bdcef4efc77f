"""A language model for benchmarks: a loopback server that speaks /v1/messages, thinks for a while, then edits one
constant of the parent that it was shown."""

from __future__ import annotations

import json
import random
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONSTANT = re.compile(r"^([A-Z][A-Z_]+) = (\d+\.\d+)(?=\s|$)", re.MULTILINE)


class LateModel:
    """Serves until the process ends; `url` is its address."""

    def __init__(self, delay: float) -> None:
        """`delay`: seconds between a request and its answer."""
        rng = random.Random(0)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                threading.Event().wait(delay)
                _stream(self, _answer(json.dumps(request["messages"]), rng))

            def do_GET(self) -> None:
                self.send_error(404)

            def log_message(self, *args: object) -> None:
                """Benchmarks print figures, not requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def _answer(messages: str, rng: random.Random) -> str:
    source = messages.replace("\\n", "\n").replace('\\"', '"')
    name, value = rng.choice(CONSTANT.findall(source))
    return (
        f"Title: turn {name}\nCategory: optimizer\nHypothesis: a benchmark.\n\n"
        f"<<<<<<< SEARCH\n{name} = {value}\n=======\n"
        f"{name} = {float(value) * rng.uniform(0.5, 2):.6f}\n>>>>>>> REPLACE\n"
    )


def _stream(handler: BaseHTTPRequestHandler, text: str) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "bench",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    block = {"type": "text", "text": ""}
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 100},
        },
        {"type": "message_stop"},
    ]
    body = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
