"""The WSGI side of what the crash tests kill: the same paths as `crash_api`, behind the WSGI middleware.

Settings by environment: CRASH_STATE is the counters' directory; without it prometheus-client's own counters are used.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry

from rating_exporters import DurableStore, UsageMetrics, UsageMiddlewareWSGI, from_header, metrics_wsgi_app

registry = CollectorRegistry()
state = os.environ.get("CRASH_STATE")
options: dict[str, Any] = {"duration": False}
if state:
    options["counter"] = DurableStore(state, registry).counter
page = metrics_wsgi_app(registry)


def answers(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/metrics":
        return page(environ, start)
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.01)
    start("200 OK", [("Content-Length", "100"), ("Content-Type", "text/plain")])
    return [b"x" * 100]


app = UsageMiddlewareWSGI(
    answers,
    UsageMetrics(registry, **options),
    from_header("x-consumer"),
    endpoint=lambda environ: environ["PATH_INFO"] if environ["PATH_INFO"] == "/slow" else "/fast",
)
