"""Counting without ASGI: WSGI applications behind a real server, functions and blocks of code."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import pytest
from prometheus_client import CollectorRegistry

from rating_exporters import Call, UsageMetrics, UsageMiddlewareWSGI, by_status, counted, from_header

KEYS = {"k-acme": "acme"}


class Silent(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        return


@contextmanager
def serve(app: Any) -> Iterator[http.client.HTTPConnection]:
    with make_server("127.0.0.1", 0, app, handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        yield connection
        connection.close()
        server.shutdown()
        thread.join()


def counts(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "api_requests_total"
    }


def shop(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    environ["werkzeug.request"] = SimpleNamespace(url_rule=SimpleNamespace(rule="/things/<int:thing>"))
    if path == "/broken":
        raise RuntimeError("no database")
    if path == "/upload":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start("201 Created", [("Content-Type", "text/plain")])
        return [b"got %d" % len(body)]
    if path == "/stream":
        start("200 OK", [("Content-Type", "text/plain")])
        return (b"0123456789" for _ in range(4))
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


@pytest.mark.parametrize("checked", [True, False])
def test_flask_style_template_bytes_and_status_behind_a_real_server(checked: bool) -> None:
    check = validator if checked else lambda app: app
    registry = CollectorRegistry()
    app = UsageMiddlewareWSGI(check(shop), UsageMetrics(registry), from_header("x-api-key", keys=KEYS))
    with serve(check(app)) as client:
        for method, path, body in (("GET", "/1", None), ("POST", "/upload", b"12345"), ("GET", "/stream", None)):
            client.request(method, path, body=body, headers={"X-API-Key": "k-acme", "Content-Type": "text/plain"})
            answer = client.getresponse()
            answer.read()
            if path == "/1" and not checked:
                assert answer.headers["content-length"] == "5"  # the sized body is still sized
            client.close()
    assert counts(registry) == {
        ("acme", "/things/<int:thing>", "GET", "200"): 2,
        ("acme", "/things/<int:thing>", "POST", "201"): 1,
    }
    by = {"consumer_id": "acme", "endpoint": "/things/<int:thing>"}
    assert registry.get_sample_value("api_request_bytes_total", {**by, "method": "POST"}) == 5
    assert registry.get_sample_value("api_response_bytes_total", {**by, "method": "GET"}) == 45


def run(app: Any, path: str, take: int | None = None) -> None:
    body = app({"PATH_INFO": path, "REQUEST_METHOD": "GET"}, lambda *_: lambda data: None)
    taken = 0
    try:
        for _ in body:
            taken += 1
            if taken == take:
                return
    finally:
        if hasattr(body, "close"):
            body.close()


def test_an_application_that_breaks_is_counted_once_as_500() -> None:
    registry = CollectorRegistry()
    app = UsageMiddlewareWSGI(shop, UsageMetrics(registry), from_header("x-api-key", keys=KEYS))
    with pytest.raises(RuntimeError, match="no database"):
        run(app, "/broken")
    assert counts(registry) == {("<anonymous>", "/things/<int:thing>", "GET", "500"): 1}


def test_a_response_the_server_closes_early_is_499_with_the_bytes_it_took() -> None:
    registry = CollectorRegistry()
    metrics = UsageMetrics(registry, billable=True)
    app = UsageMiddlewareWSGI(shop, metrics, from_header("x-api-key"), billable=by_status("2xx"))
    run(app, "/stream", take=3)
    run(app, "/stream")
    assert counts(registry) == {
        ("<anonymous>", "/things/<int:thing>", "GET", "499", "false"): 1,
        ("<anonymous>", "/things/<int:thing>", "GET", "200", "true"): 1,
    }
    by = {"consumer_id": "<anonymous>", "endpoint": "/things/<int:thing>", "method": "GET"}
    assert registry.get_sample_value("api_response_bytes_total", by) == 20 + 40


def whole(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "5")])
    return [b"12", b"345"]


def nonzero(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    return {labels: count for labels, count in counts(registry).items() if count}


def handed(app: Any, registry: CollectorRegistry, sock: object) -> list[tuple[bytes, dict[tuple[str, ...], float]]]:
    """Each chunk as gunicorn gets it, with what was counted by then; it closes the response without asking for more."""
    body = app({"PATH_INFO": "/", "REQUEST_METHOD": "GET", "gunicorn.socket": sock}, lambda *started: None)
    chunks = []
    for chunk in body:
        chunks.append((chunk, nonzero(registry)))
        if chunk == b"345":
            break
    body.close()
    return chunks


def test_under_gunicorn_a_whole_answer_is_counted_before_its_last_chunk_is_sent() -> None:
    registry = CollectorRegistry()
    app = UsageMiddlewareWSGI(whole, UsageMetrics(registry), from_header("x"))
    mine, yours = socket.socketpair()
    with mine, yours:
        one = {("<anonymous>", "<unmatched>", "GET", "200"): 1.0}
        # The empty chunk makes gunicorn send the headers: what wakes the client lies before the count.
        assert handed(app, registry, mine) == [(b"12", {}), (b"", {}), (b"345", one)]
        assert nonzero(registry) == one
        by = {"consumer_id": "<anonymous>", "endpoint": "<unmatched>", "method": "GET"}
        assert registry.get_sample_value("api_response_bytes_total", by) == 5
        yours.sendall(b"GET /the-next HTTP/1.1")
        assert (b"", one) in handed(app, registry, mine)  # a client that already asks for more is there
        assert mine.recv(8) == b"GET /the"  # only looked at


@pytest.mark.parametrize("what", ["gone", "green", "none"])
def test_a_client_that_is_gone_or_cannot_be_seen_is_counted_when_the_last_chunk_was_taken(what: str) -> None:
    registry = CollectorRegistry()
    app = UsageMiddlewareWSGI(whole, UsageMetrics(registry), from_header("x"))
    mine, yours = socket.socketpair()
    yours.close()
    with mine:
        sock = {"gone": mine, "green": SimpleNamespace(recv=lambda *asked: b""), "none": None}[what]
        assert handed(app, registry, sock) == [(b"12", {}), (b"345", {})]
    assert nonzero(registry) == {("<anonymous>", "<unmatched>", "GET", "499"): 1}


def test_the_old_write_callable_is_counted_too() -> None:
    def old(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [])(b"written")
        return []

    registry = CollectorRegistry()
    run(UsageMiddlewareWSGI(old, UsageMetrics(registry), from_header("x")), "/")
    by = {"consumer_id": "<anonymous>", "endpoint": "<unmatched>", "method": "GET"}
    assert registry.get_sample_value("api_response_bytes_total", by) == 7


def test_a_block_of_code_is_a_call_with_its_own_figures() -> None:
    registry = CollectorRegistry()
    metrics = UsageMetrics(registry)
    with Call(metrics, "acme", "nightly-report") as call:
        call.sent = 2048
    with pytest.raises(OSError, match="disk"), Call(metrics, None, "nightly-report"):
        raise OSError("disk")
    assert counts(registry) == {
        ("acme", "nightly-report", "CALL", "200"): 1,
        ("<anonymous>", "nightly-report", "CALL", "500"): 1,
    }


def test_a_decorated_function_counts_each_call_sync_and_async() -> None:
    registry = CollectorRegistry()
    metrics = UsageMetrics(registry)

    @counted(metrics, consumer=lambda tenant, n: tenant, endpoint="square")
    def square(tenant: str, n: int) -> int:
        return n * n

    @counted(metrics, consumer=lambda tenant, n: tenant, endpoint="square")
    async def square_later(tenant: str, n: int) -> int:
        await asyncio.sleep(0)
        if n < 0:
            raise ValueError("negative")
        return n * n

    assert square("acme", 3) == 9
    assert asyncio.run(square_later("acme", 4)) == 16
    with pytest.raises(ValueError, match="negative"):
        asyncio.run(square_later("acme", -1))
    with pytest.raises(TypeError):
        square("acme")  # type: ignore[call-arg]
    assert counts(registry) == {
        ("acme", "square", "CALL", "200"): 2,
        ("acme", "square", "CALL", "500"): 1,
        ("<unknown>", "square", "CALL", "500"): 1,
    }
    with pytest.raises(TypeError, match="generator"):
        counted(metrics, consumer=str)(run_forever)


def run_forever() -> Iterator[int]:
    yield 1
