"""Real scrapes: staleness markers, targets that come and go by reload, a process that restarts behind one address.

Written blocks hold no staleness markers; here Prometheus writes its own. Every step waits until Prometheus has seen the
one before, so that the truth is known whatever the machine is busy with.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from rating.adapters.prometheus import PrometheusSource
from rating.core.counters import decide
from rating.core.meters import Meter
from rating.core.periods import Period, align
from rating.core.windows import Closing
from rating_demo.parts import Prometheus

WINDOW = timedelta(seconds=5)
METER = Meter(
    name="calls",
    metric="calls_total",
    consumer="consumer_id",
    window=WINDOW,
    settling=timedelta(0),
    scrape_interval=timedelta(milliseconds=200),
    coverage=Fraction(0),
)
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: api
    static_configs: [{{targets: [{targets}]}}]
"""


class Service:
    """One address that exposes counters."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.started = time.time() - 60
        self.reachable = True
        service = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service._answer(self)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def restart(self) -> None:
        self.counts.clear()
        self.started = time.time()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, door: BaseHTTPRequestHandler) -> None:
        lines = [f'calls_total{{consumer_id="{consumer}"}} {count}' for consumer, count in self.counts.items()]
        body = "\n".join([*lines, f"process_start_time_seconds {self.started!r}", ""]).encode()
        door.send_response(200 if self.reachable else 503)
        door.send_header("Content-Type", "text/plain; version=0.0.4")
        door.send_header("Content-Length", str(len(body)))
        door.end_headers()
        door.wfile.write(body)


@contextmanager
def service() -> Iterator[Service]:
    one = Service()
    try:
        yield one
    finally:
        one.close()


def until_seen(server: Prometheus, query: str, value: int) -> None:
    """Wait until Prometheus answers `value`."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = requests.get(f"{server.url}/api/v1/query", params={"query": query}, timeout=10).json()
        if [float(row["value"][1]) for row in answer["data"]["result"]] == [value]:
            return
        time.sleep(0.05)
    raise AssertionError(f"{query} did not become {value}")


def config(*services: Service) -> str:
    return CONFIG.format(targets=", ".join(f'"{one.address}"' for one in services))


@pytest.mark.slow
def test_live_scrapes_are_billed_to_the_last_call(prometheus_binary: Path, tmp_path: Path) -> None:
    started = datetime.now(UTC)
    with service() as old, service() as new, Prometheus(tmp_path, config()) as server:
        acme, birch = (f'calls_total{{instance="{old.address}",consumer_id="{name}"}}' for name in ("acme", "birch"))
        # The process is older than anybody's memory and stands at 1,000: what follows is billed, that is not.
        old.counts["acme"] = 1_000
        server.reload(config(old))
        until_seen(server, acme, 1_000)
        old.counts["acme"] += 12
        old.counts["birch"] += 4
        until_seen(server, acme, 1_012)
        until_seen(server, birch, 4)

        # How long it has been watching is known to the second: a process born a little later was born in its sight.
        until_seen(server, f'count_over_time(up{{instance="{old.address}"}}[1m]) > bool 20', 1)
        new.counts["acme"] += 7
        new.started = time.time()
        server.reload(config(old, new))
        until_seen(server, f'calls_total{{instance="{new.address}"}}', 7)
        new.counts["acme"] += 2
        until_seen(server, f'calls_total{{instance="{new.address}"}}', 9)
        server.reload(config(old))

        old.restart()
        old.counts["acme"] += 5_000
        until_seen(server, acme, 5_000)
        old.reachable = False
        until_seen(server, "up", 0)
        old.counts["acme"] += 30
        old.counts["birch"] += 1
        old.reachable = True
        until_seen(server, acme, 5_030)
        until_seen(server, birch, 1)
        ended = datetime.now(UTC)

        period = Period(align(started, WINDOW), align(ended, WINDOW) + WINDOW)
        # The server's clock must have passed the last window, and tells whole seconds.
        time.sleep(max(0.0, (period.end - datetime.now(UTC)).total_seconds()) + 1)
        source = PrometheusSource([server.url])
        closings = [decide(METER, window, source.read(METER, window)) for window in period.windows(WINDOW)]
    assert all(isinstance(closing, Closing) for closing in closings)
    billed: Counter[str] = Counter()
    for closing in closings:
        if isinstance(closing, Closing):
            billed.update({usage.consumer: usage.quantity for usage in closing.usage})
    assert billed == {"acme": 12 + 7 + 2 + 5_000 + 30, "birch": 4 + 1}
