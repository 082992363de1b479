"""A real server and a client that hangs up: what uvicorn tells the middleware, and what is counted for it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry

from rating_exporters import UsageMetrics, UsageMiddleware, from_header


@contextmanager
def serving(app: FastAPI) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def until(registry: CollectorRegistry, status: str) -> float:
    """The count of /stream responses with a status, waited for."""
    labels = {"consumer_id": "acme", "endpoint": "/stream", "method": "GET", "status": status}
    deadline = time.monotonic() + 20
    while not (value := registry.get_sample_value("api_requests_total", labels)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return value or 0


def test_a_client_that_hangs_up_is_499_and_one_that_stays_is_200() -> None:
    registry = CollectorRegistry()
    app = FastAPI()
    app.add_middleware(UsageMiddleware, metrics=UsageMetrics(registry), consumer=from_header("x-consumer"))

    @app.get("/stream")
    async def stream(endless: bool = False) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first"
            while endless:
                await asyncio.sleep(0.01)
                yield b"more"

        return StreamingResponse(chunks())

    request = "GET /stream%s HTTP/1.1\r\nHost: api\r\nX-Consumer: acme\r\nConnection: close\r\n\r\n"
    with serving(app) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall((request % "?endless=1").encode())
            heard = b""
            while b"first" not in heard:
                heard += client.recv(4096)
        assert until(registry, "499") == 1
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall((request % "").encode())
            while client.recv(4096):
                continue
        assert until(registry, "200") == 1
    total = sum(s.value for f in registry.collect() for s in f.samples if s.name == "api_requests_total")
    assert total == 2
