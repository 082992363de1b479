"""HTTP/1.1 with keep-alive over asyncio and h11, so that a connection can also be cut at will."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import unquote

import h11

from tests.stripe_peer.answers import Answer, NoAnswer, Request, encoded
from tests.stripe_peer.control import Control
from tests.stripe_peer.service import Service
from tests.stripe_peer.world import API_VERSION

_LARGEST = 32 * 1024 * 1024


class _Connection(asyncio.Protocol):
    """One connection; its requests one after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST)
        self._head: h11.Request | None = None
        self._body: list[bytes] = []
        self._transport: Any = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        if self._task is None:
            self._read()

    def _read(self) -> None:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                self._transport.close()
                return
            if event in (h11.NEED_DATA, h11.PAUSED):
                return
            if isinstance(event, h11.Request):
                self._head, self._body = event, []
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._task = asyncio.get_running_loop().create_task(self._respond())
                return
            elif isinstance(event, h11.ConnectionClosed):
                self._transport.close()
                return

    async def _respond(self) -> None:
        assert self._head is not None
        target, _, query = self._head.target.decode("ascii", "replace").partition("?")
        request = Request(
            0,
            self._head.method.decode(),
            unquote(target),
            query,
            {name.decode(): value.decode("latin-1") for name, value in self._head.headers},
            b"".join(self._body),
        )
        try:
            answer = await self._server.answered(request)
        except NoAnswer as none:
            if not none.silent:
                self._transport.abort()
            return
        if self._transport.is_closing():
            return
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(answer.body)),
            "Stripe-Version": API_VERSION,
            **answer.headers,
        }
        head = h11.Response(status_code=answer.status, headers=list(headers.items()))
        sent = (self._http.send(head), self._http.send(h11.Data(answer.body)), self._http.send(h11.EndOfMessage()))
        self._transport.write(b"".join(part for part in sent if part))
        self._task = None
        if self._http.our_state is h11.MUST_CLOSE:
            self._transport.close()
            return
        self._http.start_next_cycle()
        self._read()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Server:
    """Listens, and hands requests to the account or to the test's own controls."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.control = Control(service)
        self.connections: set[_Connection] = set()
        self._listening: asyncio.Server | None = None
        self._background: list[asyncio.Task[None]] = []

    async def start(self, host: str, port: int) -> int:
        """Returns the port."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: _Connection(self), host, port)
        self._background = [
            loop.create_task(self.service.deliveries.run()),
            loop.create_task(self._tick()),
        ]
        return int(self._listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        for task in self._background:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._listening is not None:
            self._listening.close()
        for connection in list(self.connections):
            connection.close()

    async def answered(self, request: Request) -> Answer:
        try:
            if request.path.startswith("/_peer"):
                return await self.control.answer(request)
            return await self.service.answer(request)
        except NoAnswer:
            raise
        except Exception as error:  # noqa: BLE001 - a defect of this server must fail the test that meets it
            message = f"tests/stripe_peer has a defect: {type(error).__name__}: {error}"
            self.service.defects.append(message)
            return Answer(500, encoded({"error": {"type": "api_error", "message": message}}))

    async def _tick(self) -> None:
        """What falls due while nobody asks."""
        while True:
            await asyncio.sleep(0.25)
            self.service.world.run_due()
            self.service.deliveries.wake()
