"""What counting costs: an `inc`, a request, a scrape; and, when there is time, what a dozen SIGKILLs lose.

Ratios within one run, the better of several tries on both sides. Leaves printing to the bench's own page.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from rating_exporters import (
    DurableStore,
    UsageMetrics,
    UsageMiddleware,
    UsageMiddlewareWSGI,
    from_header,
    render,
)

TITLE = "Exporters: what counting costs"
LABELS = ("consumer_id", "endpoint", "method", "status")


def rows(quick: bool) -> list[tuple[str, str]]:
    """(what, figure) pairs. `quick` takes a tenth of the series and leaves the crash story out."""
    with tempfile.TemporaryDirectory() as directory:
        found = [
            *_increments(Path(directory) / "inc"),
            *_scrapes(Path(directory) / "page", 10_000 if quick else 100_000),
        ]
        found += _requests(Path(directory) / "requests", 2_000 if quick else 10_000)
        found += _flask(Path(directory) / "flask", 1_000 if quick else 5_000)
        if not quick:
            found += _crashes(Path(directory) / "crash")
    return found


def _best(work: Callable[[], Any], tries: int = 5) -> float:
    """Seconds of the fastest try."""
    times = []
    for _ in range(tries):
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return min(times)


def _bests(works: Mapping[str, Callable[[], Any]], tries: int = 5) -> dict[str, float]:
    """As `_best`, taking turns: what disturbs the machine for a while disturbs all of them."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(tries):
        for name, work in works.items():
            times[name].append(_best(work, 1))
    return {name: min(found) for name, found in times.items()}


def _increments(directory: Path) -> list[tuple[str, str]]:
    store = DurableStore(directory, None)
    durable = store.counter("calls_total", "Calls.", LABELS)
    plain = Counter("calls_total", "Calls.", LABELS, registry=None)

    def loop(counter: Any) -> Callable[[], None]:
        def run() -> None:
            for _ in range(20_000):
                counter.labels("c42", "/search/{term}", "GET", "200").inc()

        return run

    best = _bests({"ours": loop(durable), "theirs": loop(plain)})
    ours, theirs = best["ours"] / 20_000, best["theirs"] / 20_000
    store.close()
    return [
        ("prometheus-client labels().inc()", f"{theirs * 1e9:,.0f} ns"),
        ("durable labels().inc()", f"{ours * 1e9:,.0f} ns, {ours / theirs:.2f}x (promised: at most 1.5x)"),
    ]


def _scrapes(directory: Path, series: int) -> list[tuple[str, str]]:
    registries = CollectorRegistry(), CollectorRegistry()
    store = DurableStore(directory, registries[1])
    plain = Counter("calls_total", "Calls.", LABELS, registry=registries[0])
    durable = store.counter("calls_total", "Calls.", LABELS)
    for n in range(series):
        for counter in (plain, durable):
            counter.labels(f"consumer-{n % 1000}", f"/route/{n // 1000}", "GET", "200").inc(n)  # type: ignore[attr-defined]
    theirs = _best(lambda: generate_latest(registries[0]), 2)
    found = [(f"prometheus-client page of {series:,} series", f"{theirs * 1e3:,.0f} ms")]
    for name, registry in zip(
        ("the same counters rendered here", "durable counters rendered here"), registries, strict=True
    ):
        first = _best(lambda registry=registry: render(registry), 1)
        ours = _best(lambda registry=registry: render(registry))
        found.append(
            (name, f"{ours * 1e3:,.0f} ms, {theirs / ours:.0f}x faster (the first page {first * 1e3:,.0f} ms)")
        )
    store.close()
    return found


def _requests(directory: Path, calls: int) -> list[tuple[str, str]]:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 100})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        return None

    def drive(app: Any) -> Callable[[], None]:
        async def run() -> None:
            for _ in range(calls):
                headers = [(b"host", b"api"), (b"accept", b"*/*"), (b"x-api-key", b"c42")]
                await app({"type": "http", "method": "GET", "path": "/search", "headers": headers}, receive, send)

        return lambda: asyncio.run(run())

    store = DurableStore(directory, None)
    metrics = {"plain": UsageMetrics(CollectorRegistry()), "durable": UsageMetrics(None, counter=store.counter)}
    rule = from_header("x-api-key", keys={"c42": "c42"})
    works = {"bare": drive(bare)}
    for name, usage in metrics.items():
        works[name] = drive(UsageMiddleware(bare, usage, rule, endpoint=lambda scope: scope["path"]))
    cost = {name: seconds / calls * 1e6 for name, seconds in _bests(works).items()}
    found = [("a bare ASGI application, per request", f"{cost['bare']:,.1f} us")]
    for name in metrics:
        added = cost[name] - cost["bare"]
        found.append((f"the middleware adds ({name} counters, durations)", f"{added:,.1f} us"))
    store.close()
    return found


def _flask(directory: Path, calls: int) -> list[tuple[str, str]]:
    """A real Flask application bare, with hooks as one writes them by hand, and behind the middleware."""
    import flask

    def bare() -> flask.Flask:
        app = flask.Flask("bench")
        app.add_url_rule("/search/<term>", "search", lambda term: "x" * 100)
        return app

    def hooked() -> Any:
        app, registry = bare(), CollectorRegistry()
        requests = Counter("api_requests_total", "Requests.", LABELS, registry=registry)
        names = ("consumer_id", "endpoint", "method")
        seconds = Histogram("api_request_duration_seconds", "Duration.", names, registry=registry)
        sent = Counter("api_response_bytes_total", "Bytes.", names, registry=registry)

        @app.before_request
        def begin() -> None:
            flask.g.began = perf_counter()

        @app.after_request
        def count(response: Any) -> Any:
            request = flask.request
            consumer = {"c42": "c42"}.get(request.headers.get("x-api-key", ""), "unknown")
            labels = (consumer, request.url_rule.rule if request.url_rule else request.path, request.method)
            requests.labels(*labels, str(response.status_code)).inc()
            sent.labels(*labels).inc(response.content_length or 0)
            seconds.labels(*labels).observe(perf_counter() - flask.g.began)
            return response

        return app.wsgi_app

    def drive(app: Any) -> Callable[[], None]:
        def run() -> None:
            for _ in range(calls):
                environ = {
                    "REQUEST_METHOD": "GET", "PATH_INFO": "/search/a", "SERVER_NAME": "api", "SERVER_PORT": "80",
                    "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "HTTP_X_API_KEY": "c42",
                }  # fmt: skip
                body = app(environ, lambda status, headers, error=None: lambda data: None)
                for _ in body:
                    continue
                body.close()

        return run

    store = DurableStore(directory, None)
    rule = from_header("x-api-key", keys={"c42": "c42"})
    usages = {
        "plain": UsageMetrics(CollectorRegistry(), duration_by_consumer=True),
        "durable": UsageMetrics(None, counter=store.counter, duration_by_consumer=True),
    }
    works = {"bare": drive(bare().wsgi_app), "hooks": drive(hooked())}
    for name, usage in usages.items():
        works[name] = drive(UsageMiddlewareWSGI(bare().wsgi_app, usage, rule))
    cost = {name: seconds / calls * 1e6 for name, seconds in _bests(works).items()}
    hooks = cost["hooks"] - cost["bare"]
    found = [
        ("a bare Flask application, per request", f"{cost['bare']:,.1f} us"),
        ("hooks by hand add (before_request, after_request)", f"{hooks:,.1f} us"),
    ]
    for name in usages:
        added = cost[name] - cost["bare"]
        found.append((f"the middleware adds ({name} counters)", f"{added:,.1f} us, {added / hooks:.2f}x"))
    store.close()
    return found


def _crashes(directory: Path) -> list[tuple[str, str]]:
    directory.mkdir()
    harness = _harness()
    found = []
    for server, name, state in (
        ("uvicorn", "durable counters", directory / "uvicorn"),
        ("uvicorn", "prometheus-client alone", None),
        ("gunicorn gthread", "durable counters", directory / "gunicorn"),
        ("gunicorn gthread", "prometheus-client alone", None),
    ):
        story = harness.run(state, kills=12, server=server)
        found.append(
            (
                f"{server}: {story.kills} SIGKILLs under load, {name}",
                f"delivered {sum(story.delivered.values()):,}, counted {sum(story.counted.values()):,}, "
                f"{story.falls} resets in {story.scrapes} scrapes",
            )
        )
    return found


def _harness() -> ModuleType:
    path = Path(__file__).parents[2] / "exporters" / "tests" / "crash_harness.py"
    spec = importlib.util.spec_from_file_location("crash_harness", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
