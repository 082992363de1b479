"""One Prometheus server over HTTP: sends a question, returns a whole typed answer or raises the right EdgeError.

Built on prometheus_api_client's PrometheusConnect for its session, authentication and retries. What it lacks is added
here: the query in the form body (long queries), a time limit on the whole answer, typed decoding, warnings kept, and
each failure told apart by what the caller should do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
from prometheus_api_client import PrometheusConnect
from requests.utils import get_netrc_auth
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.retry import Retry

from rating.adapters.prometheus.decoding import AnyReply, Reply
from rating.adapters.prometheus.dialects import Dialect
from rating.core.periods import EPOCH
from rating.errors import EdgeRefused, EdgeUnavailable

_CHUNK = 1 << 20
_SHOWN = 160
_TOO_MUCH = (
    "too many samples",
    "maximum number of",
    "exceeded sample limit",
    "cannot select more than",
    "exceeds -search",
)
"""What Prometheus, Mimir and VictoriaMetrics say when a question is too large for them."""


Asked = Callable[[str, str, str, float], None]
"""Hears of one question: the server, the way (promql, remote, metadata), how it ended (answered, refused, failed), and
how many seconds it took."""


def unheard(server: str, way: str, outcome: str, seconds: float) -> None:
    """Nobody asked to hear."""


_WAYS = {"/api/v1/query": "promql", "/api/v1/query_range": "promql", "/api/v1/read": "remote"}


class Exchange:
    """One answer of a server while it arrives."""

    def __init__(self, response: requests.Response, deadline: float) -> None:
        self._response, self._deadline = response, deadline
        self.status = response.status_code
        self.content_type: str = response.headers.get("Content-Type", "")

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives, so that the time limit holds however slowly it drips."""
        while piece := self._response.raw.read1(_CHUNK, decode_content=True):
            yield piece
            self._in_time()

    @property
    def chunked(self) -> bool:
        """Whether `wire` gives the body in HTTP's own chunks."""
        return bool(self._response.raw.chunked) and not self._response.headers.get("Content-Encoding")

    def wire(self) -> Iterator[bytes]:
        """The body with HTTP's own chunks around it: a hundred thousand small ones take long to take apart one by one.
        The caller sees where the last one ends, and reads no further."""
        connection: Any = self._response.raw
        connection = connection._fp.fp
        while piece := connection.read1(_CHUNK):
            yield piece
            self._in_time()

    def _in_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise requests.exceptions.ReadTimeout


class Client(PrometheusConnect):  # type: ignore[misc]
    """Raises from every question:
    EdgeUnavailable: unreachable, slow, failing, or cut short in mid-answer.
    EdgeRefused: it understood and said no, or it is not Prometheus.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        dialect: Dialect,
        headers: Mapping[str, str],
        auth: tuple[str, str] | None,
        verify: str | bool,
        cert: str | tuple[str, str] | None,
        asked: Asked = unheard,
    ) -> None:
        """`asked` hears how each question ended."""
        session = requests.Session()
        # What the environment says of proxies, authorities and passwords, looked up once: for each of many small
        # questions that takes as long as the answer.
        found = session.merge_environment_settings(url, {}, None, verify, cert)
        session.proxies, session.verify, session.cert = found["proxies"], found["verify"], found["cert"]
        if auth is None and "Authorization" not in headers:
            auth = get_netrc_auth(url)
        session.trust_env = False
        # On a LAN compressing raw samples costs the server more than sending them (1.8 s became 8.5 s).
        session.headers["Accept-Encoding"] = "identity"
        # Only problems of connecting are repeated here: a query that timed out would just be slow again.
        retry = Retry(total=3, connect=3, read=False, redirect=3, status=0, backoff_factor=0.2, allowed_methods=None)
        super().__init__(
            url.rstrip("/"),
            headers=dict(headers),
            auth=auth,
            session=session,
            timeout=timeout,
            retry=retry,
            method="POST",
        )
        self.shown_url = _without_password(self.url)
        self._asked = asked
        self.server_time: datetime | None = None
        """The server's clock at its last answer, by its Date header."""
        self.dialect = dialect

    def query(self, kind: type[AnyReply], text: str, at: int, shown: str = "") -> AnyReply:
        """An instant query at `at` milliseconds since the epoch; errors say `shown` where the text holds secrets."""
        return self._ask(kind, "/api/v1/query", {"query": text, "time": _seconds(at)}, shown or text)

    def query_range(self, kind: type[AnyReply], text: str, start: int, end: int, step: int) -> AnyReply:
        """A range query from `start` to `end` inclusive; milliseconds."""
        form = {"query": text, "start": _seconds(start), "end": _seconds(end), "step": _seconds(step)}
        return self._ask(kind, "/api/v1/query_range", form, text)

    def get(self, kind: type[AnyReply], path: str, parameters: Mapping[str, str] | None = None) -> AnyReply:
        return self._ask(kind, path, parameters or {}, path, method="GET")

    def _ask(
        self, kind: type[AnyReply], path: str, form: Mapping[str, str], what: str, method: str = "POST"
    ) -> AnyReply:
        where = f"{self.shown_url}: {what if len(what) <= _SHOWN else what[:_SHOWN] + '...'}"
        status, content_type, body = self._exchange(path, {**self.dialect.parameters, **form}, where, method)
        try:
            reply = msgspec.json.decode(body, type=kind)
        except msgspec.ValidationError:
            # Valid JSON of another shape: an error without data, or something that is no Prometheus.
            reply = self._words(kind, status, content_type, body, where)
        except msgspec.DecodeError as error:
            self._refuse_bad_body(status, content_type, body, where, error)
        if status == 200 and reply.status == "success":
            return reply
        raise refusal(status, reply.error_type, reply.error, where)

    @contextmanager
    def send(
        self, method: str, path: str, where: str, *, headers: Mapping[str, str] | None = None, **content: Any
    ) -> Iterator[Exchange]:
        """An answer while it arrives, within the time limit however slowly it drips; errors say `where`."""
        begun = time.monotonic()
        deadline, outcome = begun + self._timeout, "failed"
        try:
            with self._session.request(
                method,
                f"{self.url}{path}",
                **content,
                headers={**self.headers, **(headers or {})},
                auth=self.auth,
                timeout=self._timeout,
                stream=True,
            ) as response:
                self._note_time(response.headers.get("Date"))
                yield Exchange(response, deadline)
                if response.status_code < 500:
                    outcome = "answered" if response.status_code < 400 else "refused"
        except (
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidSchema,
        ) as error:
            raise EdgeRefused(f"{self.shown_url!r} is not a URL ({error}); set RATING_PROMETHEUS_URL") from error
        except requests.exceptions.SSLError as error:
            raise EdgeRefused(
                f"{where}: TLS failed ({_root(error)}); check the certificate authority and the certificate"
            ) from error
        except (requests.exceptions.Timeout, ReadTimeoutError, TimeoutError) as error:
            raise EdgeUnavailable(
                f"{where}: no whole answer within {self._timeout:g} s; retry, or raise RATING_PROMETHEUS_TIMEOUT"
            ) from error
        except (requests.exceptions.RequestException, HTTPError, ConnectionError) as error:
            raise EdgeUnavailable(f"{where}: cannot be reached ({_root(error)}); is it running there?") from error
        finally:
            self._asked(self.shown_url, _WAYS.get(path, "metadata"), outcome, time.monotonic() - begun)

    def _exchange(self, path: str, form: Mapping[str, str], where: str, method: str) -> tuple[int, str, bytes]:
        """Status, content type and whole body."""
        with self.send(method, path, where, **{"data" if method == "POST" else "params": form}) as exchange:
            return exchange.status, exchange.content_type, b"".join(exchange.pieces())

    def _note_time(self, date: str | None) -> None:
        if date:
            try:
                self.server_time = parsedate_to_datetime(date)
            except ValueError:
                self.server_time = None

    def _words(self, kind: type[AnyReply], status: int, content_type: str, body: bytes, where: str) -> AnyReply:
        try:
            reply = msgspec.json.decode(body, type=Reply)
        except msgspec.DecodeError as error:
            if status != 200 or not isinstance(error, msgspec.ValidationError):
                self._refuse_bad_body(status, content_type, body, where, error)
            raise EdgeRefused(
                f"{self.shown_url}: answered JSON that is not Prometheus's ({error}); check RATING_PROMETHEUS_URL"
            ) from error
        if reply.status == "success":
            raise EdgeRefused(f"{self.shown_url}: answered data of another shape than asked for; is it Prometheus?")
        return kind(status=reply.status, error=reply.error, error_type=reply.error_type)

    def _refuse_bad_body(
        self, status: int, content_type: str, body: bytes, where: str, error: msgspec.DecodeError
    ) -> NoReturn:
        if status >= 500 or status == 429:
            raise refusal(status, "", body[:_SHOWN].decode("utf-8", "replace"), where)
        if status in (401, 403, 404):
            raise refusal(status, "", "", where)
        if "json" in content_type or body[:1] == b"{":
            raise EdgeUnavailable(
                f"{where}: the answer is cut short after {len(body)} bytes ({error}); retry"
            ) from error
        raise EdgeRefused(
            f"{where}: answered {content_type or 'something'} instead of JSON (HTTP {status}); "
            "RATING_PROMETHEUS_URL points at a web page or a login, not at Prometheus"
        ) from error


class TooMuch(EdgeRefused):
    """It will not load so many samples or series at once; a part of them it may."""


def refusal(status: int, kind: str, error: str, where: str) -> EdgeRefused | EdgeUnavailable:
    said = " ".join(error.split()) or "no reason given"
    match status:
        case 401 | 403:
            return EdgeRefused(
                f"{where}: HTTP {status}, {said}; set RATING_PROMETHEUS_BEARER_TOKEN or user and password"
            )
        case 404:
            return EdgeRefused(
                f"{where}: HTTP 404; RATING_PROMETHEUS_URL has no Prometheus API under it, check its path"
            )
        case 408 | 429:
            return EdgeUnavailable(f"{where}: HTTP {status}, {said}; it is busy, retry later")
    if kind in ("timeout", "canceled") or status >= 500:
        return EdgeUnavailable(f"{where}: HTTP {status}, {said}; retry later")
    if any(words in said for words in _TOO_MUCH):
        return TooMuch(f"{where}: HTTP {status} {kind}, {said}; check the meter")
    return EdgeRefused(f"{where}: HTTP {status} {kind}, {said}; check the meter")


def _seconds(milliseconds: int) -> str:
    """Exact decimal seconds."""
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def milliseconds(seconds: float) -> int:
    """Prometheus writes milliseconds as seconds with three decimals; a float holds those to well below one."""
    return round(seconds * 1000)


def instant(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def _root(error: BaseException) -> str:
    """The innermost reason, without the object addresses and URLs that urllib3 wraps around it."""
    reason: object = error
    while isinstance(reason, BaseException):
        inner = getattr(reason, "reason", None) or (reason.args[0] if reason.args else None)
        if not isinstance(inner, BaseException):
            break
        reason = inner
    text = str(reason)
    return text.rpartition(">: ")[2].rpartition("): ")[2] or type(reason).__name__


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"***@{host}", parts.path, "", ""))
