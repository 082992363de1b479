"""The other side of each broker: makes topics, publishes, truncates and makes anew. For tests and for the worker."""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from rating_exporters.broker_kafka import KafkaBroker
from rating_exporters.broker_nats import NatsBroker
from rating_exporters.broker_rabbitmq import RabbitBroker
from rating_exporters.broker_redis import RedisBroker
from rating_exporters.brokers import Broker

Sent = tuple[bytes, dict[str, str], str]  # body, headers, id
_names = itertools.count(1)


def fresh_name() -> str:
    return f"topic{next(_names)}"


class Peer(ABC):
    """`positional`: the broker numbers messages. `truncates`: its oldest messages can be deleted on request.
    `remakes`: made anew, its positions begin again."""

    positional = True
    truncates = True
    remakes = True
    gone = ""  # an address where nobody answers

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def make(self, topic: str) -> None: ...

    @abstractmethod
    def publish(self, topic: str, messages: Iterable[Sent]) -> None: ...

    @abstractmethod
    def adapter(self, topic: str, url: str | None = None, **options: Any) -> Broker: ...

    def keep_newest(self, topic: str, count: int, of: int) -> None:
        raise NotImplementedError

    def remake(self, topic: str) -> None:
        raise NotImplementedError


class KafkaPeer(Peer):
    gone = "127.0.0.1:9"
    partitions = 1

    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.url})

    def make(self, topic: str) -> None:
        from confluent_kafka.admin import NewTopic

        admin = self._admin()  # kept: its answers die with it
        if not self.remakes:  # librdkafka's mock broker: it makes a topic when it is asked for one
            admin.list_topics(topic, timeout=10)
            return
        for made in admin.create_topics([NewTopic(topic, self.partitions, 1)]).values():
            made.result()

    def publish(self, topic: str, messages: Iterable[Sent]) -> None:
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.url, "linger.ms": 5})
        failed: list[Any] = []
        for number, (body, headers, _) in enumerate(messages):
            producer.produce(
                topic, body, partition=number % self.partitions, headers=list(headers.items()),
                on_delivery=lambda error, _: error and failed.append(error),
            )  # fmt: skip
            producer.poll(0)
        assert producer.flush(30) == 0
        assert not failed

    def adapter(self, topic: str, url: str | None = None, **options: Any) -> Broker:
        return KafkaBroker(url or self.url, [topic], **options)

    def keep_newest(self, topic: str, count: int, of: int) -> None:
        from confluent_kafka import TopicPartition

        admin = self._admin()
        answers = admin.delete_records([TopicPartition(topic, 0, of - count)])
        for answer in answers.values():
            answer.result()

    def remake(self, topic: str) -> None:
        import time

        admin = self._admin()
        for gone in admin.delete_topics([topic]).values():
            gone.result()
        time.sleep(0.5)
        self.make(topic)


class RedisPeer(Peer):
    gone = "redis://127.0.0.1:9/0"

    def _client(self) -> Any:
        import redis

        return redis.Redis.from_url(self.url)

    def make(self, topic: str) -> None:
        return

    def publish(self, topic: str, messages: Iterable[Sent]) -> None:
        pipeline = self._client().pipeline(transaction=False)
        for body, headers, _ in messages:
            pipeline.xadd(topic, {"data": body, **headers})
        pipeline.execute()

    def adapter(self, topic: str, url: str | None = None, **options: Any) -> Broker:
        return RedisBroker(url or self.url, [topic], **options)

    def keep_newest(self, topic: str, count: int, of: int) -> None:
        self._client().xtrim(topic, maxlen=count, approximate=False)

    def remake(self, topic: str) -> None:
        self._client().delete(topic)


class NatsPeer(Peer):
    gone = "nats://127.0.0.1:9"
    retention = "limits"

    def _do(self, work: Any) -> None:
        import nats

        async def run() -> None:
            connection = await nats.connect(self.url)
            try:
                await work(connection.jetstream())
            finally:
                await connection.close()

        asyncio.run(run())

    def make(self, topic: str) -> None:
        from nats.js.api import StreamConfig

        subjects = [f"{topic}.*"]
        self._do(lambda js: js.add_stream(StreamConfig(name=topic, subjects=subjects, retention=self.retention)))

    def publish(self, topic: str, messages: Iterable[Sent]) -> None:
        async def work(js: Any) -> None:
            await asyncio.gather(
                *(js.publish(f"{topic}.a", body, headers=headers or None) for body, headers, _ in messages)
            )

        self._do(work)

    def adapter(self, topic: str, url: str | None = None, **options: Any) -> Broker:
        return NatsBroker(url or self.url, [topic], **options)

    def keep_newest(self, topic: str, count: int, of: int) -> None:
        self._do(lambda js: js.purge_stream(topic, keep=count))

    def remake(self, topic: str) -> None:
        self._do(lambda js: js.delete_stream(topic))
        self.make(topic)


class NatsWorkQueuePeer(NatsPeer):
    retention = "workqueue"
    truncates = remakes = False


class RabbitQueuePeer(Peer):
    gone = "amqp://guest:guest@127.0.0.1:9/"
    positional = truncates = remakes = False
    arguments: dict[str, Any] = {}  # noqa: RUF012 - a constant of the class

    def _channel(self) -> Any:
        import pika

        self._connection = pika.BlockingConnection(pika.URLParameters(self.url))
        return self._connection.channel()

    def make(self, topic: str) -> None:
        self._channel().queue_declare(topic, durable=True, arguments=self.arguments)
        self._connection.close()

    def publish(self, topic: str, messages: Iterable[Sent]) -> None:
        import pika

        channel = self._channel()
        channel.tx_select() if not self.positional else channel.confirm_delivery()
        for body, headers, identity in messages:
            properties = pika.BasicProperties(message_id=identity or None, headers=dict(headers), delivery_mode=2)
            channel.basic_publish("", topic, body, properties)
        if not self.positional:
            channel.tx_commit()
        self._connection.close()

    def adapter(self, topic: str, url: str | None = None, **options: Any) -> Broker:
        return RabbitBroker(url or self.url, [topic], **options)


class RabbitStreamPeer(RabbitQueuePeer):
    positional = remakes = True
    arguments = {"x-queue-type": "stream"}  # noqa: RUF012

    def remake(self, topic: str) -> None:
        self._channel().queue_delete(topic)
        self._connection.close()
        self.make(topic)


PEERS: dict[str, type[Peer]] = {
    "kafka": KafkaPeer,
    "redis": RedisPeer,
    "nats": NatsPeer,
    "nats work queue": NatsWorkQueuePeer,
    "rabbitmq queue": RabbitQueuePeer,
    "rabbitmq stream": RabbitStreamPeer,
}


def numbered(start: int, count: int, consumers: int = 3) -> Sequence[Sent]:
    """Messages that say who and how much: number n is consumer cN's, quantity n."""
    return [
        (b'{"consumer_id": "c%d", "n": %d}' % (n % consumers, n), {"kind": "call"}, f"m{n}")
        for n in range(start, start + count)
    ]
