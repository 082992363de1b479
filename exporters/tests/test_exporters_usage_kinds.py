"""Queries and rows, estimated tokens, and connections whose peer has vanished."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from rating_exporters import (
    CountedConnection,
    Guard,
    InferenceMetrics,
    QueryMetrics,
    TokenEstimate,
    UsageMetrics,
    UsageMiddleware,
    from_header,
)
from rating_exporters.connections import OpenConnections


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def queries(registry: CollectorRegistry, connection: Any, who: Callable[[], str | None]) -> CountedConnection:
    return CountedConnection(connection, QueryMetrics(registry, guard=Guard(registry=registry)), who, "shop")


def test_each_query_counts_once_and_each_row_as_it_is_handed_over(registry: CollectorRegistry) -> None:
    asking = ["acme"]
    with sqlite3.connect(":memory:") as plain, queries(registry, plain, lambda: asking[0]) as connection:
        connection.execute("CREATE TABLE things (n INTEGER)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO things VALUES (?)", [(n,) for n in range(10)])
        found = connection.execute("SELECT n FROM things")
        assert found.fetchone() == (0,)
        assert len(found.fetchmany(4)) == 4
        assert len(list(found)) == 5
        assert found.fetchall() == []
        assert found.fetchone() is None
        asking[0] = "globex"
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("SELECT nonsense FROM nowhere")
        assert connection.execute("UPDATE things SET n = n + 1 WHERE n < 3").rowcount == 3
        asking.clear()
        connection.execute("SELECT 1").fetchall()
    assert samples(registry, "queries_total") == {
        ("acme", "shop", "ok"): 3,
        ("globex", "shop", "error"): 1,
        ("globex", "shop", "ok"): 1,
        ("<unknown>", "shop", "ok"): 1,
    }
    assert samples(registry, "query_rows_total") == {
        ("acme", "shop", "written"): 10,
        ("acme", "shop", "read"): 10,
        ("globex", "shop", "written"): 3,
        ("<unknown>", "shop", "read"): 1,
    }


def test_postgresql_through_psycopg_counts_the_same(registry: CollectorRegistry) -> None:
    psycopg = pytest.importorskip("psycopg")
    parts = pytest.importorskip("rating_demo.parts", reason="needs the engine's demonstration, which starts servers")
    try:
        server = parts.PostgreSQL(install=os.environ.get("PARTS_INSTALL", "1") != "0")
    except parts.PartMissing as missing:
        pytest.skip(str(missing))
    with server, psycopg.connect(server.url.replace("postgresql+psycopg", "postgresql")) as plain:
        connection = queries(registry, plain, lambda: "acme")
        connection.execute("CREATE TABLE things (n INTEGER)")
        connection.execute("INSERT INTO things SELECT generate_series(1, 100)")
        assert len(connection.execute("SELECT n FROM things WHERE n > %s", (40,)).fetchall()) == 60
    assert samples(registry, "queries_total") == {("acme", "shop", "ok"): 3}
    assert samples(registry, "query_rows_total") == {("acme", "shop", "written"): 100, ("acme", "shop", "read"): 60}


@pytest.fixture(scope="module")
def vocabulary() -> Any:
    """A vocabulary made here, for tiktoken's own are downloaded: the 256 bytes and a few words."""
    import tiktoken

    ranks = {bytes([byte]): byte for byte in range(256)}
    for number, word in enumerate((b"he", b"ll", b"hell", b"hello"), 256):
        ranks[word] = number
    pattern = r"\w+|\s+|[^\w\s]+"
    return tiktoken.Encoding("made here", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


CHAT = {"model": "small", "messages": [{"role": "user", "content": "hello hello"}]}
STREAM = (
    b'data: {"choices": [{"delta": {"content": "hel"}}]}\n\n'
    b'data: {"choices": [{"delta": {"content": "lo"}}]}\r\n\r\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize(
    ("body", "kind", "output"),
    [
        (json.dumps({"choices": [{"message": {"content": "hello"}}]}).encode(), b"application/json", 1),
        (json.dumps({"content": [{"type": "text", "text": "hello!"}]}).encode(), b"application/json", 2),
        (STREAM, b"text/event-stream", 1),
        (b'data: {"type": "content_block_delta", "delta": {"text": "hello"}}\n\n', b"text/event-stream", 1),
    ],
)
def test_an_answer_that_states_no_usage_is_estimated_apart_and_still_called_unmetered(
    registry: CollectorRegistry, vocabulary: Any, body: bytes, kind: bytes, output: int
) -> None:
    ask(registry, TokenEstimate(vocabulary), body, kind)
    assert samples(registry, "llm_estimated_tokens_total") == {
        ("acme", "small", "input"): 3,
        ("acme", "small", "output"): output,
    }
    assert samples(registry, "llm_unmetered_responses_total") == {("acme",): 1}
    assert samples(registry, "llm_tokens_total") == {}


def test_what_the_provider_states_is_never_estimated(registry: CollectorRegistry, vocabulary: Any) -> None:
    stated = {"model": "big", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}
    ask(registry, TokenEstimate(vocabulary), json.dumps(stated).encode(), b"application/json")
    assert samples(registry, "llm_estimated_tokens_total") == {}
    assert sum(samples(registry, "llm_tokens_total").values()) == 12


def test_without_a_vocabulary_answers_are_unmetered_and_it_is_said(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no network
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    estimate = TokenEstimate.named("cl100k_base")
    assert estimate.encoding is None
    assert "no vocabulary cl100k_base" in caplog.text
    ask(registry, estimate, STREAM, b"text/event-stream")
    assert samples(registry, "llm_estimated_tokens_total") == {}
    assert samples(registry, "llm_unmetered_responses_total") == {("acme",): 1}


def ask(registry: CollectorRegistry, estimate: TokenEstimate, body: bytes, kind: bytes) -> None:
    """One request to a model behind the middleware, answered in two pieces."""

    async def model(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            continue
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body[:20], "more_body": True})
        await send({"type": "http.response.body", "body": body[20:]})

    metrics = UsageMetrics(registry)
    inference = InferenceMetrics(registry, guard=metrics.guard, endpoints={"/v1/chat"}, estimate=estimate)
    app = UsageMiddleware(
        model, metrics, from_header("x-consumer"), endpoint=lambda scope: scope["path"], inference=inference
    )
    text = json.dumps(CHAT).encode()
    pieces = [
        {"type": "http.request", "body": text[:9], "more_body": True},
        {"type": "http.request", "body": text[9:]},
    ]

    async def receive() -> Any:
        return pieces.pop(0)

    async def send(_: Any) -> None:
        return

    scope = {"type": "http", "method": "POST", "path": "/v1/chat", "headers": [(b"x-consumer", b"acme")]}
    asyncio.run(app(scope, receive, send))


class Line:
    """A connection that notes what it was charged."""

    def __init__(self, moved: float) -> None:
        self.moved = moved
        self.charged = 0.0

    def tick(self, seconds: float) -> None:
        self.charged += seconds


def test_a_connection_whose_peer_vanished_is_charged_no_further_until_a_byte_passes(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("rating_exporters.connections.perf_counter", lambda: now[0])

    async def story() -> tuple[float, float, float]:
        lines = OpenConnections(UsageMetrics(registry), interval=3600, stale_after=30)
        line = Line(now[0])
        lines.open(line)
        for _ in range(100):  # a hundred seconds of silence
            now[0] += 1
            lines.settle()
        silent = line.charged
        now[0] += 0.5
        line.moved = now[0]  # a byte
        for _ in range(10):
            now[0] += 1
            lines.settle()
        awake = line.charged
        now[0] += 500
        lines.close(line)
        return silent, awake, line.charged

    silent, awake, closed = asyncio.run(story())
    assert silent == pytest.approx(30)
    assert awake == pytest.approx(30 + 10)
    assert closed == pytest.approx(30 + 30)  # of the last silence, again thirty seconds from the last byte
    assert registry.get_sample_value("rating_exporters_stale_connections_total") == 2
