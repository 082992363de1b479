"""The /metrics page, rendered beside the event loop and not in it.

A page of 100,000 series takes seconds to build; an ASGI endpoint that builds it inline stops the whole service for as
long. Here it is built in a thread, text or OpenMetrics as asked, gzipped where accepted.
"""

from __future__ import annotations

import asyncio
import gzip

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder

from .asgi import ASGIApp, Receive, Send
from .consumers import AsgiRequest, Scope


def page(registry: CollectorRegistry, accept: str, accept_encoding: str) -> tuple[bytes, list[tuple[str, str]]]:
    """The body of a scrape and its headers."""
    encoder, content_type = choose_encoder(accept)
    body = encoder(registry)
    headers = [("content-type", content_type), ("vary", "accept, accept-encoding")]
    if _gzip_accepted(accept_encoding):
        body = gzip.compress(body, compresslevel=1)
        headers.append(("content-encoding", "gzip"))
    headers.append(("content-length", str(len(body))))
    return body, headers


def metrics_app(registry: CollectorRegistry = REGISTRY) -> ASGIApp:
    """An ASGI application for the metrics page: `app.mount("/metrics", metrics_app(registry))`, or `app.add_route`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"the metrics page answers http, not {scope['type']}")
        if scope["method"] not in ("GET", "HEAD"):
            body, headers, status = b"use GET\n", [("allow", "GET, HEAD"), ("content-type", "text/plain")], 405
        else:
            request = AsgiRequest(scope)
            accept, encoding = request.header("accept") or "", request.header("accept-encoding") or ""
            body, headers = await asyncio.to_thread(page, registry, accept, encoding)
            status = 200
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


def _gzip_accepted(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, _, parameters = part.strip().partition(";")
        if coding.strip() in ("gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
