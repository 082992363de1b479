"""Every scenario in every server there is, and the table of what came out, printed at the end of the run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from rating_demo import blocks
from rating_demo.newer import NEWER
from rating_demo.openmetrics import Series
from rating_demo.parts import Prometheus, VictoriaMetrics
from rating_demo.remote_write import send
from rating_demo.scenarios import scenarios
from tests.conftest import newer, part
from tests.promises.metering.reading import Ground
from tests.promises.metering.scoreboard import Row, claim, keep, table

_ROWS = pytest.StashKey[list[Row]]()

Start = Callable[[str], Ground]


Batches = Sequence[Sequence[Series]]
"""Every scenario's samples in order of arrival: batches of series."""


@pytest.fixture(scope="session")
def arrivals() -> Batches:
    """What arrives late does so when all else is there."""
    each = [scenario.world.arrivals() for scenario in scenarios()]
    return [*(prompt for prompt, _ in each), *(late for _, late in each if late)]


@pytest.fixture(scope="session")
def scenario_blocks(promtool: Path, arrivals: Batches, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every scenario's samples as TSDB blocks, those of late samples overlapping the others."""
    folder = tmp_path_factory.mktemp("proving-ground") / "blocks"
    prompt = len(scenarios())
    for batches in (arrivals[:prompt], arrivals[prompt:]):
        blocks.create((one for batch in batches for one in batch), folder, promtool)
    return folder


class Program(NamedTuple):
    """A server, and how the samples get into it."""

    find: Callable[[], Path]
    filled: Callable[[ExitStack, Path, Path, pytest.FixtureRequest], Ground]


@pytest.fixture(scope="session")
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts the server of that name once, with every scenario in it."""
    running: dict[str, Ground] = {}
    with ExitStack() as stack:

        def start(name: str) -> Ground:
            if name not in running:
                program = SERVERS[name]
                running[name] = program.filled(stack, program.find(), tmp_path_factory.mktemp(name), request)
            return running[name]

        yield start


def _from_blocks(stack: ExitStack, program: Path, folder: Path, request: pytest.FixtureRequest) -> Ground:
    filled = request.getfixturevalue("scenario_blocks")
    server = Prometheus(folder, blocks=filled, retention="100y", program=program)
    # A server dies with the thread that started it, and a proxy's threads are short-lived: this one starts it again.
    keeper = stack.enter_context(ThreadPoolExecutor(1))
    stack.callback(server.stop)
    keeper.submit(server.start).result()

    def restart() -> None:
        server.stop()
        server.start()

    return Ground(_named(server), server.url, restart=lambda: keeper.submit(restart).result())


def _as_written(stack: ExitStack, program: Path, folder: Path, request: pytest.FixtureRequest) -> Ground:
    """By remote write, with the staleness markers that scrapes leave."""
    config = "storage: {tsdb: {out_of_order_time_window: 90d}}\n"
    flags = ["--web.enable-remote-write-receiver"]
    server = stack.enter_context(Prometheus(folder, config, retention="100y", flags=flags, program=program))
    for batch in request.getfixturevalue("arrivals"):
        send(f"{server.url}/api/v1/write", batch)
    return Ground(_named(server), server.url)


def _named(server: Prometheus) -> str:
    version = requests.get(f"{server.url}/api/v1/status/buildinfo", timeout=30).json()["data"]["version"]
    return f"Prometheus {_short(version)}"


def _imported(stack: ExitStack, program: Path, folder: Path, request: pytest.FixtureRequest) -> Ground:
    server = stack.enter_context(VictoriaMetrics(folder, program=program))
    for batch in request.getfixturevalue("arrivals"):
        server.store(batch)
    return Ground(f"VictoriaMetrics {_short(_packaged(program))}".rstrip(), server.url, "victoriametrics")


def _as_written_to_victoria(stack: ExitStack, program: Path, folder: Path, request: pytest.FixtureRequest) -> Ground:
    server = stack.enter_context(VictoriaMetrics(folder, program=program))
    for batch in request.getfixturevalue("arrivals"):
        send(f"{server.url}/api/v1/write", batch)
    server.flush()
    return Ground(f"VictoriaMetrics {_short(_packaged(program))}".rstrip(), server.url, "victoriametrics")


SERVERS = {
    "prometheus": Program(lambda: part("prometheus"), _from_blocks),
    "prometheus-newer": Program(lambda: newer("prometheus"), _as_written),
    "victoria-metrics": Program(lambda: part("victoria_metrics"), _imported),
    "victoria-metrics-newer": Program(lambda: newer("victoria_metrics"), _as_written_to_victoria),
}


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


@pytest.fixture(scope="session", params=[name for name in SERVERS if name.startswith("prometheus")])
def streaming_ground(request: pytest.FixtureRequest, started: Start) -> Ground:
    """Each server that serves remote read, in turn."""
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
        terminalreporter.write_line("")
        terminalreporter.write_line(claim(rows))
        if os.environ.get("UPDATE_GOLDEN"):
            keep(rows)
