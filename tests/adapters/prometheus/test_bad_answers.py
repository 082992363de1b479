"""A real HTTP server that answers badly in every way: each gets the right class and one sentence that helps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from rating.adapters.prometheus import PrometheusSource
from rating.adapters.prometheus.decoding import VectorReply
from rating.core.counters import decide
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.windows import Held
from rating.errors import EdgeError, EdgeRefused, EdgeUnavailable, SamplesMissing

START = datetime(2026, 10, 1, tzinfo=UTC)
WINDOW = Period(START, START + timedelta(hours=1))
METER = Meter("calls", "api_requests_total", "consumer_id", ("endpoint",))

Reply = Callable[[BaseHTTPRequestHandler, dict[str, str]], None]

EMPTY = b'{"status":"success","data":{"resultType":"vector","result":[]}}'


def body(status: int, content: bytes, kind: str = "application/json", **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return reply


def cut_short(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"status":"success","data":')


def hang(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
    time.sleep(1.5)


def drip(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
    """Never silent long enough for a socket's time-out, never done."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(12):
        handler.wfile.write(b" " * 10)
        handler.wfile.flush()
        time.sleep(0.1)


def error(kind: str, text: str) -> bytes:
    return f'{{"status":"error","errorType":"{kind}","error":"{text}"}}'.encode()


@contextmanager
def server(reply: Reply) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server on a free port that answers every request so; and the forms it was sent."""
    forms: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sent = self.sent.decode("utf-8", "replace")
            form = {name: values[0] for name, values in parse_qs(sent).items()}
            forms.append({**form, "path": self.path, **{f"header {k.lower()}": v for k, v in self.headers.items()}})
            reply(self, form)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}", forms
    finally:
        httpd.shutdown()
        httpd.server_close()


BAD: dict[str, tuple[Reply, type[EdgeError], str]] = {
    "a web page": (
        body(200, b"<html>login</html>", "text/html"),
        EdgeRefused,
        "text/html instead of JSON (HTTP 200); RATING_PROMETHEUS_URL points at a web page or a login",
    ),
    "JSON of something else": (body(200, b'{"hello":1}'), EdgeRefused, "JSON that is not Prometheus's"),
    "wrong path": (body(404, b"404 page not found", "text/plain"), EdgeRefused, "no Prometheus API under it"),
    "unauthorised": (body(401, b"who?", "text/plain"), EdgeRefused, "set RATING_PROMETHEUS_BEARER_TOKEN"),
    "a query it cannot parse": (
        body(400, error("bad_data", "parse error")),
        EdgeRefused,
        "HTTP 400 bad_data, parse error; check the meter",
    ),
    "too many samples": (
        body(422, error("execution", "query processing would load too many samples")),
        EdgeRefused,
        "HTTP 422 execution, query processing would load too many samples",
    ),
    "its own time-out": (body(503, error("timeout", "query timed out")), EdgeUnavailable, "query timed out; retry"),
    "an internal error": (body(500, b"boom", "text/plain"), EdgeUnavailable, "HTTP 500, boom; retry later"),
    "too busy": (body(429, b"slow down", "text/plain"), EdgeUnavailable, "HTTP 429, slow down; it is busy"),
    "JSON cut short": (body(200, EMPTY[:40]), EdgeUnavailable, "cut short after 40 bytes"),
    "a connection closed in mid-answer": (cut_short, EdgeUnavailable, "cannot be reached"),
    "silence": (hang, EdgeUnavailable, "no whole answer within 0.4 s"),
    "a body that drips": (drip, EdgeUnavailable, "no whole answer within 0.4 s"),
}


@pytest.mark.parametrize(("reply", "kind", "sentence"), BAD.values(), ids=BAD.keys())
def test_a_bad_answer_is_told_apart_and_explained(reply: Reply, kind: type[EdgeError], sentence: str) -> None:
    with server(reply) as (url, _):
        source = PrometheusSource((url,), timeout=0.4, dialect="thanos")
        with pytest.raises(kind) as caught:
            source.read(METER, WINDOW)
    assert url in str(caught.value)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nobody_listens() -> None:
    with pytest.raises(EdgeUnavailable, match=r"cannot be reached .*is it running there"):
        PrometheusSource(("http://127.0.0.1:1",), timeout=5).read(METER, WINDOW)


@pytest.mark.parametrize("url", ["localhost:9090", "not a url", "ftp://host"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(EdgeRefused, match="is not a URL"):
        PrometheusSource((url,), timeout=5).read(METER, WINDOW)


def test_a_password_in_the_url_is_never_said() -> None:
    with server(body(500, b"boom", "text/plain")) as (url, _):
        source = PrometheusSource((url.replace("//", "//billing:hunter2@"),), timeout=5)
        with pytest.raises(EdgeUnavailable) as caught:
            source.read(METER, WINDOW)
    assert "hunter2" not in str(caught.value)
    assert "***@127.0.0.1" in str(caught.value)


def test_a_warning_is_kept_and_holds_the_window_but_a_remark_does_not() -> None:
    partial = b'{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["shard 3 is down"]}'
    with server(body(200, partial)) as (url, _):
        readings = PrometheusSource((url,), timeout=5, dialect="mimir").asking(METER)
        readings.readings("x", 0)
        assert tuple(readings.warnings) == ("shard 3 is down",)
    remark = (
        b'{"status":"success","data":{"result":[]},"warnings":["PromQL info: might not be a counter"],"infos":["i"]}'
    )
    with server(body(200, remark)) as (url, _):
        readings = PrometheusSource((url,), timeout=5, dialect="mimir").asking(METER)
        readings.readings("x", 0)
        assert (tuple(readings.warnings), set(readings.infos)) == ((), {"PromQL info: might not be a counter", "i"})


def _well(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
    content = b'{"status":"success","data":[]}' if "/label/" in handler.path else EMPTY
    body(200, content)(handler, form)


def test_an_empty_answer_is_no_proof_that_nothing_happened() -> None:
    with server(_well) as (url, _):
        outcome = decide(METER, WINDOW, PrometheusSource((url,), timeout=5, dialect="mimir").read(METER, WINDOW))
    assert isinstance(outcome, Held)
    assert "0 of 240 expected scrapes" in outcome.reason


def test_questions_travel_in_the_body_with_what_the_dialect_and_the_gate_ask_for() -> None:
    with server(_well) as (url, forms):
        PrometheusSource((url,), timeout=5, dialect="thanos", tenant="team-a", bearer_token="t0ken").read(METER, WINDOW)
    queries = [form for form in forms if form["path"] == "/api/v1/query"]
    assert queries
    assert queries[0]["query"] == "last_over_time(api_requests_total[300000ms])"
    assert queries[0]["time"] == "1790816399.999"
    for form in queries:
        assert (form["partial_response"], form["dedup"]) == ("false", "false")
        assert (form["header x-scope-orgid"], form["header authorization"]) == ("team-a", "Bearer t0ken")


def test_a_window_older_than_the_retention_is_missing_not_empty() -> None:
    def reply(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        body(200, b'{"status":"success","data":{"storageRetention":"15d or 2GiB"}}')(handler, form)

    old = Period(START - timedelta(days=2000), START - timedelta(days=2000) + timedelta(hours=1))
    with server(reply) as (url, _), pytest.raises(SamplesMissing, match="keeps samples for 15 days"):
        PrometheusSource((url,), timeout=5).read(METER, old)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (body(200, EMPTY), "answered"),
        (body(400, error("bad_data", "no such function")), "refused"),
        (body(503, b"busy"), "failed"),
        (cut_short, "failed"),
        (hang, "failed"),
    ],
    ids=["an answer", "a refusal", "a failure", "cut short", "too late"],
)
def test_how_each_question_ended_is_told(reply: Reply, outcome: str) -> None:
    heard: list[tuple[str, str, str]] = []

    def asked(server: str, way: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        heard.append((server, way, outcome))

    with server(reply) as (url, _):
        source = PrometheusSource([url], timeout=0.5, asked=asked)
        with suppress(EdgeError):
            source.clients[0].query(VectorReply, "up", 0)
    assert heard == [(url, "promql", outcome)]
