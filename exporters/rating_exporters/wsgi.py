"""Counting in front of a WSGI application: one finished response, one count.

The same promises as `asgi`: counted when the server has taken the last chunk (it asked for the next one and there was
none), 500 when the application broke, 499 when the server closed the response early. Flask's route template is read
from the request it leaves in the environ; for any other framework give `endpoint=`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from types import TracebackType
from typing import Any, TypeAlias

from .billable import BillableRule, Response
from .consumers import ConsumerRule, WsgiRequest
from .guard import named
from .usage import UsageMetrics
from .vocabulary import ANONYMOUS, CLIENT_CLOSED, SERVER_BROKE, UNKNOWN, UNMATCHED

Environ: TypeAlias = dict[str, Any]
ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None] | None"
WSGIApp: TypeAlias = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

# A stream's bytes are counted while it runs, at most this often (seconds), and at its end.
STREAM_INTERVAL = 1.0


def flask_template(environ: Environ) -> str | None:
    """The rule Flask (werkzeug) matched; werkzeug leaves its request in the environ."""
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    return getattr(rule, "rule", None)


class UsageMiddlewareWSGI:
    """`app.wsgi_app = UsageMiddlewareWSGI(app.wsgi_app, metrics, from_header("x-api-key", keys=KEYS))`.

    Parameters as of `UsageMiddleware`; `endpoint` reads the environ, after the application has run.
    """

    def __init__(
        self,
        app: WSGIApp,
        metrics: UsageMetrics,
        consumer: ConsumerRule,
        *,
        endpoint: Callable[[Environ], str | None] = flask_template,
        billable: BillableRule | None = None,
        skip: tuple[str, ...] = ("/metrics", "/metrics/"),
    ) -> None:
        if billable is not None and not metrics.billable:
            raise ValueError("a billable rule needs the label: UsageMetrics(billable=True)")
        self.app = app
        self.metrics = metrics
        self.consumer = consumer
        self.endpoint = endpoint
        self.billable = billable
        self.skip = frozenset(skip)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if path in self.skip:
            return self.app(environ, start_response)
        exchange = _Exchange(self, environ, start_response)
        try:
            body = self.app(environ, exchange.start)
        except BaseException:
            exchange.count(SERVER_BROKE)
            raise
        # Servers ask a sized body for its length and then declare it; one that is not sized must not look so.
        return (_SizedBody if hasattr(body, "__len__") else _Body)(exchange, body)


class _Exchange:
    """One request and its response."""

    def __init__(self, middleware: UsageMiddlewareWSGI, environ: Environ, start_response: Callable[..., Any]) -> None:
        self.middleware = middleware
        self.metrics = middleware.metrics
        self.environ = environ
        self.start_response = start_response
        self.request = WsgiRequest(environ)
        self.method = str(environ.get("REQUEST_METHOD", ""))
        self.began = self.flushed = perf_counter()
        self.status = SERVER_BROKE
        self.headers: list[tuple[str, str]] = []
        self.sent = 0
        self.counted = False
        self.input = _Input(environ["wsgi.input"]) if "wsgi.input" in environ else _Input(None)
        if "wsgi.input" in environ:
            environ["wsgi.input"] = self.input

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo = None) -> Callable[[bytes], Any]:
        """The `start_response` the application sees."""
        digits = status[:3]
        self.status = int(digits) if digits.isdigit() else SERVER_BROKE
        self.headers = headers
        write = self.start_response(status, headers, exc_info) if exc_info else self.start_response(status, headers)

        def counted(data: bytes) -> Any:
            answer = write(data)
            self.took(len(data))
            return answer

        return counted

    def took(self, length: int) -> None:
        """The server has taken `length` more bytes."""
        if self.method != "HEAD":
            self.sent += length
        now = perf_counter()
        if now - self.flushed >= STREAM_INTERVAL:
            self.flushed = now
            self.metrics.record_bytes(self._who(), self._where(), self.method, self.input.drain(), self.sent)
            self.sent = 0

    def count(self, status: int) -> None:
        """Count the response, unless it has been."""
        if self.counted:
            return
        self.counted = True
        with self.metrics.faults("record"):
            self.metrics.record(
                self._who(), self._where(), self.method, status,
                seconds=perf_counter() - self.began, received=self.input.drain(), sent=self.sent,
                billable=self._billable(status),
            )  # fmt: skip

    def _who(self) -> str:
        try:
            return named(self.middleware.consumer(self.request), ANONYMOUS)
        except Exception:  # noqa: BLE001 - a rule is foreign code, and the request must go on
            self.metrics.fault("consumer")
            return UNKNOWN

    def _where(self) -> str:
        try:
            return self.middleware.endpoint(self.environ) or UNMATCHED
        except Exception:  # noqa: BLE001 - foreign code
            self.metrics.fault("endpoint")
            return UNMATCHED

    def _billable(self, status: int) -> bool:
        rule = self.middleware.billable
        if rule is None:
            return 200 <= status < 300
        try:
            return bool(rule(self.request, Response(status, {name.lower(): value for name, value in self.headers})))
        except Exception:  # noqa: BLE001 - what nobody decided is not billed
            self.metrics.fault("billable")
            return False


class _Body:
    """The response body, counted as the server takes it."""

    def __init__(self, exchange: _Exchange, body: Iterable[bytes]) -> None:
        self.exchange = exchange
        self.body = body
        self.chunks: Iterator[bytes] | None = None
        self.last = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        exchange = self.exchange
        if self.last:  # the server comes back: it has taken the chunk before
            exchange.took(self.last)
            self.last = 0
        try:
            if self.chunks is None:
                self.chunks = iter(self.body)
            chunk = next(self.chunks)
        except StopIteration:
            exchange.count(exchange.status)
            raise
        except BaseException:
            exchange.count(SERVER_BROKE)
            raise
        self.last = len(chunk)
        return chunk

    def close(self) -> None:
        """The server is done. Before the body's end that means the client has gone."""
        try:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()
        finally:
            self.exchange.count(CLIENT_CLOSED)


class _SizedBody(_Body):
    def __len__(self) -> int:
        return len(self.body)  # type: ignore[arg-type]


class _Input:
    """The request body, counted as the application reads it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.read_bytes = 0

    def drain(self) -> int:
        """Bytes read since the last drain."""
        count, self.read_bytes = self.read_bytes, 0
        return count

    def _seen(self, data: bytes) -> bytes:
        self.read_bytes += len(data)
        return data

    def read(self, *size: int) -> bytes:
        return self._seen(self.stream.read(*size))

    def readline(self, *size: int) -> bytes:
        return self._seen(self.stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._seen(line) for line in self.stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        for line in self.stream:
            yield self._seen(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
