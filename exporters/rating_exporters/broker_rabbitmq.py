"""RabbitMQ, through pika: queues by message ids, streams by offsets.

Decides which of the two a name is, by asking. A queue has no positions: a message that was counted but whose
acknowledgement was lost comes again and looks like a new one, so each must carry an id, which is kept in the same
transaction as the totals. A stream has offsets, and its messages need no ids.
"""

from __future__ import annotations

import contextlib
import time
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from .brokers import (
    BrokerRefused,
    BrokerUnavailable,
    Delivery,
    Gap,
    Message,
    Place,
    Stored,
    named_headers,
    rewound,
    translated,
    without_password,
)

PREFETCH = 1_000  # deliveries on their way, per queue; ids are remembered for many times that
PATIENCE = 10.0  # seconds for a stream to show the message that was counted last


class RabbitBroker:
    """Queues and streams of one RabbitMQ."""

    def __init__(self, url: str, topics: Sequence[str], *, at_end: bool = False) -> None:
        import pika  # an extra: imported where it is used

        self._pika = pika
        self.url, self.topics, self.at_end = url, topics, at_end
        self._where = f"RabbitMQ at {without_password(url)}"
        self._connection: Any = None
        self._queues: dict[str, _Queue] = {}
        self._arrived: deque[Delivery] = deque()

    def open(self, stored: Stored) -> None:
        if self.at_end:
            raise BrokerRefused("RabbitMQ cannot say where a stream ends: begin at its beginning")
        self._arrived.clear()
        places = stored()
        with self._translated():
            parameters = self._pika.URLParameters(self.url)
            parameters.socket_timeout = parameters.blocked_connection_timeout = 10
            self._connection = self._pika.BlockingConnection(parameters)
            for topic in self.topics:
                self._queues[topic] = self._begin(topic, places.get(topic))

    def _begin(self, topic: str, place: Place | None) -> _Queue:
        queue = _Queue(topic, place, self._arrived)
        try:
            # From the message counted last, not after it: that it is there shows that the stream is still the same.
            self._consume(queue, {"x-stream-offset": place.position[0] if place else "first"})
        except self._pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code == 406 and "x-stream-offset" in error.reply_text:  # so it is a queue
                self._consume(queue, {})
                queue.channel.tx_select()  # so that an acknowledgement is answered
                return queue
            raise BrokerRefused(f"{self._where}: {error.reply_text}") from error
        queue.stream = True
        deadline = time.monotonic() + PATIENCE
        while queue.proving is not None:
            self._connection.process_data_events(0.1)
            if time.monotonic() > deadline:
                raise rewound(f"stream {topic}", f"offset {queue.proving.position[0]}", "an earlier offset", topic)
        return queue

    def _consume(self, queue: _Queue, arguments: Mapping[str, Any]) -> None:
        queue.channel = self._connection.channel()
        queue.channel.basic_qos(prefetch_count=PREFETCH)
        queue.channel.basic_consume(queue.topic, queue.arrived, arguments=arguments)

    def receive(self, most: int, seconds: float) -> Sequence[Delivery]:
        with self._translated():
            if not self._arrived:
                self._connection.process_data_events(seconds)
            else:
                self._connection.process_data_events(0)  # the heartbeat
        for queue in self._queues.values():
            if queue.refused is not None:
                raise queue.refused
            if not queue.channel.is_open or not queue.channel.consumer_tags:
                raise BrokerUnavailable(f"{self._where}: it stopped delivering {queue.topic}")
        return [self._arrived.popleft() for _ in range(min(most, len(self._arrived)))]

    def confirm(self, deliveries: Sequence[Delivery]) -> None:
        last = {one.topic: one.receipt for one in deliveries if isinstance(one, Message)}
        with self._translated():
            for topic, tag in last.items():
                queue = self._queues[topic]
                queue.channel.basic_ack(tag, multiple=True)
                if not queue.stream:
                    queue.channel.tx_commit()

    def backlog(self) -> Mapping[str, int]:
        found = {}
        with self._translated():
            for queue in self._queues.values():
                if not queue.stream:  # of a stream, AMQP does not say
                    answer = queue.channel.queue_declare(queue.topic, passive=True)
                    found[queue.topic] = answer.method.message_count + sum(
                        isinstance(one, Message) and one.topic == queue.topic for one in self._arrived
                    )
        return found

    def warnings(self) -> Sequence[str]:
        return [
            f"{queue.topic} is a queue, not a stream: a message without an id is set aside, and the only copy of a "
            "message is gone when it is acknowledged; a stream has offsets and keeps its messages"
            for queue in self._queues.values()
            if not queue.stream
        ]

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._queues.clear()
        if connection is not None:
            with contextlib.suppress(self._pika.exceptions.AMQPError, OSError):
                connection.close()

    def _translated(self) -> AbstractContextManager[None]:
        known = self._pika.exceptions
        refused = (known.ProbableAuthenticationError, known.ProbableAccessDeniedError)
        return translated(self._where, refused=refused, unavailable=(known.AMQPError, OSError))


class _Queue:
    """One queue or stream, and the channel it is read through."""

    def __init__(self, topic: str, place: Place | None, into: deque[Delivery]) -> None:
        self.topic, self.into = topic, into
        self.stream = False
        self.channel: Any = None
        self.refused: BrokerRefused | None = None
        self.proving = place  # what must come first, as it was
        self.expected = place.position[0] if place else None

    def arrived(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        headers = _headers(method, properties)
        at = headers.get("x-stream-offset")
        if at is None:
            self.into.append(
                Message(self.topic, self.topic, (), body, headers, properties.message_id, receipt=method.delivery_tag)
            )
            return
        offset, note = int(at), str(zlib.crc32(body))
        if self.proving is not None:
            if offset == self.proving.position[0] and note != self.proving.note:
                self.refused = rewound(f"stream {self.topic}", f"another message at offset {offset}", at, self.topic)
            if offset > self.proving.position[0]:
                self.expected = self.proving.position[0] + 1  # that one was counted; what follows is missing
            self.proving = None
        if self.expected is not None and offset > self.expected:
            self._gap(offset)
        self.expected = offset + 1
        self.into.append(
            Message(self.topic, self.topic, (offset,), body, headers, note=note, receipt=method.delivery_tag)
        )

    def _gap(self, offset: int) -> None:
        """The stream's beginning has passed what was to come next."""
        assert self.expected is not None
        self.into.append(Gap(self.topic, self.topic, (offset - 1,), offset - self.expected))


def _headers(method: Any, properties: Any) -> dict[str, str]:
    named = [(name, value) for name, value in (properties.headers or {}).items() if value is not None]
    own = {
        "broker-routing-key": method.routing_key,
        "content-type": properties.content_type,
        "message-id": properties.message_id,
        "type": properties.type,
        "app-id": properties.app_id,
        "user-id": properties.user_id,
        "correlation-id": properties.correlation_id,
    }
    return named_headers([*named, *((name, value) for name, value in own.items() if value)])
