"""A small service on a loopback port, in a thread: what stands-ins for collectors share.

Decides nothing about papers: routes, keys that are remembered for a day of its own clock, and faults on purpose.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Refusal(Exception):
    """The service says no, with a status and a body."""

    def __init__(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, dict(body), dict(headers or {})


Answer = tuple[int, dict[str, Any]]


class Service:
    """Answers each request by `answer`, which subclasses write; one request after the other."""

    key_header = ""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.calls: list[tuple[str, str]] = []
        self.remembered: dict[str, tuple[str, Answer]] = {}
        self.fault: Refusal | None = None
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536  # an answer is one packet

            def log_message(self, *said: Any) -> None:
                return

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                with service.turn:
                    headers: dict[str, str] = {}
                    try:
                        status, found = service.asked(self.command, self.path, dict(self.headers.items()), body)
                    except Refusal as refusal:
                        status, found, headers = refusal.status, refusal.body, refusal.headers
                content = json.dumps(found).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                if status != HTTPStatus.NO_CONTENT:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if status != HTTPStatus.NO_CONTENT:
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = handle_one

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def forget_keys(self) -> None:
        """A day has passed."""
        self.remembered.clear()

    def asked(self, method: str, path: str, headers: Mapping[str, str], body: str) -> Answer:
        self.calls.append((method, path))
        if self.fault is not None:
            raise self.fault
        lower = {name.lower(): value for name, value in headers.items()}
        key = lower.get(self.key_header, "")
        if key and key in self.remembered:
            before, answer = self.remembered[key]
            if before != body:
                raise Refusal(409, {"message": "this key was used with other parameters"})
            return answer
        answer = self.answer(method, path, lower, body)
        if key:
            self.remembered[key] = (body, answer)
        return answer

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: str) -> Answer:
        raise NotImplementedError
