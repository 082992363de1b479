"""NATS JetStream, through nats-py: one position per stream, the sequence of the last message counted.

Decides how a consumer is made anew each time, so that messages come in order from the stored sequence; a consumer that
outlives us would deliver what a killed process held after what is newer. A stream whose messages must be acknowledged
to be removed (work queue, interest) is acknowledged, after counting. Leaves the event loop to a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from .brokers import (
    BrokerRefused,
    BrokerUnavailable,
    Delivery,
    Gap,
    Message,
    Stored,
    named_headers,
    rewound,
    translated,
    without_password,
)

T = TypeVar("T")

PATIENCE = 10.0  # seconds for one question to the server
IDLE = 300.0  # seconds after which the server forgets a consumer whose process was killed


class NatsBroker:
    """Streams of one server. `credentials` is a NATS credentials file."""

    def __init__(
        self, url: str, topics: Sequence[str], *, credentials: str | None = None, at_end: bool = False
    ) -> None:
        import nats  # an extra: imported where it is used

        self._nats = nats
        self.url, self.topics, self.credentials, self.at_end = url, topics, credentials, at_end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._streams: dict[str, _Stream] = {}
        self._gaps: list[Gap] = []

    def open(self, stored: Stored) -> None:
        self._gaps.clear()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()
        self._run(self._open(stored))

    async def _open(self, stored: Stored) -> None:
        async def quiet(_: Exception) -> None:
            return None

        options: dict[str, Any] = {"user_credentials": self.credentials} if self.credentials else {}
        self._connection = await self._nats.connect(
            self.url,
            allow_reconnect=False,  # a connection made anew would not know what was on its way: we begin again instead
            max_reconnect_attempts=1,
            reconnect_time_wait=0.1,
            connect_timeout=5,
            error_cb=quiet,
            **options,
        )
        places = stored()
        for topic in self.topics:
            stream = _Stream(topic, self._connection.jetstream(timeout=PATIENCE))
            await stream.look()
            place = places.get(stream.partition)
            known_before = any(partition.startswith(topic + "@") for partition in places)
            if place is not None:
                stream.position = place.position[0]
                if stream.position > stream.last:
                    raise rewound(f"stream {topic}", stream.position, stream.last, topic)
            elif self.at_end and not known_before:
                stream.position = stream.last
                if stream.last:
                    self._gaps.append(Gap(topic, stream.partition, (stream.last,)))  # a restart begins here, too
            else:
                stream.position = stream.first - 1  # gone before anybody counted
            await stream.begin(queue=topic)
            self._streams[topic] = stream

    def receive(self, most: int, seconds: float) -> Sequence[Delivery]:
        found: list[Delivery] = list(self._gaps)
        self._gaps.clear()
        return found + self._run(self._receive(most, 0.01 if found else seconds))

    async def _receive(self, most: int, seconds: float) -> list[Delivery]:
        each = max(seconds / len(self._streams), 0.01)
        found: list[Delivery] = []
        for stream in self._streams.values():
            found += await stream.fetch(most, 0.01 if found else each)
        return found

    def confirm(self, deliveries: Sequence[Delivery]) -> None:
        receipts = [one.receipt for one in deliveries if isinstance(one, Message) and one.receipt is not None]
        if receipts:
            self._run(self._acknowledge(receipts))

    async def _acknowledge(self, receipts: Sequence[Any]) -> None:
        for receipt in receipts:
            await receipt.ack()
        await self._connection.flush(PATIENCE)

    def backlog(self) -> Mapping[str, int]:
        async def ask() -> dict[str, int]:
            return {topic: await stream.pending() for topic, stream in self._streams.items()}

        return self._run(ask())

    def warnings(self) -> Sequence[str]:
        return [
            f"stream {topic} gives each message to {stream.retention} consumers: let only this process read it"
            for topic, stream in self._streams.items()
            if stream.retention == "workqueue"
        ]

    def close(self) -> None:
        if self._loop is None or self._thread is None:
            return
        with contextlib.suppress(BrokerUnavailable, BrokerRefused):
            self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None
        self._streams.clear()

    async def _close(self) -> None:
        for stream in self._streams.values():
            with contextlib.suppress(self._nats.errors.Error, OSError, asyncio.TimeoutError):
                await stream.end()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        errors, known = self._nats.errors, self._nats.js.errors
        refused = (errors.AuthorizationError, known.NotFoundError, known.BadRequestError)
        unavailable = (errors.Error, OSError, asyncio.TimeoutError)
        where = f"NATS at {without_password(self.url)}"
        with translated(where, refused=refused, unavailable=unavailable):
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class _Stream:
    """One stream and our consumer of it."""

    def __init__(self, name: str, jetstream: Any) -> None:
        self.name, self.jetstream = name, jetstream
        self.position = 0
        self.partition = self.retention = ""
        self.first = self.last = 0
        self._consumer = ""
        self._expected = 1

    async def look(self) -> None:
        """What the stream is and holds now."""
        info = await self.jetstream.stream_info(self.name)
        self.first, self.last = info.state.first_seq, info.state.last_seq
        self.retention = str(getattr(info.config.retention, "value", info.config.retention))
        # A stream that is deleted and made anew counts from 1 again: it is another partition.
        self.partition = f"{self.name}@{getattr(info, 'created', '')}"

    async def begin(self, queue: str) -> None:
        """A new consumer of what comes after `position`."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        kept = self.retention != "limits"
        if kept:  # such a stream may allow no second consumer, and ours of before may still be there
            for other in await self.jetstream.consumers_info(self.name):
                if other.config.description == "rating-exporters":
                    await self.jetstream.delete_consumer(self.name, other.name)
        config = ConsumerConfig(
            description="rating-exporters",
            ack_policy=AckPolicy.EXPLICIT if kept else AckPolicy.NONE,
            deliver_policy=DeliverPolicy.ALL if kept else DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=None if kept else self.position + 1,
            inactive_threshold=IDLE,
            max_ack_pending=-1 if kept else None,
            ack_wait=3600.0 if kept else None,  # a batch that waits is not delivered a second time behind the newer
        )
        info = await self.jetstream.add_consumer(self.name, config)
        self._consumer, self._expected = info.name, 1
        self._subscription = await self.jetstream.pull_subscribe_bind(consumer=info.name, stream=self.name)

    async def end(self) -> None:
        await self._subscription.unsubscribe()
        await self.jetstream.delete_consumer(self.name, self._consumer)

    async def fetch(self, most: int, seconds: float) -> list[Delivery]:
        try:
            received = await self._subscription.fetch(most, timeout=seconds)
        except TimeoutError:
            return []
        found: list[Delivery] = []
        for message in received:
            numbers = message.metadata.sequence
            if numbers.consumer != self._expected:
                raise BrokerUnavailable(
                    f"stream {self.name}: delivery {self._expected} went missing ({numbers.consumer} came); begun anew"
                )
            self._expected += 1
            if numbers.stream > self.position + 1 and self.retention == "limits":
                found += await self._missing(numbers.stream)
            self.position = max(self.position, numbers.stream)
            headers = named_headers([("broker-subject", message.subject), *(message.headers or {}).items()])
            receipt = message if self.retention != "limits" else None
            found.append(Message(self.name, self.partition, (numbers.stream,), message.data, headers, receipt=receipt))
        return found

    async def _missing(self, now: int) -> list[Delivery]:
        """Sequences between the last one and `now` were deleted: unread, if the stream's beginning has passed them."""
        await self.look()
        until = min(now, self.first)
        if until <= self.position + 1:
            return []  # single messages that somebody deleted on purpose
        return [Gap(self.name, self.partition, (until - 1,), until - 1 - self.position)]

    async def pending(self) -> int:
        info = await self.jetstream.consumer_info(self.name, self._consumer)
        return int(info.num_pending or 0)
