"""The fast page says what prometheus-client's page says, line for line, for any metric and any label value."""

from __future__ import annotations

import asyncio
import gzip
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, generate_latest, metrics
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from rating_exporters import DurableStore, metrics_app, metrics_wsgi_app, render
from rating_exporters.exposition import gzip_accepted, openmetrics_asked


def lines(page: bytes) -> list[tuple[str, float | str]]:
    """Each line as series and value; a page's whole numbers may be written 7 or 7.0."""
    found: list[tuple[str, float | str]] = []
    for line in page.decode().split("\n"):
        series, _, value = line.rpartition(" ")
        found.append((line, "") if line.startswith("#") or not line else (series, float(value)))
    return found


def same(registry: CollectorRegistry) -> None:
    for _ in range(2):  # the second page comes from the cached lines
        assert lines(render(registry)) == lines(generate_latest(registry))
        assert lines(render(registry, openmetrics=True)) == lines(generate_openmetrics(registry))


text = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(['"', "\\", "\n", '\\"\n', 'x"} 9\ny{a="'])
amount = st.floats(0, 1e18) | st.integers(0, 2**53).map(float)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(text, text, amount), max_size=6), st.booleans())
def test_any_labels_and_amounts_give_the_same_page(usage: list[tuple[str, str, float]], created: bool) -> None:
    registry = CollectorRegistry()
    counter = Counter("calls", "Calls, \\ and\nmore.", ("z", "a"), registry=registry)
    gauge = Gauge("open", "Open.", ("a",), registry=registry)
    histogram = Histogram("took_seconds", "Took.", ("zone", "a"), registry=registry, buckets=(0.1, 1, 1e7))
    Counter("unused", "Never.", ("a",), registry=registry)
    Counter("plain", "Without labels.", registry=registry).inc(3)
    (metrics.enable_created_metrics if created else metrics.disable_created_metrics)()
    try:
        for one, two, value in usage:
            counter.labels(one, two).inc(value)
            gauge.labels(one).set(-value)
            histogram.labels(one, two).observe(value)
        same(registry)
    finally:
        metrics.enable_created_metrics()


def test_values_that_are_no_numbers_and_collectors_of_every_kind() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("odd", "Odd.", ("a",), registry=registry)
    for name, value in (("nan", math.nan), ("inf", math.inf), ("minus", -math.inf), ("small", 1e-9), ("big", 1e300)):
        gauge.labels(name).set(value)
    Gauge("asked", "A function.", registry=registry).set_function(lambda: 42)
    Summary("sizes", "Summary.", ("a",), registry=registry).labels("x").observe(3)
    Info("build", "Info.", registry=registry).info({"version": "1"})
    Counter("work_seconds", "A unit.", unit="seconds", registry=registry).inc(2)
    assert repr(lines(render(registry))) == repr(lines(generate_latest(registry)))  # repr: nan is not nan
    Counter("schön.total", "A name to be rewritten.", ("größe", "a{b"), registry=registry).labels("x", "y").inc()
    Counter("colon:rate", "A colon.", ("a",), registry=registry).labels("x").inc()
    assert repr(lines(render(registry))) == repr(lines(generate_latest(registry)))
    registry.set_target_info({"env": "test"})
    assert repr(lines(render(registry))) == repr(lines(generate_latest(registry)))


def test_exemplars_removed_children_and_resets_are_not_served_from_the_cache() -> None:
    registry = CollectorRegistry()
    counter = Counter("calls", "Calls.", ("a",), registry=registry)
    counter.labels("x").inc()
    counter.labels("y").inc(2)
    same(registry)
    counter.remove("x")
    same(registry)
    counter.labels("x").inc(5)
    same(registry)
    counter.labels("y").reset()
    same(registry)
    counter.labels("y").inc(1, exemplar={"trace": "t1"})
    page = render(registry, openmetrics=True)
    assert b'# {trace="t1"} 1.0' in page
    assert page == generate_openmetrics(registry)


def test_a_durable_page_is_the_same_page_and_parses_as_openmetrics(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    kept = DurableStore(tmp_path, registry, sync=False)
    calls = kept.counter("calls_total", "Calls.", ("consumer_id", "endpoint"))
    seconds = kept.counter("open_seconds_total", "Open.", ("consumer_id",), scale=1000)
    for n in range(20):
        calls.labels(f'c"{n}\n', "/search").inc(n * 10**12)
        seconds.labels(f"c{n}").inc(n + 0.5)
    same(registry)
    calls.labels("late", "/search").inc()
    same(registry)
    families = {f.name: f for f in text_string_to_metric_families(render(registry, openmetrics=True).decode())}
    assert sum(s.value for s in families["calls"].samples if s.name == "calls_total") == 190 * 10**12 + 1


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text; version=1.0.0", True),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.5", True),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", False),
        ("application/openmetrics-text;q=nonsense", False),
    ],
)
def test_the_scraper_chooses_the_format(accept: str, openmetrics: bool) -> None:
    assert openmetrics_asked(accept) is openmetrics


@pytest.mark.parametrize(("accept", "gzipped"), [("", False), ("gzip", True), ("br, gzip;q=0", False), ("*", True)])
def test_the_scraper_chooses_the_encoding(accept: str, gzipped: bool) -> None:
    assert gzip_accepted(accept) is gzipped
    registry = CollectorRegistry()
    Counter("calls", "Calls.", registry=registry).inc()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", accept.encode())], "path": "/metrics"}
    asyncio.run(metrics_app(registry)(scope, send, send))
    body = gzip.decompress(sent[1]["body"]) if gzipped else sent[1]["body"]
    assert b"calls_total 1\n" in body
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()


def test_one_family_can_be_had_by_name_and_wsgi_serves_the_page_too() -> None:
    registry = CollectorRegistry()
    Counter("calls", "Calls.", registry=registry).inc()
    Counter("others", "Others.", registry=registry).inc()
    started: list[Any] = []
    app = metrics_wsgi_app(registry)
    environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": "name[]=calls_total"}
    (body,) = app(environ, lambda *start: started.append(start))
    assert b"calls_total 1.0" in body
    assert b"others" not in body
    (body,) = app({"REQUEST_METHOD": "DELETE"}, lambda *start: started.append(start))
    assert [status for status, _ in started] == ["200 OK", "405 Method Not Allowed"]
