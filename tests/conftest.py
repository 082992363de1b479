"""The native parts as fixtures. A part that cannot be had skips its tests, and the reason says what to install.

`PARTS_INSTALL=0` forbids installing; otherwise missing parts arrive as the distribution's packages where that can be.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from rating_demo.newer import locate_newer
from rating_demo.parts import PartMissing, PostgreSQL, locate
from tests.stripe_peer.fixtures import localstripe as localstripe
from tests.stripe_peer.fixtures import stripe_mock as stripe_mock
from tests.stripe_peer.fixtures import stripe_peer as stripe_peer

# Nothing is asserted on the clock: a busy machine, or code compiled at its first call, is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

INSTALL = os.environ.get("PARTS_INSTALL", "1") != "0"


def part(name: str) -> Path:
    """The program, or a skip that says why."""
    try:
        return locate(name, install=INSTALL)
    except PartMissing as missing:
        pytest.skip(str(missing))


def newer(name: str) -> Path:
    """A newer version of it than the distribution's, or a skip that says why."""
    try:
        return locate_newer(name, install=INSTALL)
    except PartMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def prometheus_binary() -> Path:
    """Start one with `rating_demo.parts.Prometheus(folder, config, blocks=...)`."""
    return part("prometheus")


@pytest.fixture(scope="session")
def promtool() -> Path:
    return part("promtool")


@pytest.fixture(scope="session")
def alertmanager_binary() -> Path:
    """Start one with `rating_demo.parts.Alertmanager(folder, config)`."""
    return part("alertmanager")


@pytest.fixture(scope="session")
def amtool() -> Path:
    return part("amtool")


@pytest.fixture(scope="session")
def chromium() -> Path:
    return part("chromium")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    """One running PostgreSQL for the whole session; `postgres.database(name)` makes an empty database in it."""
    for name in ("initdb", "postgres", "createdb"):
        part(name)
    with PostgreSQL() as server:
        yield server


_numbers = itertools.count(1)


@pytest.fixture
def postgres_url(postgres: PostgreSQL) -> str:
    """The URL of a fresh, empty PostgreSQL database."""
    return postgres.database(f"test_{os.getpid()}_{next(_numbers)}")
