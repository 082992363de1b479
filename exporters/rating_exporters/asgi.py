"""Counting in front of an ASGI application: one finished response, one count.

Decides *when*: as the last thing before the last chunk of the response is given to the server, in the same step of the
event loop. Sending wakes the client, and a worker waits longest right after it: counted there, one kill in twenty lost
a response; counted before, one in a hundred counts one that did not leave. A response that breaks off is counted too:
500 when the application broke it, 499 when the client left. Leaves labels and figures to `usage`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any, TypeAlias

from .billable import BillableRule, Response
from .connections import OpenConnections
from .consumers import AsgiRequest, ConsumerRule, Scope
from .guard import named
from .inference import InferenceMetrics
from .routes import template
from .tokens import MAX_ANSWER, TokenReader
from .usage import Series, UsageMetrics
from .vocabulary import ANONYMOUS, CLIENT_CLOSED, SERVER_BROKE, UNKNOWN, UNMATCHED

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
EndpointRule: TypeAlias = Callable[[Scope], "str | None"]

BODIES = frozenset({"http.response.body", "http.response.pathsend", "http.response.zerocopysend"})
# A stream's bytes are counted while it runs, at most this often (seconds), and at its end.
STREAM_INTERVAL = 1.0


class UsageMiddleware:
    """`app.add_middleware(UsageMiddleware, metrics=UsageMetrics(), consumer=from_header("x-api-key", keys=KEYS))`.

    `endpoint(scope)` overrides the route template where the framework leaves none; `billable(request, response)` needs
    `UsageMetrics(billable=True)`; `inference` reads token usage out of passing JSON answers and event streams. `skip`
    lists raw paths that are not usage (the metrics page itself). An open connection over which no byte has passed for
    `stale_after` seconds is charged no further until one does; a server's pings are not seen here. A rule that raises
    never disturbs the request: `rating_exporters_faults_total` counts it, and the consumer is `<unknown>`.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: UsageMetrics,
        consumer: ConsumerRule,
        *,
        endpoint: EndpointRule | None = None,
        billable: BillableRule | None = None,
        inference: InferenceMetrics | None = None,
        skip: tuple[str, ...] = ("/metrics", "/metrics/"),
        stale_after: float | None = None,
    ) -> None:
        if billable is not None and not metrics.billable:
            raise ValueError(
                "a billable rule was given, but the metrics have no such label: UsageMetrics(billable=True)"
            )
        self.app = app
        self.metrics = metrics
        self.consumer = consumer
        self.endpoint = endpoint
        self.billable = billable
        self.inference = inference
        self.skip = frozenset(skip)
        self.connections = OpenConnections(metrics, stale_after=stale_after)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket") or scope["path"] in self.skip:
            await self.app(scope, receive, send)
            return
        # Frameworks below may copy the scope; the state inside it is then still the one we look at afterwards.
        scope.setdefault("state", {})
        exchange = (_Exchange if kind == "http" else _Socket)(self, scope, receive, send)
        await exchange.run()

    def who(self, request: AsgiRequest) -> str:
        """The consumer label of a request."""
        try:
            return named(self.consumer(request), ANONYMOUS)
        except Exception:  # noqa: BLE001 - a rule is foreign code, and the request must go on
            self.metrics.fault("consumer")
            return UNKNOWN


class _Watched:
    """What HTTP and WebSocket exchanges share: who, where, and the figures so far."""

    def __init__(self, middleware: UsageMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        self.middleware = middleware
        self.metrics = middleware.metrics
        self.scope = scope
        self.receive = receive
        self.send = send
        self.root_before: str = scope.get("root_path", "")
        self.outer = scope.get("app") or middleware.app
        self.request = AsgiRequest(scope)
        self.began = self.moved = perf_counter()
        self.received = 0
        self.sent = 0

    def where(self) -> str:
        try:
            if self.middleware.endpoint is not None:
                return self.middleware.endpoint(self.scope) or UNMATCHED
            return template(self.scope, self.outer, self.root_before)
        except Exception:  # noqa: BLE001 - foreign routers and rules
            self.metrics.fault("endpoint")
            return UNMATCHED


class _Exchange(_Watched):
    """One HTTP request and its response."""

    def __init__(self, middleware: UsageMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(middleware, scope, receive, send)
        self.status: int | None = None
        self.raw_headers: Any = ()
        self.tallied: tuple[int, str] | None = None  # with which status, for whom
        self.finished = False
        self.left = False
        self.flushed = self.began
        self.reader: TokenReader | None = None
        self.expected = False
        inference = middleware.inference
        # Kept only where an estimate may need them, and only up to a bound.
        self.asked = bytearray() if inference is not None and inference.estimate is not None else None
        self.answered = bytearray()

    async def run(self) -> None:
        try:
            await self.middleware.app(self.scope, self._receive, self._send)
        except asyncio.CancelledError:
            self.count(CLIENT_CLOSED)
            raise
        except BaseException:
            self.count(CLIENT_CLOSED if self.left else SERVER_BROKE)
            raise
        self.count(CLIENT_CLOSED if self.left else SERVER_BROKE)

    async def _receive(self) -> Message:
        message = await self.receive()
        if message["type"] == "http.request":
            body = message.get("body", b"")
            self.received += len(body)
            self.moved = perf_counter()
            if self.asked is not None and len(self.asked) <= MAX_ANSWER:
                self.asked += body
        elif message["type"] == "http.disconnect":
            self.left = True
        return message

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        last = False
        if kind == "http.response.start":
            self.status = message["status"]
            self.raw_headers = message.get("headers", ())
            self._look_at(_header(self.raw_headers, b"content-type").split(b";")[0].strip().lower())
        elif kind in BODIES:
            last = not message.get("more_body", False)
            if self.reader is not None:
                self.reader.feed(message.get("body", b""))
                if self.asked is not None and len(self.answered) <= MAX_ANSWER:
                    self.answered += message.get("body", b"")
            if last:
                self.sent += self._size(kind, message)
                # Before it is sent: sending wakes the client, and a worker that is killed is often one that waits for
                # its turn after that. All the rest can wait.
                self.tally(self.status or SERVER_BROKE)
        try:
            await self.send(message)
        except OSError:  # how a server says that the client has gone
            self.left = True
            raise
        if kind in BODIES:
            self.moved = perf_counter()
            if last:
                self.count(self.status or SERVER_BROKE)
                return
            self.sent += self._size(kind, message)
            if self.moved - self.flushed >= STREAM_INTERVAL:
                self.flush()

    def _size(self, kind: str, message: Message) -> int:
        if kind != "http.response.body":
            return int(_header(self.raw_headers, b"content-length") or 0)
        return len(message.get("body", b"")) if self.scope["method"] != "HEAD" else 0

    def _found(self, status: int) -> tuple[str, Series]:
        who = self.middleware.who(self.request)
        return who, self.metrics.series(who, self.where(), self.scope["method"], status, self._billable(status))

    def _look_at(self, content_type: bytes) -> None:
        stream = content_type == b"text/event-stream"
        if stream:
            self.middleware.connections.open(self)
        inference = self.middleware.inference
        if inference is None:
            return
        self.expected = inference.expects(self.where()) and 200 <= (self.status or 0) < 300
        readable = _header(self.raw_headers, b"content-encoding") in (b"", b"identity")
        if readable and (self.expected or inference.endpoints is None) and (stream or content_type.endswith(b"json")):
            self.reader = TokenReader(stream=stream)

    def tick(self, seconds: float) -> None:
        """An event stream has been open for `seconds` more."""
        self.metrics.record_connection(self.middleware.who(self.request), self.where(), seconds)
        self.flush()

    def flush(self) -> None:
        """Count the bytes of a stream so far."""
        self.flushed = perf_counter()
        who = self.middleware.who(self.request)
        self.metrics.record_bytes(who, self.where(), self.scope["method"], self.received, self.sent)
        self.received = self.sent = 0

    def tally(self, status: int) -> None:
        """Count that there was a response, with its bytes, unless it has been counted."""
        if self.tallied is not None:
            return
        self.tallied = status, UNKNOWN
        with self.metrics.faults("record"):
            who, series = self._found(status)
            self.tallied = status, who
            received, self.received = self.received, 0
            sent, self.sent = self.sent, 0
            series.record(perf_counter() - self.began, received, sent)

    def count(self, status: int) -> None:
        """Count the response and all that is counted with it, unless that has been done."""
        self.tally(status)
        if self.finished or self.tallied is None:
            return
        self.finished = True
        status, who = self.tallied
        with self.metrics.faults("connections"):
            self.middleware.connections.close(self)
        if self.middleware.inference is not None:
            with self.metrics.faults("inference"):
                stated = self.reader.tokens() if self.reader is not None else None
                completed = 200 <= status < 300
                self.middleware.inference.record(who, stated, completed=completed, expected=self.expected)
                if stated is None and self.expected and completed:
                    self._estimate(who, self.middleware.inference)

    def _estimate(self, who: str, inference: InferenceMetrics) -> None:
        if inference.estimate is not None and self.asked is not None and self.reader is not None:
            found = inference.estimate.of(bytes(self.asked), bytes(self.answered), stream=self.reader.stream)
            inference.record_estimate(who, found)

    def _billable(self, status: int) -> bool:
        rule = self.middleware.billable
        if rule is None:
            return 200 <= status < 300
        headers = {bytes(k).decode("latin-1").lower(): bytes(v).decode("latin-1") for k, v in self.raw_headers}
        try:
            return bool(rule(self.request, Response(status, headers)))
        except Exception:  # noqa: BLE001 - a rule is foreign code; what nobody decided is not billed
            self.metrics.fault("billable")
            return False


class _Socket(_Watched):
    """One WebSocket: connection seconds and bytes while it is open, one request with status 101 at its end."""

    def __init__(self, middleware: UsageMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(middleware, scope, receive, send)
        self.status: int | None = None
        self.consumer = UNKNOWN
        self.endpoint = UNMATCHED

    async def run(self) -> None:
        broke = False
        try:
            await self.middleware.app(self.scope, self._receive, self._send)
        except BaseException:
            broke = True
            raise
        finally:
            if self.status is None:  # never accepted
                self.consumer, self.endpoint = self.middleware.who(self.request), self.where()
                self.status = SERVER_BROKE if broke else 403
            with self.metrics.faults("connections"):
                self.middleware.connections.close(self)
            with self.metrics.faults("record"):
                self.metrics.record(
                    self.consumer, self.endpoint, "WEBSOCKET", self.status, seconds=perf_counter() - self.began,
                    received=self.received, sent=self.sent, billable=self.status == 101,
                )  # fmt: skip

    async def _receive(self) -> Message:
        message = await self.receive()
        if message["type"] == "websocket.receive":
            self.received += _payload(message)
            self.moved = perf_counter()
        return message

    async def _send(self, message: Message) -> None:
        await self.send(message)
        if message["type"] == "websocket.accept":
            self.status = 101
            self.consumer, self.endpoint = self.middleware.who(self.request), self.where()
            self.middleware.connections.open(self)
        elif message["type"] == "websocket.send":
            self.sent += _payload(message)
            self.moved = perf_counter()
        elif message["type"] == "websocket.http.response.start":
            self.consumer, self.endpoint = self.middleware.who(self.request), self.where()
            self.status = message["status"]

    def tick(self, seconds: float) -> None:
        """Count `seconds` more of being open, and the bytes since the last tick."""
        if seconds:
            self.metrics.record_connection(self.consumer, self.endpoint, seconds)
        if self.received or self.sent:
            received, self.received = self.received, 0
            sent, self.sent = self.sent, 0
            self.metrics.record_bytes(self.consumer, self.endpoint, "WEBSOCKET", received, sent)


def _payload(message: Message) -> int:
    data = message.get("bytes")
    return len(data) if data is not None else len((message.get("text") or "").encode("utf-8", "replace"))


def _header(headers: Any, name: bytes) -> bytes:
    return next((bytes(value) for key, value in headers if bytes(key).lower() == name), b"")
