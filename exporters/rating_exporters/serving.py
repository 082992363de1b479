"""A process that counts and serves its metrics page until it is told to stop. Leaves counting to whoever asks."""

from __future__ import annotations

import signal
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from .exposition import metrics_wsgi_app


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        return


def process_registry() -> CollectorRegistry:
    """A registry with what Prometheus wants to know of any process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class Page:
    """The metrics page of a registry on HOST:PORT. OSError or ValueError when it cannot listen there."""

    def __init__(self, listen: str, registry: CollectorRegistry) -> None:
        host, _, port = listen.rpartition(":")
        if not port.isdigit():
            raise ValueError(f"--listen {listen}: it reads HOST:PORT, such as 127.0.0.1:9119")
        self._server = make_server(host.strip("[]"), int(port), metrics_wsgi_app(registry), _Server, _Silent)
        self.address = f"http://{host}:{self._server.server_port}/metrics"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def told_to_stop() -> threading.Event:
    """An event that SIGTERM and SIGINT set: what is being counted is finished first."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
