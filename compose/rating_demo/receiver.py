"""Somebody else's web service on loopback that keeps what is posted to it: a CRM's intake, a chat, an API.

Checks the signature of Standard Webhooks by its own few lines, not by ours, and drops what it has under the same id.
`python -m rating_demo.receiver --port 8002 --secret SECRET` prints what comes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self

TOLERANCE = 300
"""Seconds that a signature's time may be off: an old one is a replay."""


@dataclass(frozen=True, slots=True)
class Posted:
    """One request as it came in."""

    at: datetime
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"{}"
    after: float = 0
    """Seconds before it answers."""


class Receiver:
    """Listens on a free port. `answer` decides by the number of the request, from 1.

    With `secret`, only what is signed with it is accepted, and a second delivery under one id is answered and dropped.
    """

    def __init__(
        self,
        *,
        secret: str = "",
        answer: Callable[[int], Answer] = lambda number: Answer(),
        host: str = "127.0.0.1",
        port: int = 0,
        on_receipt: Callable[[Posted], None] = lambda posted: None,
    ) -> None:
        self._posted: list[Posted] = []
        self._dropped = 0
        self._lock, self._asked = Lock(), 0
        self._secret, self._answer, self._on_receipt = secret, answer, on_receipt
        receiver = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                posted = Posted(datetime.now(UTC), self.command, self.path, headers, body)
                answer = receiver.take(posted)
                time.sleep(answer.after)
                try:
                    self.send_response(answer.status)
                    for name, value in (*answer.headers, ("Content-Length", str(len(answer.body)))):
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:
                    return  # whoever asked has gone

            do_PATCH = do_POST

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer((host, port), Door)
        self.url = f"http://{host}:{self._server.server_address[1]}/intake"

    def take(self, posted: Posted) -> Answer:
        if self._secret and not verified(posted, self._secret, now=time.time()):
            return Answer(400, body=b'{"error": "the signature is wrong"}')
        with self._lock:
            self._asked += 1
            answer = self._answer(self._asked)
            name = posted.headers.get("webhook-id")
            if 200 <= answer.status < 300:
                if name is not None and name in {one.headers.get("webhook-id") for one in self._posted}:
                    self._dropped += 1
                else:
                    self._posted.append(posted)
                    self._on_receipt(posted)
            return answer

    @property
    def posted(self) -> Sequence[Posted]:
        """What was accepted, each once."""
        with self._lock:
            return tuple(self._posted)

    @property
    def dropped(self) -> int:
        """How many deliveries were here already."""
        with self._lock:
            return self._dropped

    def serve(self) -> None:
        self._server.serve_forever()

    def __enter__(self) -> Self:
        Thread(target=self.serve, daemon=True, name="receiver").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def verified(posted: Posted, secret: str, *, now: float) -> bool:
    """Whether the request was signed with the secret, and not long ago."""
    name, stamp, shown = (posted.headers.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not stamp.isdecimal() or abs(now - int(stamp)) > TOLERANCE:
        return False
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    mac = hmac.new(key, f"{name}.{stamp}.".encode() + posted.body, hashlib.sha256)
    expected = "v1," + base64.b64encode(mac.digest()).decode()
    return any(hmac.compare_digest(expected, one) for one in shown.split(" "))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=8002)
    options.add_argument("--secret", default="", help="what senders sign with; unsigned posts are then refused")
    given = options.parse_args()

    def show(posted: Posted) -> None:
        print(posted.body.decode("utf-8", "replace"), flush=True)

    receiver = Receiver(secret=given.secret, host=given.host, port=given.port, on_receipt=show)
    print(f"waiting for signed webhooks at {receiver.url}", flush=True)
    receiver.serve()


if __name__ == "__main__":
    main()
