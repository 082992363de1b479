"""Fixtures for every room: a fresh Stripe of our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.stripe_peer.peer import StripePeer


@pytest.fixture
def stripe_peer() -> Iterator[StripePeer]:
    """A fresh server on loopback; its clock stands at 2026-11-01 00:00 UTC until it is moved.

    A request that the server cannot answer by its own fault fails the test that made it.
    """
    from tests.stripe_peer.peer import StripePeer

    with StripePeer(now=1_793_491_200, standing=True) as peer:
        yield peer
        assert not peer.defects()
