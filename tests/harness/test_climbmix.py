"""The download survives a bad server on loopback, and never leaves a wrong or partial shard under its name."""

import hashlib
import io
import re
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import climbmix
from harness.corpus import choose_source, open_source
from harness.spec import HarnessError


def make_shard(number: int) -> bytes:
    """A parquet file of some 60 kB that does not compress."""
    texts = [hashlib.sha512(f"{number} {line}".encode()).hexdigest() for line in range(500)]
    out = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), out, compression="none", use_dictionary=False)
    return out.getvalue()


SHARDS = {f"shard_{n:05d}.parquet": make_shard(n) for n in (0, 1, 2, 6542)}
NAMES = list(SHARDS)


@dataclass
class Faults:
    """What the server does wrong, and what it has seen."""

    drop_after: int = 0  # bytes of each answer, until `drops` are used up; then the socket is reset
    close_after: int = 0  # the same, but with a clean close: a truncated body
    drops: int = 0
    status_after_drop: int = 0
    busy: int = 0  # answers of 503 first
    status: int = 0  # answer everything with this
    ranges: bool = True
    wrong_bytes: int = 0  # bodies with a flipped byte, of the right size
    sized: bool = True
    gets: Counter[str] = field(default_factory=Counter)
    offsets: list[int] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def use(self, name: str) -> bool:
        """Spend one of a counted fault."""
        with self.lock:
            left = getattr(self, name)
            setattr(self, name, max(0, left - 1))
        return bool(left > 0)


class Hub(ThreadingHTTPServer):
    """Answers `resolve` with a redirect to its own storage under another name, as the hub does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults = Faults()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are the point of these tests."""


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        faults, name = self.server.faults, self.path.rpartition("/")[2]
        faults.tokens.append(self.headers["Authorization"])
        if faults.status:
            self.reply(faults.status, {})
        elif faults.use("busy"):
            self.reply(503, {"Retry-After": "0"})
        elif name not in SHARDS:
            self.reply(404, {})
        elif self.path.startswith("/datasets/karpathy/climbmix-400b-shuffle/resolve/main/"):
            data = SHARDS[name]
            linked = {
                "X-Linked-Size": str(len(data)),
                "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"',
            }
            # "localhost" is another host than "127.0.0.1" to whoever looks after the token
            place = {"Location": f"http://localhost:{self.server.port}/storage/{name}"}
            self.reply(302, {**place, **(linked if faults.sized else {})})
        else:
            self.serve(name, body)

    def reply(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve(self, name: str, body: bool) -> None:
        faults, data = self.server.faults, SHARDS[name]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(asked[1]) if asked and faults.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if faults.sized:
            self.send_header("Content-Length", str(len(data) - start))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if not body:
            return
        with faults.lock:
            faults.gets[name] += 1
            faults.offsets.append(start)
        if faults.use("wrong_bytes"):
            data = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
        limit = faults.drop_after or faults.close_after
        if limit and faults.use("drops"):
            faults.status = faults.status_after_drop
            self.wfile.write(data[start : start + limit])
            self.wfile.flush()
            self.close_connection = True
            if faults.drop_after:
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(data[start:])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.port}")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server
        server.shutdown()
        thread.join()


def download(folder: Path, names: list[str] = NAMES) -> dict[str, str]:
    return climbmix.download_shards(names, folder, lambda message, fraction: None, backoff=0.01)


def is_whole(folder: Path, names: list[str] = NAMES) -> bool:
    """Every shard has its bytes, and nothing but shards is left to see."""
    visible = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    return visible == sorted(names) and all(
        (folder / name).read_bytes() == SHARDS[name] for name in names
    )


def test_a_good_server_gives_every_shard_once_with_its_hash(hub: Hub, tmp_path: Path) -> None:
    digests = download(tmp_path)
    assert is_whole(tmp_path)
    assert digests == {name: hashlib.sha256(data).hexdigest() for name, data in SHARDS.items()}
    assert set(hub.faults.gets.values()) == {1}


def test_what_is_there_is_not_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    download(tmp_path, NAMES[:2])
    seen = len(hub.faults.tokens)
    assert download(tmp_path, NAMES[:2]) == {
        n: hashlib.sha256(SHARDS[n]).hexdigest() for n in NAMES[:2]
    }
    assert len(hub.faults.tokens) == seen
    download(tmp_path)
    assert hub.faults.gets == dict.fromkeys(NAMES, 1)


@pytest.mark.parametrize("fault", ["drop_after", "close_after"])
def test_dropped_and_truncated_answers_are_resumed_where_they_ended(
    hub: Hub, tmp_path: Path, fault: str
) -> None:
    setattr(hub.faults, fault, 20_000)
    hub.faults.drops = 8
    download(tmp_path)
    assert is_whole(tmp_path)
    assert 20_000 in hub.faults.offsets


def test_progress_of_any_size_keeps_the_download_alive(hub: Hub, tmp_path: Path) -> None:
    hub.faults.close_after, hub.faults.drops = 3_000, 10_000
    download(tmp_path, NAMES[:1])
    assert is_whole(tmp_path, NAMES[:1])
    assert hub.faults.gets[NAMES[0]] > climbmix.ATTEMPTS


def test_a_server_that_ignores_the_offset_is_read_from_the_start(hub: Hub, tmp_path: Path) -> None:
    hub.faults.ranges, hub.faults.close_after, hub.faults.drops = False, 20_000, 2
    download(tmp_path)
    assert is_whole(tmp_path)


def test_a_busy_server_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults.busy = 7
    download(tmp_path)
    assert is_whole(tmp_path)


def test_a_download_that_was_given_up_goes_on_where_it_ended(hub: Hub, tmp_path: Path) -> None:
    (name,) = NAMES[:1]
    hub.faults.close_after, hub.faults.drops, hub.faults.status_after_drop = 30_000, 1, 500
    with pytest.raises(HarnessError, match=r"Cannot reach http://127\.0\.0\.1:.*on where it ended"):
        download(tmp_path, [name])
    assert not (tmp_path / name).exists()
    hub.faults.status = 0
    download(tmp_path, [name])
    assert is_whole(tmp_path, [name])
    assert hub.faults.offsets == [0, 30_000]


def test_wrong_bytes_once_are_fetched_anew(hub: Hub, tmp_path: Path) -> None:
    hub.faults.wrong_bytes = 1
    download(tmp_path)
    assert is_whole(tmp_path)


def test_wrong_bytes_again_and_again_are_an_error_and_leave_no_file(
    hub: Hub, tmp_path: Path
) -> None:
    hub.faults.wrong_bytes = 1000
    with pytest.raises(HarnessError, match=r"shard_00000\.parquet arrives damaged .*SHA-256"):
        download(tmp_path, NAMES[:1])
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("shard")] == []


@pytest.mark.parametrize(
    ("status", "advice"), [(404, "check HF_ENDPOINT"), (401, "set HF_TOKEN"), (403, "set HF_TOKEN")]
)
def test_what_no_repetition_mends_is_said_at_once(
    hub: Hub, tmp_path: Path, status: int, advice: str
) -> None:
    hub.faults.status = status
    with pytest.raises(HarnessError, match=advice) as caught:
        download(tmp_path)
    assert str(status) in str(caught.value)
    assert len(hub.faults.tokens) <= len(NAMES)


def test_a_server_without_sizes_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.faults.sized = False
    with pytest.raises(HarnessError, match="does not say how large"):
        download(tmp_path, NAMES[:1])


def test_the_token_is_shown_to_the_hub_and_to_no_other_host(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    download(tmp_path, NAMES[:1])
    # HEAD and GET at the hub, then GET at the storage
    assert hub.faults.tokens == ["Bearer secret", "Bearer secret", None]


def test_no_network_says_what_else_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(HarnessError, match=r"Cannot reach .*use --source local or a folder"):
        download(tmp_path)


def test_progress_goes_up_to_one(hub: Hub, tmp_path: Path) -> None:
    seen: list[float] = []
    climbmix.download_shards(NAMES, tmp_path, lambda message, fraction: seen.append(fraction))
    assert seen[-1] == 1.0
    assert all(0 <= fraction <= 1 for fraction in seen)


def test_a_full_disk_is_passed_on_and_no_part_stays_in_the_way(hub: Hub, tmp_path: Path) -> None:
    # A limit on the size of files fails the same writes as a full disk, and needs no rights.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            download(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]


# ---- as a source -----------------------------------------------------------------------------------------


def test_climbmix_validates_on_the_pinned_shard(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path))
    corpus = open_source(
        "climbmix", shards=2, local_mb=1, eval_tokens=1, report=lambda message, fraction: None
    )
    assert len(list(corpus.train_documents())) == 1000
    assert next(corpus.val_documents()) == hashlib.sha512(b"6542 0").hexdigest()
    assert sorted(hub.faults.gets) == [NAMES[0], NAMES[1], NAMES[3]]


def test_auto_takes_climbmix_where_the_hub_answers_or_the_shards_are_there(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path))
    assert choose_source(shards=1, gpu=True) == "climbmix"
    assert choose_source(shards=1, gpu=False) == "local"
    download(tmp_path / "shards", [NAMES[0], NAMES[3]])
    hub.faults.status = 503
    assert choose_source(shards=1, gpu=False) == "climbmix"
    assert choose_source(shards=2, gpu=True) == "local"


def test_a_silent_hub_is_given_up_within_the_time_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert not climbmix.hub_answers(0.2)
        assert time.monotonic() - started < 2
