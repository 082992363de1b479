"""`rating-exporters lint` and `state`: what they say about good and bad pages and directories."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from rating_exporters import DurableStore, UsageMetrics, render
from rating_exporters.cli import main
from rating_exporters.lint import lint

START = "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.7e9\n"
GOOD = START + (
    "# TYPE api_requests_total counter\n"
    'api_requests_total{consumer_id="acme",endpoint="/things/{id}",status="200"} 41\n'
)


def counter(labels: str, value: str = "1") -> str:
    return START + f"# TYPE calls_total counter\ncalls_total{{{labels}}} {value}\n"


def test_a_page_of_this_package_is_fit_for_billing() -> None:
    registry = CollectorRegistry()
    metrics = UsageMetrics(registry)
    metrics.record("acme", "/things/{id}", "GET", 200, seconds=0.1)
    assert lint(START + render(registry).decode()) == []
    assert lint(GOOD) == []


@pytest.mark.parametrize(
    ("page", "severity", "says"),
    [
        (GOOD.removeprefix(START), "warning", "process_start_time_seconds: is missing"),
        (counter('endpoint="/a"'), "error", "no counter says who the consumer was"),
        (counter('consumer_id=""'), "warning", "is empty for some series"),
        (counter('consumer_id="a",path="/users/12345/cart"'), "error", "raw paths ('/users/12345/cart' and 0 more)"),
        (counter('consumer_id="a",path="/search?q=x"'), "error", "raw paths"),
        (counter('consumer_id="a"', "9007199254740993"), "error", "beyond 2^53 = 9007199254740992"),
        (counter('consumer_id="a"', "6e15"), "warning", "67% of 2^53"),
        (counter('consumer_id="a"', "-1"), "error", "stands at -1"),
        (counter('consumer_id="a"', "NaN"), "error", "stands at nan"),
        (counter('consumer="sk-live-1234567890abcdef"'), "error", "credentials (1 of 1 values)"),
        (GOOD + "# TYPE spend_total gauge\nspend_total 3\n", "error", "called _total but declared gauge"),
        (
            GOOD + "# TYPE rating_exporters_overflow_total counter\n"
            'rating_exporters_overflow_total{metric="api_requests_total",label="consumer_id"} 7\n',
            "error",
            "7 counts went to <overflow>",
        ),
        (
            START + "# TYPE calls_total counter\n"
            + "".join(f'calls_total{{consumer_id="a",session="{n}"}} 1\n' for n in range(1001)),
            "warning",
            "has 1001 values (more than 1000)",
        ),
        (
            START + "# TYPE calls_total counter\n"
            + "".join(f'calls_total{{consumer_id="a",path="/p{n}x"}} 1\n' for n in range(101)),
            "warning",
            "none names a parameter",
        ),
    ],
)  # fmt: skip
def test_each_trap_is_found_alone_and_named(page: str, severity: str, says: str) -> None:
    (advice,) = lint(page)
    assert advice.severity == severity
    assert says in str(advice)


@pytest.fixture
def address() -> Iterator[str]:
    pages = {"/good": GOOD, "/bad": counter('endpoint="/a"'), "/html": "<html>hello</html>"}

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_command_scrapes_prints_and_says_by_its_status(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", address + "/good"]) == 0
    assert capsys.readouterr().out == "0 errors, 0 warnings\n"
    assert main(["lint", address + "/bad"]) == 1
    assert "no counter says who the consumer was" in capsys.readouterr().out
    for path in ("/html", "/none", ""):
        assert main(["lint", address + path]) == 2
    assert main(["lint", "file:///etc/passwd"]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_state_shows_totals_over_all_slots_and_names_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["state", "check", str(tmp_path)]) == 2
    stores = [DurableStore(tmp_path, None, sync=False) for _ in range(2)]
    for n, store in enumerate(stores):
        store.counter("calls_total", "Calls.", ("consumer_id",)).labels("acme").inc(n + 1)
        store.counter("open_seconds_total", "Open.", scale=1000).inc(0.25)
    capsys.readouterr()
    assert main(["state", "check", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "slot-0001.counts: 2 series, good" in shown
    assert "calls_total: 3 over 2 series" in shown
    assert "open_seconds_total: 0.500 over 2 series" in shown
    for store in stores:
        store.close()
    path = tmp_path / "slot-0000.counts"
    body = bytearray(path.read_bytes())
    body[70] ^= 1
    path.write_bytes(body)
    assert main(["state", "check", str(tmp_path)]) == 1
    assert "error: " in capsys.readouterr().out
