"""Fixtures for every room: a fresh Stripe of our own, and other people's where they can be had."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rating_demo.finding import PartMissing

if TYPE_CHECKING:
    from tests.stripe_peer.others import LocalStripe, StripeMock
    from tests.stripe_peer.peer import StripePeer

_INSTALL = os.environ.get("PARTS_INSTALL", "1") != "0"


@pytest.fixture
def stripe_peer() -> Iterator[StripePeer]:
    """A fresh server on loopback; its clock stands at 2026-11-01 00:00 UTC until it is moved.

    A request that the server cannot answer by its own fault fails the test that made it.
    """
    # The SDK takes a second to import: only tests that use it wait for it.
    from tests.stripe_peer.peer import StripePeer

    with StripePeer(now=1_793_491_200, standing=True) as peer:
        yield peer
        assert not peer.defects()


@pytest.fixture(scope="session")
def stripe_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StripeMock]:
    """Stripe's own stripe-mock: no state, but the published specification; skipped where it cannot be had."""
    from tests.stripe_peer.others import StripeMock, locate_stripe_mock

    program = _had(locate_stripe_mock)
    with StripeMock(program, tmp_path_factory.mktemp("stripe-mock")) as server:
        yield server


@pytest.fixture(scope="session")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    """localstripe, in a process and an environment of its own; skipped where it cannot be had."""
    from tests.stripe_peer.others import LocalStripe, locate_localstripe

    program = _had(locate_localstripe)
    with LocalStripe(program, tmp_path_factory.mktemp("localstripe")) as server:
        yield server


def _had(locate: Callable[..., Path]) -> Path:
    try:
        return locate(install=_INSTALL)
    except PartMissing as missing:
        pytest.skip(str(missing))
