"""Workers, a thousand consumers, restarts and a Prometheus outage: what Prometheus holds is what was delivered."""

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
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs a prometheus binary on the PATH")
def test_prometheus_holds_each_consumers_deliveries_to_the_one(tmp_path: Path, crash_harness: Any) -> None:
    harness: ModuleType = crash_harness
    port, workers = harness.free_port(), 4
    api = harness.Api(port, workers, tmp_path / "state")
    prometheus = Prometheus(tmp_path, harness.free_port(), port)
    stop, logs = threading.Event(), [Counter[str]() for _ in range(8)]
    threads = [threading.Thread(target=load, args=(port, stop, log, seed)) for seed, log in enumerate(logs)]
    try:
        api.wait_until_up()
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
    finally:
        stop.set()
        prometheus.stop()
        api.kill_all()
    assert delivered.total() > 100
    assert held == delivered
    assert [value for _, value in resets] == [0]
