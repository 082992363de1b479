"""The sales team's inbox: a webhook that keeps every notification Alertmanager delivers. Judges none of them.

`python -m rating_demo.inbox --port 8001` prints them; inside the demonstration it runs on a thread and keeps them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Self

_LARGEST = 1 << 20
"""Bytes; Alertmanager's notifications are a few thousand."""


@dataclass(frozen=True, slots=True)
class Received:
    """One alert of one notification."""

    at: datetime
    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Inbox:
    """A webhook on `host:port` (0: any free one). Notifications are written to `folder` as they came, when given."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        on_receipt: Callable[[Received], None] = lambda received: None,
    ) -> None:
        self.folder, self._on_receipt = folder, on_receipt
        self._received: list[Received] = []
        self._lock = Lock()
        inbox = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                if length > _LARGEST:
                    self.send_error(413)
                    return
                try:
                    inbox.take(self.rfile.read(length))
                except (ValueError, KeyError, TypeError, AttributeError):
                    self.send_error(400, "not a notification of Alertmanager")
                    return
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer((host, port), Door)
        self.url = f"http://{host}:{self._server.server_address[1]}/sales"

    def take(self, body: bytes) -> None:
        """Keep one notification.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is not one of Alertmanager's.
        """
        notification: dict[str, Any] = json.loads(body)
        at = datetime.now(UTC)
        received = [
            Received(at, notification["receiver"], alert["status"], dict(alert["labels"]), dict(alert["annotations"]))
            for alert in notification["alerts"]
        ]
        with self._lock:
            self._received += received
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / f"{len(self._received):04}.json").write_text(json.dumps(notification, indent=1))
        for one in received:
            self._on_receipt(one)

    @property
    def received(self) -> tuple[Received, ...]:
        with self._lock:
            return tuple(self._received)

    def serve(self) -> None:
        self._server.serve_forever()

    def __enter__(self) -> Self:
        Thread(target=self.serve, daemon=True, name="inbox").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=8001)
    given = options.parse_args()

    def show(received: Received) -> None:
        print(received.status, received.labels, received.annotations.get("summary", ""), flush=True)

    inbox = Inbox(host=given.host, port=given.port, on_receipt=show)
    print(f"waiting for notifications at {inbox.url}", flush=True)
    inbox.serve()


if __name__ == "__main__":
    main()
