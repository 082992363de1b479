"""JSON from a cloud's HTTPS API with a bearer token: patience, and errors a person can act on.

Decides what is asked again (throttling, a server's own trouble, a broken connection) and what is not. A token is sent
to the address it was meant for and nowhere else, and no error repeats it. Leaves paths and fields to the adapters.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .cloud import CloudRefused, CloudUnavailable

TRIES = 6
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds
TIMEOUT = 60.0  # seconds
AGAIN = frozenset({408, 429, 500, 502, 503, 504})

Token = Callable[[], str]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """urllib would carry the Authorization header along to wherever it is sent."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class JsonApi:
    """GET and POST of JSON below one address. `token` is called for each request, so a rotated one is taken up."""

    def __init__(
        self, base: str, token: Token | None = None, *, sleep: Callable[[float], None] = time.sleep, tries: int = TRIES
    ) -> None:
        parts = urllib.parse.urlsplit(base)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(f"{base}: an address that a token is sent to starts with https://")
        self.base = base.rstrip("/")
        self.token, self.sleep, self.tries = token, sleep, tries
        self._opener = urllib.request.build_opener(_NoRedirects)

    def get(self, path: str, query: Mapping[str, str]) -> Any:
        """The answer to a path and its query."""
        return self.follow(f"{self.base}{path}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}")

    def follow(self, url: str) -> Any:
        """The answer of an address that an earlier answer named: only where this one lives."""
        if urllib.parse.urlsplit(url)[:2] != urllib.parse.urlsplit(self.base)[:2]:
            raise CloudRefused(f"the next page is said to be at {_bare(url)}, and the token is for {self.base} only")
        return self._asked(urllib.request.Request(url))

    def post(self, path: str, form: Mapping[str, str]) -> Any:
        """The answer to a form."""
        return self._asked(urllib.request.Request(self.base + path, urllib.parse.urlencode(form).encode()))

    def _asked(self, request: urllib.request.Request) -> Any:
        where = _bare(request.full_url)
        request.add_header("Accept", "application/json")
        wait = FIRST_WAIT
        for attempt in range(1, self.tries + 1):
            if self.token is not None:
                request.add_header("Authorization", f"Bearer {self.token()}")
            try:
                with self._opener.open(request, timeout=TIMEOUT) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                trouble = f"{where} answered {error.code}: {_said(error)}"
                if error.code not in AGAIN:
                    raise CloudRefused(trouble + _advice(error.code)) from None
                asked = error.headers.get("Retry-After", "")
                pause = min(float(asked), LONGEST_WAIT) if asked.isdigit() else wait
            except (OSError, http.client.HTTPException) as error:
                trouble, pause = f"{where} cannot be reached: {error}", wait
            except ValueError as error:
                raise CloudRefused(f"{where} answered no JSON: {error}") from None
            if attempt < self.tries:
                self.sleep(pause)
                wait = min(wait * 2, LONGEST_WAIT)
        raise CloudUnavailable(f"{trouble} ({self.tries} tries)")


def token_from(file: Path | None, variable: str, advice: str) -> Token:
    """A token from a file, read again each time, or from an environment variable. ValueError when there is neither."""
    if file is not None:
        return lambda: _read(file)
    value = os.environ.get(variable, "").strip()
    if not value:
        raise ValueError(f"no credentials: give --token-file FILE or set {variable}{advice}")
    return lambda: value


def _read(file: Path) -> str:
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CloudRefused(f"cannot read the token file: {error}") from None
    if not token or any(letter.isspace() for letter in token):
        raise CloudRefused(f"{file}: it should hold one token and nothing else")
    return token


def _bare(url: str) -> str:
    return url.partition("?")[0]


def _said(error: urllib.error.HTTPError) -> str:
    """The message of an error body of Azure's or Google's kind, else the reason."""
    try:
        told = json.loads(error.read(64 << 10))
        inner = told.get("error")
        text = inner["message"] if isinstance(inner, dict) else told.get("error_description", inner)
        return " ".join(str(text or error.reason).split())[:300]
    except (OSError, ValueError, KeyError, AttributeError, http.client.HTTPException):
        return str(error.reason)


def _advice(status: int) -> str:
    return {
        401: "; the credentials are wrong or expired",
        403: "; these credentials may not read the report: see the README, Clouds, for what they need",
        404: "; is the name spelled right?",
    }.get(status, "")
