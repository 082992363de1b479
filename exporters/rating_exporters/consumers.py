"""Who is counted: rules that read a consumer id from one request, over ASGI and WSGI alike.

A rule is any callable from a `Request` to a consumer id, None (no credential was shown: `<anonymous>`) or `UNKNOWN`
(one was shown, but it belongs to nobody). What a rule answers is data, never trusted as a label: see `guard`.
None of these rules authenticates anybody. They read what an authenticating gateway or the application has checked.
"""

from __future__ import annotations

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, TypeAlias

from .vocabulary import UNKNOWN

Scope: TypeAlias = MutableMapping[str, Any]


class Request(ABC):
    """What a rule may look at. `raw` is the ASGI scope or the WSGI environ."""

    __slots__ = ("raw",)

    def __init__(self, raw: MutableMapping[str, Any]) -> None:
        self.raw = raw

    @abstractmethod
    def header(self, name: str) -> str | None:
        """The first header of that name (any case), or None. The first, because that is the one frameworks read."""

    @abstractmethod
    def state(self, name: str) -> Any:
        """What the application stored on the request under that name (Starlette's `request.state`), or None."""


ConsumerRule: TypeAlias = Callable[[Request], str | None]


@lru_cache(256)
def _asgi_name(name: str) -> bytes:
    return name.lower().encode("latin-1")


@lru_cache(256)
def _wsgi_name(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


class AsgiRequest(Request):
    """A request seen through its ASGI scope."""

    __slots__ = ()

    def header(self, name: str) -> str | None:
        wanted = _asgi_name(name)
        for key, value in self.raw["headers"]:
            if key == wanted:
                return bytes(value).decode("latin-1")
        return None

    def state(self, name: str) -> Any:
        return self.raw.get("state", {}).get(name)


class WsgiRequest(Request):
    """A request seen through its WSGI environ; its state is the environ itself."""

    __slots__ = ()

    def header(self, name: str) -> str | None:
        value = self.raw.get(_wsgi_name(name))
        return None if value is None else str(value)

    def state(self, name: str) -> Any:
        return self.raw.get(name)


def from_header(name: str, keys: Mapping[str, str] | Callable[[str], str | None] | None = None) -> ConsumerRule:
    """The consumer named by a header, or whose key the header carries.

    With `keys` (a mapping or a lookup) the header is a credential: a key that finds nobody is `<unknown>`.
    Without, the header's value *is* the consumer id: use that only for a header your gateway sets and strips from
    clients, and never for a secret, since label values are readable by everybody who may open /metrics.
    """
    if keys is None:
        return lambda request: request.header(name) or None
    find = keys.get if isinstance(keys, Mapping) else keys

    def rule(request: Request) -> str | None:
        shown = request.header(name)
        return (find(shown) or UNKNOWN) if shown else None

    return rule


def from_jwt_claim(claim: str = "sub", header: str = "authorization") -> ConsumerRule:
    """A claim of the bearer token. THE SIGNATURE IS NOT CHECKED: only behind a gateway that has checked it.

    No token: anonymous. A token that cannot be read, or lacks the claim: `<unknown>`.
    """

    def rule(request: Request) -> str | None:
        shown = request.header(header)
        if not shown:
            return None
        scheme, _, token = shown.partition(" ")
        if not token:
            token = scheme
        elif scheme.lower() != "bearer":
            return None
        try:
            body = token.split(".")[1]
            value = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))[claim]
        except (IndexError, KeyError, TypeError, ValueError, RecursionError, binascii.Error):
            return UNKNOWN
        if isinstance(value, bool) or not isinstance(value, str | int):
            return UNKNOWN
        return str(value) or UNKNOWN

    return rule


def from_state(name: str = "consumer_id") -> ConsumerRule:
    """What the application's own authentication stored: `request.state.NAME` in Starlette, `environ[NAME]` in WSGI."""

    def rule(request: Request) -> str | None:
        value = request.state(name)
        return None if value is None else str(value)

    return rule


def first_of(*rules: ConsumerRule) -> ConsumerRule:
    """The first rule that names somebody; else `<unknown>` if any saw a credential; else anonymous."""

    def rule(request: Request) -> str | None:
        verdict: str | None = None
        for candidate in rules:
            answer = candidate(request)
            if answer and answer != UNKNOWN:
                return answer
            verdict = verdict or answer
        return verdict

    return rule
