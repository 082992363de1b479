"""The ASGI middleware in front of real applications: what is counted, under which labels, and how often."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request, WebSocket
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from rating_exporters import (
    Guard,
    UsageMetrics,
    UsageMiddleware,
    by_header,
    by_status,
    endpoints_of,
    first_of,
    from_header,
    from_jwt_claim,
    from_state,
    metrics_app,
)

KEYS = {"k-acme": "acme", "k-globex": "globex"}


def api(**options: Any) -> tuple[FastAPI, CollectorRegistry, UsageMetrics]:
    registry = CollectorRegistry()
    metrics = UsageMetrics(registry, billable=options.pop("label_billable", False), guard=options.pop("guard", None))
    app = FastAPI()
    options.setdefault("consumer", from_header("x-api-key", keys=KEYS))
    app.add_middleware(UsageMiddleware, metrics=metrics, **options)

    @app.get("/search/{term}")
    async def search(term: str) -> str:
        return term

    @app.post("/echo")
    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("no database")

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(402, "pay first")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b"x" * 10

        return StreamingResponse(chunks())

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"x" * 10
            raise RuntimeError("the model died")

        return StreamingResponse(chunks())

    app.mount("/metrics", metrics_app(registry))
    return app, registry, metrics


def requests(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """consumer, endpoint, method, status (and billable) -> count."""
    order = ("consumer_id", "endpoint", "method", "status", "billable")
    return {
        tuple(sample.labels[name] for name in order if name in sample.labels): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "api_requests_total"
    }


def call(app: Any, *calls: tuple[str, str], headers: dict[str, str] | None = None, body: bytes = b"") -> list[int]:
    async def run() -> list[int]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            answers = [
                await client.request(method, path, headers=headers, content=body if method == "POST" else None)
                for method, path in calls
            ]
        return [answer.status_code for answer in answers]

    return asyncio.run(run())


def test_one_response_is_one_count_under_consumer_template_method_and_status() -> None:
    app, registry, _ = api()
    statuses = call(
        app, ("GET", "/search/a"), ("GET", "/search/b"), ("GET", "/refused"), headers={"X-API-Key": "k-acme"}
    )
    assert statuses == [200, 200, 402]
    assert requests(registry) == {
        ("acme", "/search/{term}", "GET", "200"): 2,
        ("acme", "/refused", "GET", "402"): 1,
    }


def test_no_key_is_anonymous_and_a_wrong_key_is_unknown_and_neither_is_dropped() -> None:
    app, registry, _ = api()
    call(app, ("GET", "/search/a"))
    call(app, ("GET", "/search/a"), headers={"x-api-key": "k-stolen"})
    assert requests(registry) == {
        ("<anonymous>", "/search/{term}", "GET", "200"): 1,
        ("<unknown>", "/search/{term}", "GET", "200"): 1,
    }


def test_a_path_no_route_takes_never_becomes_a_label() -> None:
    app, registry, _ = api()
    call(app, *(("GET", f"/wp-admin/{i}.php") for i in range(20)), headers={"x-api-key": "k-acme"})
    assert requests(registry) == {("acme", "<unmatched>", "GET", "404"): 20}


def test_a_method_the_client_invented_never_becomes_a_label() -> None:
    app, registry, _ = api()
    call(app, ("BREW", "/search/tea"), ("STEEP", "/search/tea"), headers={"x-api-key": "k-acme"})
    assert requests(registry) == {("acme", "/search/{term}", "<other>", "405"): 2}


def test_an_exception_is_counted_once_as_500() -> None:
    app, registry, _ = api()
    assert call(app, ("GET", "/broken"), headers={"x-api-key": "k-acme"}) == [500]
    assert requests(registry) == {("acme", "/broken", "GET", "500"): 1}


def test_a_stream_is_counted_once_at_its_end_with_all_its_bytes() -> None:
    app, registry, _ = api()
    call(app, ("GET", "/stream"), headers={"x-api-key": "k-acme"})
    labels = {"consumer_id": "acme", "endpoint": "/stream", "method": "GET"}
    assert requests(registry) == {("acme", "/stream", "GET", "200"): 1}
    assert registry.get_sample_value("api_response_bytes_total", labels) == 50


def test_a_stream_that_breaks_off_is_no_success_but_its_bytes_count() -> None:
    app, registry, _ = api()
    call(app, ("GET", "/half"), headers={"x-api-key": "k-acme"})
    labels = {"consumer_id": "acme", "endpoint": "/half", "method": "GET"}
    assert requests(registry) == {("acme", "/half", "GET", "500"): 1}
    assert registry.get_sample_value("api_response_bytes_total", labels) == 10


def test_bytes_both_ways_and_a_duration_without_consumer() -> None:
    app, registry, _ = api()
    call(app, ("POST", "/echo"), headers={"x-api-key": "k-acme"}, body=b"12345")
    labels = {"consumer_id": "acme", "endpoint": "/echo", "method": "POST"}
    assert registry.get_sample_value("api_request_bytes_total", labels) == 5
    assert registry.get_sample_value("api_response_bytes_total", labels) == 5
    del labels["consumer_id"]
    assert registry.get_sample_value("api_request_duration_seconds_count", labels) == 1


def test_a_client_that_leaves_mid_stream_is_counted_once_as_499() -> None:
    app, registry, _ = api()
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        if not sent:
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            raise OSError("the connection is gone")

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
        "path": "/stream", "raw_path": b"/stream", "query_string": b"", "root_path": "", "scheme": "http",
        "headers": [(b"x-api-key", b"k-acme")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    with pytest.raises(Exception):  # noqa: B017 - starlette's ClientDisconnect, or the OSError itself
        asyncio.run(app(scope, receive, send))
    assert requests(registry) == {("acme", "/stream", "GET", "499"): 1}


def test_a_whole_answer_is_counted_when_its_last_chunk_is_handed_over_and_a_stream_chunk_is_not() -> None:
    """Sending wakes the client; what a killed worker had not counted by then was often never counted."""
    registry = CollectorRegistry()
    seen = []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"12", "more_body": True})
        await send({"type": "http.response.body", "body": b"345"})

    async def send(message: Any) -> None:
        seen.append((message.get("body"), requests(registry)))
        if message.get("body") == b"345":
            raise OSError("the client went just now")

    app = UsageMiddleware(answer, UsageMetrics(registry), from_header("x"))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(OSError, match="just now"):
        asyncio.run(app(scope, _nothing, send))
    one = {("<anonymous>", "<unmatched>", "GET", "200"): 1}
    assert seen == [(None, {}), (b"12", {}), (b"345", one)]
    assert requests(registry) == one  # once, although the server broke over it
    by = {"consumer_id": "<anonymous>", "endpoint": "<unmatched>", "method": "GET"}
    assert registry.get_sample_value("api_response_bytes_total", by) == 5


def test_a_cancelled_request_is_counted_as_499() -> None:
    registry = CollectorRegistry()
    started = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        started.set()
        await asyncio.sleep(60)

    app = UsageMiddleware(slow, UsageMetrics(registry), from_header("x-api-key", keys=KEYS))
    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}

    async def run() -> None:
        task = asyncio.create_task(app(scope, _nothing, _nowhere))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert requests(registry) == {("<anonymous>", "<unmatched>", "GET", "499"): 1}


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _nowhere(message: Any) -> None:
    return None


def test_mounted_and_included_routes_give_their_whole_template() -> None:
    app, registry, _ = api()
    inner = APIRouter(prefix="/notes")

    @inner.get("/{note}")
    async def note(note: str) -> str:
        return note

    outer = APIRouter(prefix="/v1")
    outer.include_router(inner, prefix="/team")
    app.include_router(outer, prefix="/api")
    tenant = FastAPI()

    @tenant.get("/bill/{month}")
    async def bill(month: str) -> str:
        return month

    app.mount("/t/{tenant}", tenant)
    call(app, ("GET", "/api/v1/team/notes/7"), ("GET", "/t/acme/bill/3"), ("GET", "/t/acme/none"))
    assert set(requests(registry)) == {
        ("<anonymous>", "/api/v1/team/notes/{note}", "GET", "200"),
        ("<anonymous>", "/t/{tenant}/bill/{month}", "GET", "200"),
        ("<anonymous>", "<unmatched>", "GET", "404"),
    }
    assert "GET /api/v1/team/notes/{note}" in endpoints_of(app)
    assert "GET /t/{tenant}/bill/{month}" in endpoints_of(app)


def test_primed_series_stand_at_zero_and_a_first_request_is_an_increase() -> None:
    app, registry, metrics = api()
    assert metrics.prime(KEYS.values(), endpoints_of(app)) == 2 * 6
    assert requests(registry)[("globex", "/search/{term}", "GET", "200")] == 0
    call(app, ("GET", "/search/a"), headers={"x-api-key": "k-acme"})
    counts = requests(registry)
    assert counts[("acme", "/search/{term}", "GET", "200")] == 1
    assert sum(counts.values()) == 1
    with pytest.raises(ValueError, match="METHOD /template"):
        metrics.prime(["acme"], ["/search"])


def test_what_is_not_billable_is_counted_and_says_so() -> None:
    app, registry, _ = api(label_billable=True, billable=by_header("x-billable", also=by_status("2xx")))

    @app.get("/free")
    async def free() -> JSONResponse:
        return JSONResponse({}, headers={"X-Billable": "false"})

    call(app, ("GET", "/free"), ("GET", "/search/a"), ("GET", "/refused"), headers={"x-api-key": "k-acme"})
    assert requests(registry) == {
        ("acme", "/free", "GET", "200", "false"): 1,
        ("acme", "/search/{term}", "GET", "200", "true"): 1,
        ("acme", "/refused", "GET", "402", "false"): 1,
    }
    with pytest.raises(ValueError, match="billable=True"):
        UsageMiddleware(app, UsageMetrics(CollectorRegistry()), from_header("x"), billable=by_status("2xx"))


@pytest.mark.parametrize("impostor", ["<anonymous>", "<unknown>", "<overflow>", "<free>"])
def test_nobody_can_call_himself_by_a_reserved_word(impostor: str) -> None:
    app, registry, _ = api(consumer=from_header("x-consumer"))
    call(app, ("GET", "/search/a"), headers={"x-consumer": impostor})
    assert requests(registry) == {("<unknown>", "/search/{term}", "GET", "200"): 1}


def test_a_rule_that_raises_costs_nobody_a_request_or_a_count() -> None:
    def rule(_: object) -> str:
        raise KeyError("tenant")

    app, registry, _ = api(consumer=rule)
    assert call(app, ("GET", "/search/a"), ("GET", "/search/a")) == [200, 200]
    assert requests(registry) == {("<unknown>", "/search/{term}", "GET", "200"): 2}
    assert registry.get_sample_value("rating_exporters_faults_total", {"where": "consumer"}) == 2


def token(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"Bearer e30.{body}.c2ln"


@pytest.mark.parametrize(
    ("shown", "consumer"),
    [
        (None, "<anonymous>"),
        (token({"sub": "acme"}), "acme"),
        (token({"sub": 42}), "42"),
        (token({"sub": {"nested": 1}}), "<unknown>"),
        (token({"aud": "acme"}), "<unknown>"),
        (token(["sub"]), "<unknown>"),
        ("Bearer not-a-token", "<unknown>"),
        ("Bearer a.é.c", "<unknown>"),
        ("Basic YWNtZTpwdw==", "<anonymous>"),
    ],
)
def test_a_jwt_claim_names_the_consumer(shown: str | None, consumer: str) -> None:
    app, registry, _ = api(consumer=from_jwt_claim("sub"))
    call(app, ("GET", "/search/a"), headers={"authorization": shown.encode("latin-1")} if shown else None)  # type: ignore[dict-item]
    assert requests(registry) == {(consumer, "/search/{term}", "GET", "200"): 1}


def test_the_application_itself_may_say_who_it_was() -> None:
    app, registry, _ = api(consumer=first_of(from_header("x-api-key", keys=KEYS), from_state("tenant")))

    @app.middleware("http")
    async def authenticate(request: Request, forward: Callable[[Request], Awaitable[Any]]) -> Any:
        request.state.tenant = request.query_params.get("tenant")
        return await forward(request)

    @app.get("/inner")
    async def inner(request: Request) -> str:
        request.state.tenant = "initech"
        return "ok"

    call(app, ("GET", "/inner"))
    call(app, ("GET", "/inner"), headers={"x-api-key": "k-acme"})
    assert {key[0] for key in requests(registry)} == {"initech", "acme"}


def test_a_websocket_counts_its_seconds_while_open_and_its_bytes() -> None:
    app, registry, _ = api()

    @app.websocket("/live/{room}")
    async def live(socket: WebSocket, room: str) -> None:
        await socket.accept()
        for _ in range(3):
            await socket.send_text(await socket.receive_text() * 2)
        await socket.close()

    with TestClient(app) as client, client.websocket_connect("/live/7", headers={"x-api-key": "k-acme"}) as socket:
        for _ in range(3):
            socket.send_text("äb")
            assert socket.receive_text() == "äbäb"
    labels = {"consumer_id": "acme", "endpoint": "/live/{room}"}
    assert registry.get_sample_value("api_connection_seconds_total", labels) > 0
    assert registry.get_sample_value("api_request_bytes_total", {**labels, "method": "WEBSOCKET"}) == 9
    assert registry.get_sample_value("api_response_bytes_total", {**labels, "method": "WEBSOCKET"}) == 18
    assert requests(registry) == {("acme", "/live/{room}", "WEBSOCKET", "101"): 1}


def test_the_metrics_page_is_not_usage_and_can_be_had_in_both_formats() -> None:
    app, registry, _ = api(guard=None)
    with TestClient(app) as client:
        client.get("/search/a")
        text = client.get("/metrics/")
        open_metrics = client.get("/metrics/", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert client.post("/metrics/").status_code == 405
        assert client.head("/metrics/").content == b""
    assert 'api_requests_total{consumer_id="<anonymous>",endpoint="/search/{term}"' in text.text
    assert text.headers["content-encoding"] == "gzip"
    assert open_metrics.text.endswith("# EOF\n")
    assert sum(requests(registry).values()) == 1


def test_beyond_its_bound_a_consumer_is_counted_as_overflow_and_the_sum_stays_true() -> None:
    registry = CollectorRegistry()
    metrics = UsageMetrics(registry, guard=Guard({"consumer_id": 2}, registry=registry))
    for turn in range(3):
        for consumer in ("a", "b", "c", "d", "x" * 10_000, "<anonymous>"):
            metrics.record(consumer, "/s", "GET", 200, seconds=turn)
    assert requests(registry) == {
        ("a", "/s", "GET", "200"): 3,
        ("b", "/s", "GET", "200"): 3,
        ("<overflow>", "/s", "GET", "200"): 9,
        ("<anonymous>", "/s", "GET", "200"): 3,
    }
    labels = {"metric": "api_requests_total", "label": "consumer_id"}
    assert registry.get_sample_value("rating_exporters_overflow_total", labels) == 9


def test_counters_that_cannot_be_written_do_not_take_the_api_down() -> None:
    class Full:
        """A durable counter on a full disk."""

        def labels(self, *values: str) -> Any:
            raise OSError(28, "No space left on device")

    app, registry, metrics = api()
    metrics.requests = Full()
    assert call(app, ("GET", "/search/a"), ("GET", "/stream")) == [200, 200]
    assert registry.get_sample_value("rating_exporters_faults_total", {"where": "record"}) == 2
