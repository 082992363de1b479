"""Every gateway that claims the port, with the other side it speaks to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .chargebee_site import ChargebeeSite
from .other_peers import ChargebeePeer, RecurlyPeer
from .peers import FilePeer, Peer, StripeSide
from .recurly_site import RecurlySite


@pytest.fixture(params=["files", "stripe", "chargebee", "recurly"])
def peer(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    match request.param:
        case "files":
            yield FilePeer(tmp_path, monkeypatch)
        case "stripe":
            side = StripeSide(monkeypatch)
            with side.open:
                yield side
        case "chargebee":
            with closing(ChargebeeSite()) as site:
                yield ChargebeePeer(site, monkeypatch)
        case "recurly":
            with closing(RecurlySite()) as site:
                yield RecurlyPeer(site, monkeypatch)
