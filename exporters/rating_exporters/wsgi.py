"""Counting in front of a WSGI application: one finished response, one count.

The same promises as `asgi`: 500 when the application broke, 499 when the server closed the response early, and else
counted when the server has taken the last chunk (it asked for the next one and there was none).

Under gunicorn a response that declares its length is counted just before its last chunk is handed over instead. Sending
wakes the client and lets go of the interpreter's lock, so a worker waits longest between its last byte and whatever it
does next; a count that comes after is often not reached by a worker that is killed.

Flask's route template is read from the request in the environ; for Django give `endpoint=django_endpoint`, for any
other framework your own.
"""

from __future__ import annotations

import _socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from socket import MSG_PEEK
from time import perf_counter
from types import TracebackType
from typing import Any, TypeAlias

from .billable import BillableRule, Response
from .consumers import ConsumerRule, WsgiRequest
from .guard import named
from .usage import Series, UsageMetrics
from .vocabulary import ANONYMOUS, CLIENT_CLOSED, SERVER_BROKE, UNKNOWN, UNMATCHED

Environ: TypeAlias = dict[str, Any]
ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None] | None"
WSGIApp: TypeAlias = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

# A stream's bytes are counted while it runs, at most this often (seconds), and at its end.
STREAM_INTERVAL = 1.0

_MSG_DONTWAIT = getattr(_socket, "MSG_DONTWAIT", 0)  # not on Windows, where gunicorn is not either


def flask_template(environ: Environ) -> str | None:
    """The rule Flask (werkzeug) matched; its request is in the environ until the application has returned."""
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    return getattr(rule, "rule", None)


class UsageMiddlewareWSGI:
    """`app.wsgi_app = UsageMiddlewareWSGI(app.wsgi_app, metrics, from_header("x-api-key", keys=KEYS))`.

    Parameters as of `UsageMiddleware`; `endpoint` reads the environ at the moment the response starts.
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
        self.endpoint: str | None = None
        self.ready: Series | None = None
        self.length: int | None = None  # declared by the application
        self.given = 0  # body bytes handed to the server
        self.sent = 0  # those of them that are not counted yet
        self.counted = False
        self.input = _Input(environ["wsgi.input"]) if "wsgi.input" in environ else _Input(None)
        if "wsgi.input" in environ:
            environ["wsgi.input"] = self.input

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo = None) -> Callable[[bytes], Any]:
        """The `start_response` the application sees."""
        digits = status[:3]
        self.status = int(digits) if digits.isdigit() else SERVER_BROKE
        self.headers = headers
        self.length = _declared(headers)
        self.ready = None
        self.endpoint = (
            self._template()
        )  # now: Flask takes its request out of the environ before the last byte has left
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
            series = self.ready if self.ready is not None and status == self.status else self._found(status)
            series.record(perf_counter() - self.began, self.input.drain(), self.sent)

    def prepare(self) -> None:
        """Look up what this response will add to, so that the step from its last byte to its count is a short one."""
        if self.ready is None:
            with suppress(Exception):  # what is wrong is said when it is counted
                self.ready = self._found(self.status)

    def ends_with(self, chunk: bytes) -> bool:
        """Is the response whole after this chunk, and the client there to take it, as far as gunicorn lets us see?"""
        self.given += len(chunk)
        return self.given == self.length and _is_there(self.environ.get("gunicorn.socket"))

    def hand_over(self, length: int) -> None:
        """Count the response now, whose last chunk is the next thing the server sends."""
        if self.method != "HEAD":
            self.sent += length
        self.count(self.status)

    def _found(self, status: int) -> Series:
        return self.metrics.series(self._who(), self._where(), self.method, status, self._billable(status))

    def _who(self) -> str:
        try:
            return named(self.middleware.consumer(self.request), ANONYMOUS)
        except Exception:  # noqa: BLE001 - a rule is foreign code, and the request must go on
            self.metrics.fault("consumer")
            return UNKNOWN

    def _where(self) -> str:
        return self._template() if self.endpoint is None else self.endpoint

    def _template(self) -> str:
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
        self.held: bytes | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        exchange = self.exchange
        if self.held is not None:
            chunk, self.held = self.held, None
            exchange.hand_over(len(chunk))
            return chunk
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
        exchange.prepare()
        if exchange.ends_with(chunk):
            # Gunicorn sends the headers at the first chunk, whatever its length: they too would wake the client.
            self.held = chunk
            return b""
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


def _declared(headers: list[tuple[str, str]]) -> int | None:
    """The body's length as the application declares it."""
    found = next((value for name, value in headers if name.lower() == "content-length"), "")
    return int(found) if found.isdecimal() and found.isascii() else None


def _is_there(sock: object) -> bool:
    """Has the client's side not been closed? False also where that cannot be told: no socket of the kernel's own."""
    # A green socket would wait here for the client's next request, whatever the flags say.
    if not isinstance(sock, _socket.socket):
        return False
    try:
        return _socket.socket.recv(sock, 1, MSG_PEEK | _MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


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

    def readinto(self, buffer: memoryview) -> int:
        """How werkzeug reads; a stream that cannot is read and copied."""
        if hasattr(self.stream, "readinto"):
            count = int(self.stream.readinto(buffer) or 0)
            self.read_bytes += count
            return count
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self, *size: int) -> bytes:
        return self._seen(self.stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._seen(line) for line in self.stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        for line in self.stream:
            yield self._seen(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
