"""Every scenario in one real Prometheus, and the table of what came out, printed at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rating_demo import blocks
from rating_demo.parts import Prometheus
from rating_demo.scenarios import scenarios
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
def scoreboard(pytestconfig: pytest.Config) -> list[Row]:
    return pytestconfig.stash.setdefault(_ROWS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_ROWS, [])
    if rows:
        terminalreporter.section("exact metering against increase(), hourly windows, real servers")
        for line in table(rows):
            terminalreporter.write_line(line)
