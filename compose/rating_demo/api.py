"""The service whose usage is billed: a small search API counted by our own middleware. Knows nothing of prices.

`python -m rating_demo.api --port 8000`. Customers show their key in `x-api-key`; the keys of the demonstration are
`key-acme`, `key-globex` and so on. Requests are counted by the middleware, tokens and streamed seconds by the handlers
that know them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from time import perf_counter, sleep
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from prometheus_client import REGISTRY, CollectorRegistry, Counter

from rating_exporters import UsageMetrics, UsageMiddleware, endpoints_of, from_header, metrics_app

CONSUMERS = ("acme", "globex", "initech", "umbrella", "hooli", "wayne")
KEYS = {f"key-{consumer}": consumer for consumer in CONSUMERS}
Key = Annotated[str, Header(alias="x-api-key")]


def application(registry: CollectorRegistry = REGISTRY) -> FastAPI:
    """The API with its counters in `registry`; known customers are counted from zero before their first call."""
    app = FastAPI(title="Search, by the request")
    tokens = Counter("api_tokens", "Tokens read and written.", ["consumer_id"], registry=registry)
    seconds = Counter("api_stream_seconds", "Seconds of results streamed.", ["consumer_id"], registry=registry)

    def who(key: str) -> str:
        if key not in KEYS:
            raise HTTPException(401, "unknown key")
        return KEYS[key]

    @app.get("/v1/search")
    def search(key: Key, q: str = "") -> dict[str, object]:
        who(key)
        if q == "fail":
            raise HTTPException(500, "this query breaks us, and our failures cost nothing")
        return {"query": q, "hits": [f"{q}-{number}" for number in range(3)]}

    @app.get("/v1/items/{item}")
    def item(key: Key, item: int) -> dict[str, object]:
        who(key)
        if item >= 1000:
            raise HTTPException(404, "no such item")
        return {"item": item}

    @app.post("/v1/answers")
    def answer(key: Key, q: str = "") -> dict[str, object]:
        consumer, words = who(key), 20 + 7 * len(q)
        tokens.labels(consumer).inc(words)
        return {"answer": f"about {q}", "tokens": words}

    @app.get("/v1/stream")
    def stream(key: Key, parts: int = 3) -> StreamingResponse:
        consumer = who(key)

        def lines() -> Iterator[str]:
            for number in range(min(parts, 50)):
                began = perf_counter()
                yield f"part {number}\n"
                sleep(0.02)
                seconds.labels(consumer).inc(perf_counter() - began)

        return StreamingResponse(lines(), media_type="text/plain")

    metrics = UsageMetrics(registry)
    metrics.prime(CONSUMERS, endpoints_of(app))
    for consumer in CONSUMERS:
        tokens.labels(consumer)
        seconds.labels(consumer)
    app.add_middleware(UsageMiddleware, metrics=metrics, consumer=from_header("x-api-key", keys=KEYS))
    app.mount("/metrics", metrics_app(registry))
    return app


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=8000)
    given = options.parse_args()
    uvicorn.run(application(), host=given.host, port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
