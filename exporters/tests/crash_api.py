"""The API that the crash tests kill: plain ASGI behind the middleware, durable or not.

Settings by environment: CRASH_STATE is the counters' directory; without it prometheus-client's own counters are used.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from prometheus_client import CollectorRegistry

from rating_exporters import DurableStore, UsageMetrics, UsageMiddleware, from_header, metrics_app

registry = CollectorRegistry()
state = os.environ.get("CRASH_STATE")
options: dict[str, Any] = {"duration": False}
if state:
    options["counter"] = DurableStore(state, registry).counter
usage = UsageMetrics(registry, **options)
page = metrics_app(registry)


async def answers(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/metrics":
        await page(scope, receive, send)
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.01)
    body = b"x" * 100
    headers = [(b"content-length", b"100"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = UsageMiddleware(
    answers,
    usage,
    from_header("x-consumer"),
    endpoint=lambda scope: scope["path"] if scope["path"] == "/slow" else "/fast",
)
