"""The /metrics page over HTTP, rendered beside the event loop and not in it.

Decides which format a scraper asked for and whether to gzip. Leaves the text to `render`.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import REGISTRY, CollectorRegistry

from .asgi import ASGIApp, Receive, Send
from .consumers import AsgiRequest, Request, Scope, WsgiRequest
from .render import as_openmetrics, as_text, render

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def metrics_app(registry: CollectorRegistry = REGISTRY) -> ASGIApp:
    """The page as an ASGI application: `app.mount("/metrics", metrics_app(registry))`. Renders in a thread."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"the metrics page answers http, not {scope['type']}")
        query = bytes(scope.get("query_string", b"")).decode("latin-1")
        status, headers, body = await asyncio.to_thread(_answer, registry, scope["method"], query, AsgiRequest(scope))
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    return app


def metrics_wsgi_app(
    registry: CollectorRegistry = REGISTRY,
) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """The page as a WSGI application."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers, body = _answer(
            registry, environ["REQUEST_METHOD"], environ.get("QUERY_STRING", ""), WsgiRequest(environ)
        )
        start_response("200 OK" if status == 200 else "405 Method Not Allowed", headers)
        return [body]

    return app


def _answer(
    registry: CollectorRegistry, method: str, query: str, request: Request
) -> tuple[int, list[tuple[str, str]], bytes]:
    if method not in ("GET", "HEAD"):
        body = b"use GET\n"
        plain = [("Allow", "GET, HEAD"), ("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        return 405, plain, body
    openmetrics = openmetrics_asked(request.header("accept") or "")
    names = parse_qs(query).get("name[]")
    if names:
        some = registry.restricted_registry(names)
        body = (as_openmetrics if openmetrics else as_text)(some)
    else:
        body = render(registry, openmetrics=openmetrics)
    headers = [("Content-Type", OPENMETRICS if openmetrics else TEXT), ("Vary", "Accept, Accept-Encoding")]
    if gzip_accepted(request.header("accept-encoding") or ""):
        body = gzip.compress(body, compresslevel=1)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Content-Length", str(len(body))))
    return 200, headers, b"" if method == "HEAD" else body


def _weighted(header: str) -> Iterable[tuple[str, float]]:
    for part in header.lower().split(","):
        token, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            yield token, float(weight)
        except ValueError:
            yield token, 0.0


def openmetrics_asked(accept: str) -> bool:
    """Whether an Accept header prefers OpenMetrics to text; plain text when it says nothing."""
    weights = list(_weighted(accept))
    best = max((q for token, q in weights if token == "application/openmetrics-text"), default=0.0)
    text = max((q for token, q in weights if token in ("text/plain", "text/*")), default=0.0)
    return best > 0 and best >= text


def gzip_accepted(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    weights = dict(_weighted(accept_encoding))
    return weights.get("gzip", weights.get("*", 0.0)) > 0
