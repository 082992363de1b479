"""Every gateway that claims the port, with the other side it speaks to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .peers import FilePeer, Peer, StripeSide


@pytest.fixture(params=["files", "stripe"])
def peer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    if request.param == "files":
        yield FilePeer(request.getfixturevalue("tmp_path"), monkeypatch)
        return
    side = StripeSide(monkeypatch)
    with side.open:
        yield side
