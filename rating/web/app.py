"""The engine's HTTP application: /metrics for Prometheus, /healthz for whoever restarts it, and `doors`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from rating.errors import EdgeUnavailable, Finding, SpecError


def application(
    registry: CollectorRegistry,
    health: Callable[[], tuple[bool, dict[str, Any]]],
    doors: Callable[[FastAPI], None] = lambda app: None,
) -> FastAPI:
    """`health` answers whether the engine is well, and what to show about it; `doors` opens further ones."""
    app = FastAPI(title="rating engine", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/metrics")
    async def metrics() -> Response:
        # Rendering many thousand series takes a while; in a thread it does not block /healthz.
        body = await run_in_threadpool(generate_latest, registry)
        return Response(body, media_type=CONTENT_TYPE_LATEST)

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        well, facts = health()
        return JSONResponse(facts, status_code=200 if well else 503)

    doors(app)
    return app


@contextmanager
def serving(app: FastAPI, listen: str) -> Iterator[str]:
    """Serve `app` on `host:port` in a thread until the context ends; yields the URL, port 0 being replaced.

    Raises:
        SpecError: `listen` is no address.
        EdgeUnavailable: the address cannot be listened on.
    """
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        finding = Finding("RATING_LISTEN", f"{listen!r} is not an address and port", "write 127.0.0.1:9465")
        raise SpecError((finding,))
    server = uvicorn.Server(
        uvicorn.Config(app, host=host or "127.0.0.1", port=int(port), log_level="warning", access_log=False)
    )
    # uvicorn would install signal handlers of its own; in a thread it does not, and the scheduler owns SIGTERM.
    thread = threading.Thread(target=_run, args=(server,), name="web", daemon=True)
    thread.start()
    while not server.started:
        thread.join(timeout=0.02)
        if not thread.is_alive():
            raise EdgeUnavailable(f"cannot listen on {listen}; is another engine running there? set RATING_LISTEN")
    actual = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://{host or '127.0.0.1'}:{actual}"
    finally:
        server.should_exit = True
        thread.join(timeout=5)


def _run(server: uvicorn.Server) -> None:
    try:
        server.run()
    except SystemExit:
        # uvicorn exits the thread when it cannot bind; `serving` notices that it never started.
        return
