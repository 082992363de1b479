"""Real Flask, Django (WSGI and ASGI), FastAPI, Starlette and Litestar: the template, the consumer, status and bytes."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from fastapi import Request
from litestar import Request as LitestarRequest
from prometheus_client import CollectorRegistry

from rating_exporters import (
    UsageMetrics,
    UsageMiddleware,
    UsageMiddlewareWSGI,
    django_endpoint,
    first_of,
    from_header,
    from_state,
)

RULE = first_of(from_state("consumer_id"), from_header("x-api-key", keys={"k-1": "acme"}))
KEY = {"x-api-key": "k-1"}


def flask_app(registry: CollectorRegistry) -> Any:
    import flask

    app = flask.Flask(__name__)

    @app.get("/things/<int:thing>")
    def thing(thing: int) -> str:
        if thing == 13:
            raise RuntimeError("unlucky")
        return f"thing {thing}"

    @app.post("/things")
    def make() -> tuple[str, int]:
        return str(len(flask.request.get_data())), 201

    pages = flask.Blueprint("pages", __name__, url_prefix="/pages/<lang>")

    @pages.get("/<path:rest>")
    def page(lang: str, rest: str) -> Any:
        flask.request.environ["consumer_id"] = "from-the-view"
        return flask.Response((chunk for chunk in ("a", "b", "c")), mimetype="text/plain")

    app.register_blueprint(pages)
    app.wsgi_app = UsageMiddlewareWSGI(app.wsgi_app, UsageMetrics(registry), RULE)  # type: ignore[method-assign]
    return app


def django_urls() -> list[Any]:
    from django.http import HttpRequest, HttpResponse
    from django.urls import include, path

    def thing(request: HttpRequest, thing: int) -> HttpResponse:
        if thing == 13:
            raise RuntimeError("unlucky")
        return HttpResponse(f"thing {thing}")

    def make(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(len(request.body)), status=201)

    def page(request: HttpRequest, lang: str, rest: str) -> HttpResponse:
        inside = getattr(request, "scope", None)  # of ASGI; in WSGI the environ
        (inside["state"] if inside else request.environ)["consumer_id"] = "from-the-view"  # type: ignore[attr-defined]
        return HttpResponse("abc")

    inner = [path("<path:rest>", page)]
    return [path("things/<int:thing>", thing), path("things", make), path("pages/<lang>/", include(inner))]


@pytest.fixture(scope="session")
def django_settings() -> None:
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(ROOT_URLCONF=tuple(django_urls()), ALLOWED_HOSTS=["*"], DEBUG=False, LOGGING_CONFIG=None)
        django.setup()


def wsgi(app: Any, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """One request, the way a server makes it."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "", "SERVER_NAME": "api",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.input": io.BytesIO(body), "wsgi.version": (1, 0),
        "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http", "wsgi.multithread": False, "wsgi.multiprocess": False,
        "wsgi.run_once": False, "CONTENT_LENGTH": str(len(body)),
        **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()},
    }  # fmt: skip
    status: list[str] = []

    def start(line: str, _headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        status.append(line)
        return lambda _: None

    chunks = app(environ, start)
    try:
        return_body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    return int(status[-1][:3]), return_body


def asgi(app: Any, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """One request, the way a server makes it."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "server": ("api", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"api"), (b"content-length", str(len(body)).encode()),
                    *((name.encode(), value.encode()) for name, value in headers.items())],
    }  # fmt: skip
    status, answer, asked = 0, b"", False
    done = asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await done.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        nonlocal status, answer
        if event["type"] == "http.response.start":
            status = event["status"]
        else:
            answer += event.get("body", b"")
            if not event.get("more_body"):
                done.set()

    async def run() -> None:
        with suppress(RuntimeError):  # frameworks raise on after having answered 500
            await app(scope, receive, send)

    asyncio.run(run())
    return status, answer


def starlette_app(registry: CollectorRegistry) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Mount, Route

    async def thing(request: Request) -> Response:
        if request.path_params["thing"] == 13:
            raise RuntimeError("unlucky")
        return PlainTextResponse(f"thing {request.path_params['thing']}")

    async def make(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())), 201)

    async def page(request: Request) -> Response:
        request.state.consumer_id = "from-the-view"
        return StreamingResponse(iter(["a", "b", "c"]))

    routes = [
        Route("/things/{thing:int}", thing),
        Route("/things", make, methods=["POST"]),
        Mount("/pages/{lang}", routes=[Route("/{rest:path}", page)]),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(UsageMiddleware, metrics=UsageMetrics(registry), consumer=RULE)
    return app


def fastapi_app(registry: CollectorRegistry) -> Any:
    from fastapi import APIRouter, FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()

    @app.get("/things/{thing}")
    def thing(thing: int) -> Any:
        if thing == 13:
            raise RuntimeError("unlucky")
        return PlainTextResponse(f"thing {thing}")

    @app.post("/things")
    async def make(request: Request) -> Any:
        return PlainTextResponse(str(len(await request.body())), 201)

    pages = APIRouter(prefix="/pages/{lang}")

    @pages.get("/{rest:path}")
    def page(request: Request, lang: str, rest: str) -> Any:
        request.state.consumer_id = "from-the-view"
        return PlainTextResponse("abc")

    app.include_router(pages)
    app.add_middleware(UsageMiddleware, metrics=UsageMetrics(registry), consumer=RULE)
    return app


def litestar_app(registry: CollectorRegistry) -> Any:
    from litestar import Litestar, MediaType, Router, get, post
    from litestar.middleware import DefineMiddleware

    @get("/things/{thing:int}", media_type=MediaType.TEXT, sync_to_thread=False)
    def thing(thing: int) -> str:
        if thing == 13:
            raise RuntimeError("unlucky")
        return f"thing {thing}"

    @post("/things", media_type=MediaType.TEXT)
    async def make(request: LitestarRequest[Any, Any, Any]) -> str:
        return str(len(await request.body()))

    @get("/{rest:path}", media_type=MediaType.TEXT, sync_to_thread=False)
    def page(request: LitestarRequest[Any, Any, Any], lang: str, rest: str) -> str:
        request.state.consumer_id = "from-the-view"
        return "abc"

    counted = DefineMiddleware(UsageMiddleware, metrics=UsageMetrics(registry), consumer=RULE)
    pages = Router("/pages/{lang:str}", route_handlers=[page])
    # Inside, where Litestar puts its middleware; what no route took is answered before it comes to that.
    return Litestar([thing, make, pages], middleware=[counted], openapi_config=None)


def django_asgi(registry: CollectorRegistry) -> Any:
    from django.core.handlers.asgi import ASGIHandler

    return UsageMiddleware(ASGIHandler(), UsageMetrics(registry), RULE, endpoint=django_endpoint)  # type: ignore[arg-type]


def django_wsgi(registry: CollectorRegistry) -> Any:
    from django.core.handlers.wsgi import WSGIHandler

    return UsageMiddlewareWSGI(WSGIHandler(), UsageMetrics(registry), RULE, endpoint=django_endpoint)


@pytest.mark.usefixtures("django_settings")
@pytest.mark.parametrize(
    ("make", "call", "templates"),
    [
        (flask_app, wsgi, ("/things/<int:thing>", "/things", "/pages/<lang>/<path:rest>")),
        (django_wsgi, wsgi, ("/things/<int:thing>", "/things", "/pages/<lang>/<path:rest>")),
        (django_asgi, asgi, ("/things/<int:thing>", "/things", "/pages/<lang>/<path:rest>")),
        (starlette_app, asgi, ("/things/{thing:int}", "/things", "/pages/{lang}/{rest:path}")),
        (fastapi_app, asgi, ("/things/{thing}", "/things", "/pages/{lang}/{rest:path}")),
        (litestar_app, asgi, ("/things/{thing}", "/things", "/pages/{lang}/{rest}")),
    ],
    ids=["flask", "django wsgi", "django asgi", "starlette", "fastapi", "litestar"],
)
def test_each_framework_is_counted_by_template_consumer_status_and_bytes(
    make: Any, call: Any, templates: tuple[str, str, str]
) -> None:
    registry = CollectorRegistry()
    app = make(registry)
    assert call(app, "GET", "/things/7", b"", KEY) == (200, b"thing 7")
    assert call(app, "GET", "/things/8", b"", KEY) == (200, b"thing 8")
    assert call(app, "POST", "/things", b"12345", {}) == (201, b"5")
    assert call(app, "GET", "/pages/en/a/b", b"", KEY) == (200, b"abc")
    assert call(app, "GET", "/things/13", b"", KEY)[0] == 500
    assert call(app, "GET", "/nothing/here", b"", {"x-api-key": "wrong"})[0] == 404
    thing, things, page = templates
    found = {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "api_requests_total"
    }
    expected = {
        ("acme", thing, "GET", "200"): 2,
        ("<anonymous>", things, "POST", "201"): 1,
        ("from-the-view", page, "GET", "200"): 1,
        ("acme", thing, "GET", "500"): 1,
        ("<unknown>", "<unmatched>", "GET", "404"): 1,
    }
    if make is litestar_app:
        del expected["<unknown>", "<unmatched>", "GET", "404"]
    assert found == expected
    by = {"consumer_id": "acme", "endpoint": thing, "method": "GET"}
    sent = registry.get_sample_value("api_response_bytes_total", by)
    assert sent is not None
    assert sent >= 14  # and the page of the error, whose length is the framework's own
    by = {"consumer_id": "<anonymous>", "endpoint": things, "method": "POST"}
    assert registry.get_sample_value("api_request_bytes_total", by) == 5
