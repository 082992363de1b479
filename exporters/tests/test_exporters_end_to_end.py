"""Eight workers, a thousand consumers, restarts and a Prometheus outage: `rating usage` is what was delivered."""

from __future__ import annotations

import http.client
import json
import random
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

try:
    # Here: once a command has run, `rating.cli.run` is the module of that name.
    from rating.cli import run as rating
except ImportError:
    rating = None  # type: ignore[assignment]

CONSUMERS = 1_000
CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - {{job_name: api, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
"""


class Prometheus:
    """A real server of its own folder and port."""

    def __init__(self, folder: Path, port: int, target: int) -> None:
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(port=target))
        self.port = port
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def query(self, text: str) -> list[tuple[dict[str, str], float]]:
        address = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
        try:
            answer = json.load(urllib.request.urlopen(address, timeout=5))
        except (OSError, http.client.HTTPException):
            return []
        return [(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


def load(port: int, stop: threading.Event, delivered: Counter[str], seed: int) -> None:
    """One client of many consumers; it counts what it has read to the last byte."""
    rng, connection = random.Random(seed), http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not stop.is_set():
        consumer = f"c{rng.randrange(CONSUMERS)}"
        try:
            connection.request("GET", "/fast", headers={"x-consumer": consumer})
            answer = connection.getresponse()
            if answer.status == 200 and len(answer.read()) == 100:
                delivered[consumer] += 1
            if rng.random() < 0.05:  # a server that is stopping waits for its clients to hang up
                connection.close()
        except (OSError, http.client.HTTPException):
            connection.close()
            time.sleep(0.02)
    connection.close()


CATALOGUE = """
version: 1
currency: USD
meters:
  calls:
    metric: api_requests_total
    consumer: consumer_id
    where: {{status: "2.."}}
    counter: durable
    window: 1m
    lookback: 5m
    settling: 1s
    scrape_interval: 1s
    coverage: 1%     # of these minutes the story fills but seconds
plans:
  pro: {{name: Pro, charges: [{{meter: calls, unit_price: "0.01"}}]}}
subscriptions:
{subscriptions}
"""


def used(
    folder: Path, url: str, begun: datetime, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Counter[str]:
    """What `rating collect` and `rating usage` say of the minutes since `begun`; waits until the last one is over."""
    if rating is None:
        pytest.skip("needs the engine")
    first = begun.replace(second=0, microsecond=0)
    after = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    time.sleep((after - datetime.now(UTC)).total_seconds() + 2.5)  # and settled
    rows = (f"  - {{consumer: c{n}, plan: pro, start: {begun - timedelta(days=1):%Y-%m-%d}}}" for n in range(CONSUMERS))
    (folder / "catalogue.yaml").write_text(CATALOGUE.format(subscriptions="\n".join(rows)))
    monkeypatch.setenv("RATING_CATALOG", str(folder / "catalogue.yaml"))
    monkeypatch.setenv("RATING_DATABASE_URL", f"sqlite:///{folder / 'book.db'}")
    monkeypatch.setenv("RATING_PROMETHEUS_URL", url)
    span = ["--from", f"{first:%Y-%m-%dT%H:%M}", "--to", f"{after:%Y-%m-%dT%H:%M}"]
    capsys.readouterr()
    assert rating(["collect", *span]) == 0, capsys.readouterr()
    capsys.readouterr()
    assert rating(["usage", *span, "--format", "json"]) == 0
    found: Counter[str] = Counter()
    for row in json.loads(capsys.readouterr().out):
        found[row["consumer"]] += int(row["quantity"])
    return +found


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs a prometheus binary on the PATH")
def test_rating_usage_is_each_consumers_deliveries_to_the_one(
    tmp_path: Path, crash_harness: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    harness: ModuleType = crash_harness
    port, workers, begun = harness.free_port(), 8, datetime.now(UTC)
    api = harness.Api(port, workers, tmp_path / "state")
    prometheus = Prometheus(tmp_path, harness.free_port(), port)
    stop, logs = threading.Event(), [Counter[str]() for _ in range(8)]
    threads = [threading.Thread(target=load, args=(port, stop, log, seed)) for seed, log in enumerate(logs)]
    try:
        api.wait_until_up()
        deadline = time.monotonic() + 30
        while not prometheus.query("up == 1") and time.monotonic() < deadline:
            time.sleep(0.1)  # a target that was scraped before a consumer came: his counter began at zero
        for thread in threads:
            thread.start()
        for restart in range(3):
            time.sleep(2)
            if restart == 1:
                prometheus.stop()
            api.stop()
            api = harness.Api(port, workers, tmp_path / "state")
            api.wait_until_up()
            if restart == 1:
                prometheus = Prometheus(tmp_path, prometheus.port, port)
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join()
        delivered = sum(logs, Counter())
        held: dict[str, int] = {}
        deadline = time.monotonic() + 30
        while sum(held.values()) != delivered.total() and time.monotonic() < deadline:
            time.sleep(0.5)
            rows = prometheus.query("sum by (consumer_id) (api_requests_total)")
            held = {labels["consumer_id"]: int(value) for labels, value in rows}
        resets = prometheus.query("sum(resets(api_requests_total[10m]))")
        usage = used(tmp_path, f"http://127.0.0.1:{prometheus.port}", begun, monkeypatch, capsys)
    finally:
        stop.set()
        prometheus.stop()
        api.kill_all()
    assert delivered.total() > 100
    assert held == delivered
    assert [value for _, value in resets] == [0]
    assert usage == delivered
