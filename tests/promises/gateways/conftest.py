"""Every gateway that claims the port, with the other side it speaks to."""

from __future__ import annotations

import pytest

from .peers import FilePeer, Peer


@pytest.fixture(params=["files"])
def peer(request: pytest.FixtureRequest) -> Peer:
    return FilePeer(request.getfixturevalue("tmp_path"), request.getfixturevalue("monkeypatch"))
