"""Tokens as the provider stated them, out of answers and streams cut anywhere; seconds of streams while they run."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rating_exporters import (
    InferenceMetrics,
    TokenReader,
    Tokens,
    UsageMetrics,
    UsageMiddleware,
    from_header,
    tokens_of,
)

CHAT = {
    "model": "gpt-4.1", "choices": [],
    "usage": {
        "prompt_tokens": 1000, "completion_tokens": 300, "total_tokens": 1300,
        "prompt_tokens_details": {"cached_tokens": 800}, "completion_tokens_details": {"reasoning_tokens": 120},
    },
}  # fmt: skip
RESPONSES = {
    "model": "gpt-5",
    "usage": {"input_tokens": 50, "input_tokens_details": {"cached_tokens": 20}, "output_tokens": 7},
}
MESSAGES = {
    "model": "messages-1", "type": "message",
    "usage": {
        "input_tokens": 10, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 90, "output_tokens": 41,
    },
}  # fmt: skip
EMBEDDING = {"model": "embed", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        (CHAT, Tokens("gpt-4.1", input=200, cache_read=800, output=300)),
        (RESPONSES, Tokens("gpt-5", input=30, cache_read=20, output=7)),
        (MESSAGES, Tokens("messages-1", input=10, cache_read=900, cache_write=90, output=41)),
        (EMBEDDING, Tokens("embed", input=8)),
        ({"type": "response.completed", "response": RESPONSES}, Tokens("gpt-5", input=30, cache_read=20, output=7)),
        ({"model": "m", "usage": None}, None),
        ({"model": "m", "usage": {"credits": 3}}, None),
        ({"usage": {"prompt_tokens": -5}}, None),
        ({"usage": {"prompt_tokens": True}}, None),
        ({"usage": {"prompt_tokens": 1.5}}, None),
        ({"usage": {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}}, None),
        (["usage"], None),
    ],
)
def test_each_provider_says_it_in_its_own_way(answer: Any, tokens: Tokens | None) -> None:
    assert tokens_of(answer) == tokens


def events(*payloads: Any, end: str = "\n") -> bytes:
    text = "".join(f"event: x{end}data: {p if isinstance(p, str) else json.dumps(p)}{end}{end}" for p in payloads)
    return f": a comment{end}{end}{text}".encode()


OPENAI_STREAM = (
    {"model": "gpt-4.1", "choices": [{"delta": {"content": 'say "usage": 7'}}], "usage": None},
    {"model": "gpt-4.1", "choices": [], "usage": CHAT["usage"]},
    "[DONE]",
)
ANTHROPIC_STREAM = (
    {"type": "message_start", "message": {**MESSAGES, "usage": {**MESSAGES["usage"], "output_tokens": 1}}},  # type: ignore[dict-item]
    {"type": "content_block_delta", "delta": {"text": "usage"}},
    {"type": "message_delta", "usage": {"output_tokens": 20}},
    {"type": "message_delta", "usage": {"output_tokens": 41}},
    {"type": "message_stop"},
)


@given(st.data(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_stream_cut_anywhere_says_the_same(data: st.DataObject, end: str) -> None:
    for stream, tokens in (
        (OPENAI_STREAM, Tokens("gpt-4.1", input=200, cache_read=800, output=300)),
        (ANTHROPIC_STREAM, Tokens("messages-1", input=10, cache_read=900, cache_write=90, output=41)),
    ):
        body = events(*stream, end=end)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
        reader = TokenReader(stream=True)
        for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True):
            reader.feed(body[start:stop])
        assert reader.tokens() == tokens


@given(st.binary(max_size=200), st.booleans())
def test_no_body_can_upset_the_reader(body: bytes, stream: bool) -> None:
    reader = TokenReader(stream=stream)
    reader.feed(b"data: {" + body)
    reader.feed(body)
    assert reader.tokens() is None


def model(path: str) -> tuple[bytes, list[bytes], int]:
    """Content type, chunks and status of a made-up provider."""
    streams = {"/openai": events(*OPENAI_STREAM), "/anthropic": events(*ANTHROPIC_STREAM)}
    if path in streams:
        body = streams[path]
        return b"text/event-stream; charset=utf-8", [body[:50], body[50:]], 200
    if path == "/half":
        return b"text/event-stream", [events(*ANTHROPIC_STREAM[:3])], 200
    if path == "/silent":
        return b"application/json", [b'{"answer": 42}'], 200
    if path == "/refused":
        return b"application/json", [b'{"error": "too many"}'], 429
    return b"application/json", [json.dumps(CHAT).encode()], 200


async def provider(scope: Any, receive: Any, send: Any) -> None:
    kind, chunks, status = model(scope["path"])
    headers = [(b"content-type", kind)] + ([(b"content-encoding", b"gzip")] if scope["path"] == "/zipped" else [])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if scope["path"] == "/half":
        raise ConnectionError("the provider went away")
    await send({"type": "http.response.body", "body": b""})


def ask(*paths: str) -> dict[str, dict[tuple[str, ...], float]]:
    registry = CollectorRegistry()
    usage = UsageMetrics(registry)
    endpoints = {"/openai", "/anthropic", "/half", "/silent", "/refused", "/plain", "/zipped"}
    inference = InferenceMetrics(registry, guard=usage.guard, endpoints=endpoints)
    app = UsageMiddleware(
        provider, usage, from_header("x-consumer"), endpoint=lambda scope: scope["path"], inference=inference
    )

    async def nothing(message: Any = None) -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def run() -> None:
        for path in paths:
            scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"x-consumer", b"acme")]}
            try:
                await app(scope, nothing, nothing)
            except ConnectionError:
                continue

    asyncio.run(run())
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_answers_and_streams_are_counted_by_model_direction_and_cache() -> None:
    found = ask("/plain", "/openai", "/anthropic", "/elsewhere")
    assert found["llm_tokens_total"] == {
        ("acme", "gpt-4.1", "input", "no"): 400,
        ("acme", "gpt-4.1", "input", "read"): 1600,
        ("acme", "gpt-4.1", "output", "no"): 600,
        ("acme", "messages-1", "input", "no"): 10,
        ("acme", "messages-1", "input", "read"): 900,
        ("acme", "messages-1", "input", "write"): 90,
        ("acme", "messages-1", "output", "no"): 41,
    }
    assert found["llm_inferences_total"] == {("acme", "gpt-4.1"): 2, ("acme", "messages-1"): 1}
    assert "llm_unmetered_responses_total" not in found


def test_a_broken_stream_is_no_inference_but_its_stated_tokens_were_used() -> None:
    found = ask("/half")
    assert found["llm_tokens_total"][("acme", "messages-1", "output", "no")] == 20
    assert "llm_inferences_total" not in found
    assert found["api_requests_total"] == {("acme", "/half", "POST", "500"): 1}


def test_a_successful_answer_without_readable_usage_is_unmetered_and_a_refusal_is_not() -> None:
    found = ask("/silent", "/refused", "/zipped")
    assert found["llm_unmetered_responses_total"] == {("acme",): 2}
    assert "llm_tokens_total" not in found


def test_an_event_stream_counts_seconds_and_bytes_while_it_is_open() -> None:
    registry = CollectorRegistry()
    finish = asyncio.Event()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await finish.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})

    app = UsageMiddleware(stream, UsageMetrics(registry), from_header("x-consumer"), endpoint=lambda scope: "/live")
    app.connections.interval = 0.01

    async def nothing(message: Any = None) -> Any:
        return {"type": "http.request"}

    async def run() -> tuple[float, float]:
        scope = {"type": "http", "method": "GET", "path": "/live", "headers": [(b"x-consumer", b"acme")]}
        task = asyncio.create_task(app(scope, nothing, nothing))
        labels = {"consumer_id": "acme", "endpoint": "/live"}
        while not (seconds := registry.get_sample_value("api_connection_seconds_total", labels)):
            await asyncio.sleep(0.005)
        sent = registry.get_sample_value("api_response_bytes_total", {**labels, "method": "GET"})
        assert sent == 9
        assert len(app.connections) == 1
        finish.set()
        await task
        after = registry.get_sample_value("api_connection_seconds_total", labels)
        assert after is not None
        return seconds, after

    during, after = asyncio.run(run())
    assert 0 < during < after
    assert len(app.connections) == 0
    assert registry.get_sample_value(
        "api_response_bytes_total", {"consumer_id": "acme", "endpoint": "/live", "method": "GET"}
    ) == 18  # fmt: skip
