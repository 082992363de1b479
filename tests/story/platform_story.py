"""A small platform to tell stories about: two paying consumers and a stranger, their counters in a real Prometheus, and
what they truly used. Knows how to write the catalogue and to start the engine; expects nothing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from prometheus_client.parser import text_string_to_metric_families

from rating.adapters.store import open_book
from rating.core.periods import Period
from rating_demo import blocks
from rating_demo.faults import Traffic
from rating_demo.parts import Prometheus
from rating_demo.truth import World

HOUR = timedelta(hours=1)
CONSUMERS = {"acme": Traffic(120), "globex": Traffic(30)}
STRANGER = {"stranger": Traffic(20)}

CATALOGUE = """
version: 1
currency: USD
meters:
  calls: {{metric: api_requests_total, consumer: consumer_id, dimensions: [endpoint], scrape_interval: 30s{meter}}}
plans:
  pro: {{name: Pro, period: day, fee: "1.00", charges: [{{meter: calls, unit_price: "{price}"}}]}}
subscriptions:
  - {{consumer: acme, plan: pro, start: {start}}}
  - {{consumer: globex, plan: pro, start: {start}}}
"""


def catalogue(start: datetime, *, price: str = "0.01", meter: str = "") -> str:
    """The catalogue's text; `meter` is further settings of the meter, such as `, window: 30m`."""
    return CATALOGUE.format(start=f"{start:%Y-%m-%d}", price=price, meter=meter)


def world(start: datetime, end: datetime, consumers: Mapping[str, Traffic]) -> World:
    return World(seed=23, start=start, end=end, consumers=consumers, instances=1, interval=timedelta(seconds=30))


def prometheus(folder: Path, told: World, promtool: Path) -> Prometheus:
    """A server, not started yet, that holds what was scraped of the world."""
    blocks.create(told.series(), folder / "blocks", promtool)
    return Prometheus(folder / "prometheus", blocks=folder / "blocks", retention="100y")


def truth(told: World, period: Period) -> dict[str, int]:
    """What the samples prove, by consumer."""
    used: Counter[str] = Counter()
    for who, quantity in told.usage(period).items():
        used[who.consumer] += quantity
    return dict(used)


def booked(database: str, period: Period) -> dict[str, int]:
    used: Counter[str] = Counter()
    with open_book(database) as book:
        for usage in book.totals("calls", period):
            used[usage.consumer] += usage.quantity
    return dict(used)


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until the condition holds, and return what it said."""
    deadline = time.monotonic() + seconds
    while not (held := condition()):
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.05)
    return held


class Engine:
    """`rating run` as a process of its own; killed at the end of `with` if it still lives."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "engine.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RATING_")}
        environment = {
            **clean,
            "RATING_LISTEN": "127.0.0.1:0",
            "RATING_TICK_SECONDS": "0.25",
            **settings,
            "PYTHONUNBUFFERED": "1",
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from rating.cli import main; main()", "run"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def url(self) -> str:
        found = until(lambda: re.search(r"metrics and health at (http://\S+),", self.said) or self._ended())
        return str(found[1])

    def _ended(self) -> None:
        assert self.process.poll() is None, f"the engine ended with {self.process.returncode}:\n{self.said}"

    def health(self) -> tuple[int, dict[str, Any]]:
        answer = requests.get(f"{self.url}/healthz", timeout=10)
        return answer.status_code, answer.json()

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Values by name and the values of the labels, in the order of the labels' names."""
        text = requests.get(f"{self.url}/metrics", timeout=10).text
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def ended_by(self, signalled: signal.Signals, within: float = 15) -> int:
        """The exit code after this signal."""
        self.process.send_signal(signalled)
        return self.process.wait(within)


def rows(printed: str) -> Iterator[dict[str, Any]]:
    yield from json.loads(printed) if printed else []
