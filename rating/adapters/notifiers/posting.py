"""One HTTP POST of JSON to somebody else's system, and what its answer means for the next attempt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

from rating.errors import EdgeRefused, EdgeUnavailable

TIMEOUT = 15.0
# A token that has expired or a right that is missing is mended on our side, so those are worth trying again.
_LATER = frozenset((401, 403, 407, 408, 409, 423, 425, 429))
_SHOWN = 160
"""Characters of an answer that are kept."""


class Poster:
    """Posts for one channel. What it says about its failures never repeats a secret or the path of a URL.

    Args:
        secrets: texts to strike out of whatever the other side answers.
    """

    def __init__(
        self,
        channel: str,
        url: str,
        secrets: Sequence[str] = (),
        *,
        timeout: float = TIMEOUT,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url, self._timeout, self._clock = url, timeout, clock
        self._where = f"channel {channel} at {urlsplit(url).hostname}"
        self._secrets = tuple(sorted(filter(None, secrets), key=len, reverse=True))

    def post(self, body: bytes, headers: Mapping[str, str], *, path: str = "", method: str = "POST") -> str:
        """Returns what it answered, in short.

        Raises:
            EdgeUnavailable: unreachable, slow, failing, asked to wait, or does not know our credentials.
            EdgeRefused: understood and declined, or sent us elsewhere: credentials are not carried to other hosts.
        """
        all_headers = {"Content-Type": "application/json", "User-Agent": "rating-engine", **headers}
        try:
            answer = requests.request(
                method,
                self._url.rstrip("/") + path if path else self._url,
                data=body,
                headers=all_headers,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.Timeout as error:
            raise EdgeUnavailable(f"{self._where}: no answer within {self._timeout:g} s; it is tried again") from error
        except requests.RequestException as error:
            # requests repeats the whole URL in its sentences, and some services keep their secret there.
            raise EdgeUnavailable(
                f"{self._where}: cannot be reached ({type(error).__name__}); it is tried again"
            ) from None
        said = f"{answer.status_code} {self._short(answer)}".strip()
        if 200 <= answer.status_code < 300:
            return said
        if answer.status_code >= 500 or answer.status_code in _LATER:
            hint = "check its credentials" if answer.status_code in (401, 403) else "it is tried again"
            raise EdgeUnavailable(f"{self._where}: answered {said}; {hint}", retry_after=self._asked(answer))
        raise EdgeRefused(f"{self._where}: answered {said}; mend it, then `rating notify retry`")

    def _short(self, answer: requests.Response) -> str:
        text = answer.content[:4096].decode("utf-8", "replace")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = re.sub(r"[^\x20-\x7e\u00a0-\uffff]+", " ", text)
        text = " ".join(text.split())
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."

    def _asked(self, answer: requests.Response) -> timedelta | None:
        """Retry-After, in seconds or as a date."""
        text = answer.headers.get("Retry-After", "").strip()
        if text.isdecimal():
            return timedelta(seconds=min(int(text), 86_400))
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return None
        if when.tzinfo is None:
            return None
        return max(min(when - self._clock(), timedelta(days=1)), timedelta(0))
