"""Every scenario in one real Prometheus, and the table of what came out, printed at the end of the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from rating_demo import blocks
from rating_demo.openmetrics import Series
from rating_demo.parts import Process, Prometheus, answers, free_port
from rating_demo.scenarios import scenarios
from tests.conftest import part
from tests.promises.metering.reading import Ground
from tests.promises.metering.scoreboard import Row, table

_ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture(scope="session")
def ground(prometheus_binary: Path, promtool: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A Prometheus that holds every scenario's samples."""
    folder = tmp_path_factory.mktemp("proving-ground")
    series = (one for scenario in scenarios() for one in scenario.world.series())
    blocks.create(series, folder / "blocks", promtool)
    server = Prometheus(folder / "prometheus", blocks=folder / "blocks", retention="100y")
    # A server dies with the thread that started it, and a proxy's threads are short-lived: this one starts it again.
    with ThreadPoolExecutor(1) as keeper:

        def restart() -> None:
            server.stop()
            server.start()

        keeper.submit(server.start).result()
        try:
            yield Ground(server.url, lambda: keeper.submit(restart).result())
        finally:
            server.stop()


@pytest.fixture(scope="session")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A VictoriaMetrics that holds the same samples."""
    program = part("victoria_metrics")
    folder, port = tmp_path_factory.mktemp("victoria"), free_port()
    url = f"http://127.0.0.1:{port}"
    flags = ["-retentionPeriod=100y", f"-storageDataPath={folder / 'data'}", f"-httpListenAddr=127.0.0.1:{port}"]
    server = Process("victoria-metrics", [program, *flags], folder / "log")
    server.start()
    try:
        server.wait_until(lambda: answers(f"{url}/health"), 30)
        for scenario in scenarios():
            lines = (_imported(one) for one in scenario.world.series())
            requests.post(f"{url}/api/v1/import", data=b"\n".join(lines), timeout=60).raise_for_status()
        # What was imported is found a moment later, or at once after this.
        requests.get(f"{url}/internal/force_flush", timeout=60).raise_for_status()
        yield Ground(url, lambda: None)
    finally:
        server.stop()


def _imported(series: Series) -> bytes:
    labels = {name: value for name, value in series.labels.items() if value}
    columns = {"values": series.values.tolist(), "timestamps": series.times.tolist()}
    return json.dumps({"metric": {"__name__": series.metric, **labels}, **columns}).encode()


@pytest.fixture(scope="session")
def scoreboard(pytestconfig: pytest.Config) -> list[Row]:
    return pytestconfig.stash.setdefault(_ROWS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_ROWS, [])
    if rows:
        terminalreporter.section("exact metering against increase(), hourly windows, real servers")
        for line in table(rows):
            terminalreporter.write_line(line)
