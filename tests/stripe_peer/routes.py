"""Which function answers which endpoint."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from tests.stripe_peer.endpoints import endpoints
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

Serve = Callable[[World, Call], Thing]
_Served = TypeVar("_Served", bound=Callable[..., Any])

ROUTES: dict[tuple[str, str], Serve] = {}


def serves(method: str, path: str) -> Callable[[_Served], _Served]:
    """Mark the function that answers an endpoint. It must be one that the SDK knows."""
    assert (method, _bare(path)) in _known(), f"the SDK has no {method} {path}"

    def kept(function: _Served) -> _Served:
        ROUTES[(method, _bare(path))] = function
        return function

    return kept


@functools.cache
def _known() -> frozenset[tuple[str, str]]:
    return frozenset((endpoint.method, _bare(endpoint.path)) for endpoint in endpoints().values())


def route(method: str, path: str) -> Serve | None:
    return ROUTES.get((method, _bare(path)))


def _bare(path: str) -> str:
    """The names of ids in a path do not matter."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))
