"""One site of Chargebee's, asked by its own library, with errors of ours.

Decides what an error means for the next attempt. The key is never part of what is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import chargebee
import httpx
from chargebee.main import Chargebee

from rating.errors import EdgeError, EdgeRefused, EdgeUnavailable

T = TypeVar("T")

KEY_HEADER = Chargebee.idempotency_header
_SECRET = re.compile(r"\b(test|live)_[A-Za-z0-9]{8,}")
_PASSING = frozenset({401, 403, 408, 409, 425, 429})
"""401 and 403 are about our key, which a person mends; every paper would be parked for it."""
_LONGEST = 600

KNOWN: tuple[type[chargebee.APIError], ...] = (
    chargebee.APIError,
    chargebee.PaymentError,
    chargebee.InvalidRequestError,
    chargebee.OperationFailedError,
    chargebee.UbbBatchIngestionInvalidRequestError,
)


class Duplicate(EdgeRefused):
    """Something stands there under this name already."""


class Absent(EdgeRefused):
    """Nothing stands there under this name."""


class Site:
    """Calls to one site.

    Args:
        url: of a server in place of Chargebee's own, on this machine; for tests.
    """

    def __init__(self, site: str, key: str, *, url: str = "", timeout: float = 30.0) -> None:
        self.client = Chargebee(key, site, connection_time_out=int(timeout), read_time_out=int(timeout))
        if url:
            self.client.env.api_endpoint = f"{url}/api/{self.client.env.API_VERSION}"
            if urlsplit(url).scheme == "http":
                # The library asks by https as long as it verifies certificates, whatever the address says.
                Chargebee.verify_ca_certs = False
                self.client.env.protocol = "http"
        self._where = f"Chargebee site {site}"

    def ask(self, what: str, call: Callable[..., T], *arguments: Any, key: str = "") -> T:
        """Call the library; with `key`, so that the same call again finds the first one's answer.

        Raises:
            EdgeUnavailable, EdgeRefused: see `translated`; Duplicate and Absent among what was refused.
        """
        try:
            return call(*arguments, headers={KEY_HEADER: key} if key else {})
        except chargebee.APIError as error:
            raise self.translated(error, what) from error
        except httpx.HTTPError as error:
            raise EdgeUnavailable(f"{what}: {self._where} cannot be reached: {_plain(error)}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # The library reads every answer as one of Chargebee's; one of a proxy between us breaks it.
            raise EdgeUnavailable(f"{what}: what answered is not {self._where}: {_plain(error)}") from error
        except Exception as error:
            # The library says of an answer that is no JSON only that something went wrong.
            if type(error) is Exception:
                raise EdgeUnavailable(f"{what}: {self._where}: {_plain(error)}") from error
            raise

    def every(
        self, what: str, listing: Callable[..., Any], *arguments: Any, where: Mapping[str, Any] | None = None
    ) -> Iterator[Any]:
        """Entries of all pages of a list, filtered; a page that is not asked for by size has ten."""
        page: dict[str, Any] = {**(where or {}), "limit": 100}
        while True:
            found: Any = self.ask(what, listing, *arguments, page)
            yield from found.list
            if not found.next_offset:
                return
            page["offset"] = found.next_offset

    def translated(self, error: chargebee.APIError, what: str) -> EdgeError:
        """What our caller should do about it."""
        code = f" ({error.api_error_code})" if error.api_error_code else ""
        param = f" at {error.param}" if error.param else ""
        said = f"{what}: {self._where} answered {error.http_status_code}{code}{param}: {_plain(error)}"
        status = error.http_status_code or 0
        if status in _PASSING or status >= 500:
            return EdgeUnavailable(said, retry_after=_retry_after(error))
        if error.api_error_code == "duplicate_entry":
            return Duplicate(said)
        return Absent(said) if status == 404 else EdgeRefused(said)


def _plain(error: Exception) -> str:
    text = " ".join(_SECRET.sub(r"\1_***", str(error)).split())
    return (text or type(error).__name__)[:_LONGEST]


def _retry_after(error: chargebee.APIError) -> timedelta | None:
    text = str((error.http_headers or {}).get("retry-after", "")).strip()
    return timedelta(seconds=int(text)) if text.isascii() and text.isdecimal() and len(text) < 7 else None
