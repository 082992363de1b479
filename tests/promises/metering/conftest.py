"""Every scenario in every server there is, and the table of what came out, printed at the end of the run."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from rating_demo import blocks
from rating_demo.newer import NEWER
from rating_demo.openmetrics import Series
from rating_demo.parts import Prometheus, VictoriaMetrics
from rating_demo.scenarios import scenarios
from tests.conftest import newer, part
from tests.promises.metering.reading import Ground
from tests.promises.metering.scoreboard import Row, table

_ROWS = pytest.StashKey[list[Row]]()

Start = Callable[[str], Ground]


def _stored() -> Iterator[Series]:
    return (one for scenario in scenarios() for one in scenario.world.series())


@pytest.fixture(scope="session")
def scenario_blocks(promtool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every scenario's samples as TSDB blocks: one set for all servers that read blocks."""
    folder = tmp_path_factory.mktemp("proving-ground") / "blocks"
    blocks.create(_stored(), folder, promtool)
    return folder


@pytest.fixture(scope="session")
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts the server of that name once, with every scenario in it."""
    running: dict[str, Ground] = {}
    with ExitStack() as stack:

        def start(name: str) -> Ground:
            if name not in running:
                folder = tmp_path_factory.mktemp(name)
                program = SERVERS[name]()
                if name.startswith("prometheus"):
                    running[name] = _prometheus(stack, program, folder, request.getfixturevalue("scenario_blocks"))
                else:
                    running[name] = _victoria(stack, program, folder)
            return running[name]

        yield start


SERVERS: dict[str, Callable[[], Path]] = {
    "prometheus": lambda: part("prometheus"),
    "prometheus-newer": lambda: newer("prometheus"),
    "victoria-metrics": lambda: part("victoria_metrics"),
    "victoria-metrics-newer": lambda: newer("victoria_metrics"),
}


def _prometheus(stack: ExitStack, program: Path, folder: Path, scenario_blocks: Path) -> Ground:
    server = Prometheus(folder, blocks=scenario_blocks, retention="100y", program=program)
    # A server dies with the thread that started it, and a proxy's threads are short-lived: this one starts it again.
    keeper = stack.enter_context(ThreadPoolExecutor(1))
    stack.callback(server.stop)
    keeper.submit(server.start).result()

    def restart() -> None:
        server.stop()
        server.start()

    version = requests.get(f"{server.url}/api/v1/status/buildinfo", timeout=30).json()["data"]["version"]
    return Ground(f"Prometheus {_short(version)}", server.url, restart=lambda: keeper.submit(restart).result())


def _victoria(stack: ExitStack, program: Path, folder: Path) -> Ground:
    server = stack.enter_context(VictoriaMetrics(folder, program=program))
    server.store(_stored())
    return Ground(f"VictoriaMetrics {_short(_packaged(program))}".rstrip(), server.url, "victoriametrics")


def _packaged(program: Path) -> str:
    """The version of its package: Debian's VictoriaMetrics does not know its own."""
    if program.is_relative_to(NEWER):
        return program.parent.name
    asked = ["dpkg-query", "-W", "-f", "${Version}", "victoria-metrics"]
    known = shutil.which("dpkg-query") is not None
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout if known else ""


def _short(version: str) -> str:
    found = re.match(r"v?(\d+(\.\d+)*)", version)
    return found[1] if found else version


@pytest.fixture(scope="session")
def ground(started: Start) -> Ground:
    """This distribution's Prometheus."""
    return started("prometheus")


@pytest.fixture(scope="session", params=SERVERS)
def any_ground(request: pytest.FixtureRequest, started: Start) -> Ground:
    """Each server in turn."""
    return started(request.param)


@pytest.fixture(scope="session")
def scoreboard(pytestconfig: pytest.Config) -> list[Row]:
    return pytestconfig.stash.setdefault(_ROWS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_ROWS, [])
    if rows:
        terminalreporter.section("exact metering against increase(), hourly windows, real servers")
        for line in table(rows):
            terminalreporter.write_line(line)
