"""A real HTTP server in front of Prometheus that spoils chosen answers. Knows nothing of who asks or why."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.request import Request, urlopen


class Spoil(Enum):
    """What may become of one answer."""

    SILENCE = "no answer before the client gives up"
    DRIP = "a body that drips for longer than the client waits"
    SLOW = "a slow but whole answer"
    HANG_UP = "the connection closed without an answer"
    TRUNCATED = "JSON cut in half"
    CUT_SHORT = "fewer bytes than promised"
    UNAVAILABLE = "503 with a page"
    ERROR = "500 with Prometheus's own error"
    TOO_MANY = "422, the query would load too many samples"
    UNAUTHORISED = "401"
    HTML = "a login page with status 200"
    WARNINGS = "the whole answer, with a warning"
    PARTIAL = "half of the answer, with a warning"
    LIMITED = "half of the answer, as many series as a limit allows"
    TOO_WIDE = "422, the query would match too many series"
    FLIPPED = "one bit of the body turned over"
    RESTART = "the server restarts before it answers"


LATE = 1.0
"""Seconds that SILENCE and DRIP last; give the client less."""

_INSTEAD = {
    Spoil.UNAVAILABLE: (503, "text/html", b"<h1>503 Service Unavailable</h1>"),
    Spoil.ERROR: (
        500,
        "application/json",
        b'{"status":"error","errorType":"internal","error":"storage is closing"}',
    ),
    Spoil.TOO_MANY: (
        422,
        "application/json",
        b'{"status":"error","errorType":"execution","error":"query processing would load too many samples"}',
    ),
    Spoil.TOO_WIDE: (
        422,
        "application/json",
        b'{"status":"error","errorType":"422","error":"the number of matching timeseries exceeds 300000; either narrow'
        b' down the search or increase -search.max* command-line flag values at vmselect"}',
    ),
    Spoil.UNAUTHORISED: (401, "text/plain", b"Unauthorized"),
    Spoil.HTML: (200, "text/html; charset=utf-8", b"<!doctype html><title>Sign in</title>"),
}


_FORWARDED = ("content-type", "content-encoding", "accept-encoding", "x-prometheus-remote-read-version", "user-agent")


class Proxy:
    """Serves on a free loopback port. `spoil` decides by the number of the query since it was set, from 0."""

    def __init__(self, target: str, restart: Callable[[], None] = lambda: None) -> None:
        self.target, self.restart = target, restart
        self.asked = 0
        self.spoiled = ""
        """The content type of what was spoiled last."""
        self.behind = 0.0
        """Seconds by which the server's clock, as its answers tell it, is behind this machine's."""
        self._spoil: Callable[[int], Spoil | None] = lambda number: None
        self._lock = threading.Lock()
        proxy = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy._answer(self)

            do_POST = do_GET

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string((time.time() if timestamp is None else timestamp) - proxy.behind)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def spoil(self, plan: Callable[[int], Spoil | None]) -> None:
        """Begin to count anew, with this plan."""
        with self._lock:
            self.asked, self._spoil = 0, plan

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, door: BaseHTTPRequestHandler) -> None:
        length = int(door.headers.get("Content-Length") or 0)
        form = door.rfile.read(length) if length else None
        spoil = None
        if door.path.startswith(("/api/v1/query", "/api/v1/label", "/api/v1/read")):
            with self._lock:
                number, self.asked = self.asked, self.asked + 1
                spoil = self._spoil(number)
        # The client giving up first is what some spoils are for.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._say(door, form, spoil)

    def _say(self, door: BaseHTTPRequestHandler, form: bytes | None, spoil: Spoil | None) -> None:
        door.close_connection = True
        if spoil is Spoil.SILENCE:
            time.sleep(LATE)
        if spoil in (Spoil.SILENCE, Spoil.HANG_UP):
            return
        if spoil in _INSTEAD:
            _reply(door, *_INSTEAD[spoil])
            return
        if spoil is Spoil.RESTART:
            self.restart()
        if spoil is Spoil.SLOW:
            time.sleep(0.2)
        status, kind, body = self._ask(door, form)
        if spoil is not None:
            self.spoiled = kind
        match spoil:
            case Spoil.TRUNCATED:
                _reply(door, status, kind, body[: len(body) // 2])
            case Spoil.CUT_SHORT:
                _reply(door, status, kind, body[:-7], promised=len(body))
            case Spoil.WARNINGS | Spoil.PARTIAL | Spoil.LIMITED if "json" in kind:
                _reply(door, status, kind, _doubted(body, spoil))
            case Spoil.FLIPPED if body:
                # In the middle: among the samples of a stream, inside a name or a number of JSON.
                middle = len(body) // 2
                _reply(door, status, kind, body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :])
            case Spoil.DRIP:
                _drip(door, status, kind, body)
            case _:
                _reply(door, status, kind, body)

    def _ask(self, door: BaseHTTPRequestHandler, form: bytes | None) -> tuple[int, str, bytes]:
        headers = {name: value for name, value in door.headers.items() if name.lower() in _FORWARDED}
        with urlopen(Request(f"{self.target}{door.path}", data=form, headers=headers), timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()


def _reply(door: BaseHTTPRequestHandler, status: int, kind: str, body: bytes, promised: int | None = None) -> None:
    door.send_response(status)
    door.send_header("Content-Type", kind)
    door.send_header("Content-Length", str(len(body) if promised is None else promised))
    door.end_headers()
    door.wfile.write(body)


def _drip(door: BaseHTTPRequestHandler, status: int, kind: str, body: bytes) -> None:
    """A few bytes at a time: each arrives in time, the whole does not."""
    door.send_response(status)
    door.send_header("Content-Type", kind)
    door.send_header("Content-Length", str(len(body)))
    door.end_headers()
    pieces = 15
    size = -(-len(body) // pieces)
    for piece in range(pieces):
        door.wfile.write(body[piece * size : (piece + 1) * size])
        door.wfile.flush()
        time.sleep(LATE / pieces)


def _doubted(body: bytes, spoil: Spoil) -> bytes:
    answer = json.loads(body)
    limited = spoil is Spoil.LIMITED
    answer["warnings"] = ["results truncated due to limit" if limited else "store gateway 3 of 4 did not answer"]
    if spoil is not Spoil.WARNINGS and isinstance(answer["data"], dict):
        answer["data"]["result"] = answer["data"]["result"][::2]
    elif spoil is not Spoil.WARNINGS:
        answer["data"] = answer["data"][::2]
    return json.dumps(answer).encode()
