"""One site of Recurly's, asked by its own library, with errors of ours.

Decides what an error means for the next attempt. The key is never part of what is said.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar
from urllib.parse import urlsplit

import recurly
from recurly import errors

from rating.errors import EdgeError, EdgeRefused, EdgeUnavailable

T = TypeVar("T")

_AWAY: tuple[type[Exception], ...] = (
    errors.ServerError,
    errors.TooManyRequestsError,
    errors.SimultaneousRequestError,
    # About our key, which a person mends; every paper would be parked for it.
    errors.UnauthorizedError,
    errors.ForbiddenError,
)
_REFUSED: tuple[type[Exception], ...] = (
    errors.BadRequestError,
    errors.PaymentRequiredError,
    errors.NotFoundError,
    errors.NotAcceptableError,
    errors.PreconditionFailedError,
    errors.UnprocessableEntityError,
)
_LONGEST = 600


class Absent(EdgeRefused):
    """There is nothing of that name."""


class Account:
    """Calls to one site.

    Args:
        region: `us` or `eu`, where the site lives.
        url: of a server in place of Recurly's own, on this machine; for tests.
    """

    def __init__(self, key: str, *, region: str = "us", url: str = "", timeout: float = 30.0) -> None:
        self._key, self._timeout = key, timeout
        self._first = recurly.Client(key, timeout=timeout, region=region)
        host = self._first._BaseClient__conn
        there = urlsplit(url or f"https://{host.host}:{host.port}")
        self._host, self._port = there.hostname or "", there.port
        # Reading all certificates of the machine takes longer than a call.
        self._tls = ssl.create_default_context() if there.scheme == "https" else None

    def ask(self, what: str, call: Callable[[recurly.Client], T]) -> T:
        """Call the library, with a connection of its own: one that broke off is not asked again.

        Raises:
            EdgeUnavailable, EdgeRefused: see `translated`.
        """
        try:
            found = call(self._client())
            if isinstance(found, dict):
                raise TypeError(f"it answered with {', '.join(found)[:80] or 'nothing'}")
            return found
        except recurly.RecurlyError as error:
            raise self.translated(error, what) from error
        except (http.client.HTTPException, OSError) as error:
            raise EdgeUnavailable(f"{what}: Recurly cannot be reached: {self._plain(error)}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # The library reads every answer as one of Recurly's; one of a proxy between us breaks it.
            raise EdgeUnavailable(f"{what}: what answered is not Recurly: {self._plain(error)}") from error

    def translated(self, error: recurly.RecurlyError, what: str) -> EdgeError:
        """What our caller should do about it."""
        if isinstance(error, recurly.NetworkError):
            return EdgeUnavailable(f"{what}: Recurly cannot be reached: {self._plain(error)}")
        said = f"{what}: Recurly answered {type(error).__name__}: {self._plain(error)}"
        if isinstance(error, errors.NotFoundError):
            return Absent(said)
        if isinstance(error, _REFUSED) and not isinstance(error, _AWAY):
            return EdgeRefused(said)
        # What has no class of its own is an answer without a body: of a server that fails.
        return EdgeUnavailable(said)

    def _client(self) -> recurly.Client:
        """One with a new connection."""
        client = copy(self._first)
        # The library knows no other address than its own; its connection is the one place to say so.
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        client._BaseClient__conn = connection
        return client

    def _plain(self, error: Exception) -> str:
        return (" ".join(str(error).replace(self._key, "***").split()) or type(error).__name__)[:_LONGEST]


def name_of(key: str) -> str:
    """How Recurly's paths name an account by our own code."""
    return f"code-{key}"


def keyed(key: str) -> dict[str, Any]:
    """Options of a call that is made once: the same key finds the first answer."""
    return {"headers": {"Idempotency-Key": key}}
