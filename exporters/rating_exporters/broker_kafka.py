"""Kafka (and whatever speaks its protocol), through confluent-kafka: one position per partition, its offset.

Decides where each partition is taken up and what is missing there. Offsets belong to the state file: those that a
consumer group keeps at the broker are written for lag monitors, and read only to find out that another state file
counts this partition. Aborted transactions are not delivered (`read_committed`).
"""

from __future__ import annotations

import logging
import time
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
)

log = logging.getLogger(__name__)

LOOK_AGAIN = 30.0  # seconds between looks for new partitions
PATIENCE = 10.0  # seconds for one question to the broker


class KafkaBroker:
    """Topics of one cluster. Without `group` this process reads every partition; with it, those the group gives it:
    all members must then count into one shared state file. `state_id` names that file to the others. `options` are
    librdkafka's own (security.protocol, sasl.* ...)."""

    def __init__(
        self,
        servers: str,
        topics: Sequence[str],
        *,
        group: str | None = None,
        member: str | None = None,
        state_id: str = "",
        at_end: bool = False,
        options: Mapping[str, str] | None = None,
    ) -> None:
        import confluent_kafka  # an extra: imported where it is used

        self._kafka = confluent_kafka
        self.servers, self.topics, self.group, self.state_id, self.at_end = servers, topics, group, state_id, at_end
        self._settings: dict[str, Any] = {
            "group.id": group or "rating-exporters",
            **({"group.instance.id": member} if group and member else {}),
            "partition.assignment.strategy": "range",
            "fetch.wait.max.ms": 100,
            "isolation.level": "read_committed",
            **(options or {}),
            # Not for anybody to choose: with any other value messages would be skipped in silence.
            "bootstrap.servers": servers,
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "log_level": 0,
        }
        self._consumer: Any = None
        self._stored: Stored = dict
        self._gaps: list[Gap] = []
        self._position: dict[tuple[str, int], int] = {}
        self._ids: dict[str, str] = {}
        self._looked = 0.0

    def open(self, stored: Stored) -> None:
        self._stored = stored
        self._position.clear()
        self._gaps.clear()
        self._consumer = self._kafka.Consumer(self._settings)
        with self._translated():
            parts = self._partitions()
            self._ids = self._topic_ids()
            if self.group:
                self._consumer.subscribe(list(self.topics), on_assign=self._assigned, on_revoke=self._revoked)
            else:
                self._consumer.assign([self._start(topic, number) for topic, number in parts])
        self._looked = time.monotonic()

    def _translated(self) -> AbstractContextManager[None]:
        return translated(f"Kafka at {self.servers}", unavailable=self._kafka.KafkaException)

    def _partitions(self) -> list[tuple[str, int]]:
        found = []
        for topic in self.topics:
            metadata = self._consumer.list_topics(topic, timeout=PATIENCE).topics[topic]
            if metadata.error is not None:
                raise BrokerRefused(f"topic {topic} at {self.servers}: {metadata.error.str()}")
            found += [(topic, number) for number in sorted(metadata.partitions)]
        return found

    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        secure = {k: v for k, v in self._settings.items() if k.startswith(("bootstrap", "sasl", "security", "ssl"))}
        return AdminClient({**secure, "log_level": 0})

    def _topic_ids(self) -> dict[str, str]:
        """A topic that is deleted and made anew has another id; older brokers have none."""
        try:
            from confluent_kafka import TopicCollection

            admin = self._admin()
            asked = admin.describe_topics(TopicCollection(list(self.topics)), request_timeout=PATIENCE)
            return {topic: str(future.result().topic_id) for topic, future in asked.items()}
        except (ImportError, AttributeError, self._kafka.KafkaException):
            return {}

    def _start(self, topic: str, number: int, *, born: bool = False) -> Any:
        """The partition at the offset where it goes on; what is missing there becomes a gap."""
        name = _name(topic, number)
        bare = self._kafka.TopicPartition(topic, number)
        low, high = self._consumer.get_watermark_offsets(bare, timeout=PATIENCE)
        place: Place | None = self._stored().get(name)
        note = self._ids.get(topic, "")
        if place is None:
            start = high if self.at_end and not born else low
            if start == high and start > low:
                self._gaps.append(Gap(topic, name, (start - 1,), note=note))  # so that a restart begins here, too
        else:
            start = place.position[0] + 1
            if start > high or (note and place.note and note != place.note):
                raise rewound(f"topic {topic} partition {number}", f"offset {start - 1}", f"offset {high - 1}", topic)
            if start < low:
                self._gaps.append(Gap(topic, name, (low - 1,), low - start, note))
                start = low
        self._position[topic, number] = start
        return self._kafka.TopicPartition(topic, number, start)

    def _assigned(self, consumer: Any, parts: Sequence[Any]) -> None:
        self._refuse_others(consumer, parts)
        started = [self._start(part.topic, part.partition) for part in parts]
        consumer.assign(started)
        self._claim(started)
        if parts:
            log.info("took up %s", ", ".join(f"{p.topic}/{p.partition} at {p.offset}" for p in started))

    def _revoked(self, consumer: Any, parts: Sequence[Any]) -> None:
        for part in parts:
            self._position.pop((part.topic, part.partition), None)

    def _refuse_others(self, consumer: Any, parts: Sequence[Any]) -> None:
        for part in consumer.committed(list(parts), timeout=PATIENCE):
            owner = part.metadata or ""
            if owner and owner != self.state_id:
                raise BrokerRefused(
                    f"topic {part.topic} partition {part.partition}: group {self.group} has counted it into another "
                    f"state file (id {owner}) up to about offset {part.offset}, and this one (id {self.state_id}) does "
                    "not know how far exactly: let all members of the group count into one file"
                )

    def _claim(self, parts: Sequence[Any]) -> None:
        """Write our offsets into the group, with the id of the state file that counts. For others to read."""
        marked = [
            self._kafka.TopicPartition(part.topic, part.partition, part.offset, metadata=self.state_id)
            for part in parts
            if part.offset >= 0
        ]
        if marked:
            try:
                self._consumer.commit(offsets=marked, asynchronous=False)
            except self._kafka.KafkaException as error:  # a rebalance came first; the state file knows better anyway
                log.info("group %s did not take the offsets: %s", self.group, error)

    def receive(self, most: int, seconds: float) -> Sequence[Delivery]:
        if not self.group and time.monotonic() - self._looked > LOOK_AGAIN:
            self._look_for_new_partitions()
        found: list[Delivery] = self._take_gaps()
        with self._translated():
            for message in self._consumer.consume(most, 0 if found else seconds):
                if message.error() is None:
                    found.append(self._message(message))
                else:
                    self._trouble(message.error(), message)
        return self._take_gaps() + found if self._gaps else found

    def _take_gaps(self) -> list[Delivery]:
        gaps: list[Delivery] = list(self._gaps)
        self._gaps.clear()
        return gaps

    def _message(self, message: Any) -> Message:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        self._position[topic, number] = offset + 1
        headers = named_headers([("broker-key", message.key() or b""), *(message.headers() or ())])
        return Message(
            topic, _name(topic, number), (offset,), message.value() or b"", headers, note=self._ids.get(topic, "")
        )

    def _trouble(self, error: Any, message: Any) -> None:
        codes = self._kafka.KafkaError
        if error.code() in (codes._AUTO_OFFSET_RESET, codes.OFFSET_OUT_OF_RANGE):
            # Deleted under our feet (retention): go on at what is there, and say how much is not.
            raise BrokerUnavailable(f"{message.topic()}/{message.partition()}: {error.str()}; taken up anew")
        if error.code() in (codes.UNKNOWN_TOPIC_OR_PART, codes.TOPIC_AUTHORIZATION_FAILED, codes._UNKNOWN_TOPIC):
            raise BrokerRefused(f"topic {message.topic()} at {self.servers}: {error.str()}")
        if error.code() != codes._PARTITION_EOF and not error.retriable():
            raise BrokerUnavailable(f"{self.servers}: {error.str()}")

    def _look_for_new_partitions(self) -> None:
        self._looked = time.monotonic()
        with self._translated():
            new = [part for part in self._partitions() if part not in self._position]
            if new:
                self._consumer.incremental_assign([self._start(*part, born=True) for part in new])

    def confirm(self, deliveries: Sequence[Delivery]) -> None:
        if not self.group:
            return
        last: dict[tuple[str, int], int] = {}
        for delivery in deliveries:
            topic, _, number = delivery.partition.rpartition("/")
            if (topic, int(number)) in self._position:  # still ours
                last[topic, int(number)] = delivery.position[0] + 1
        self._claim([self._kafka.TopicPartition(*part, offset) for part, offset in last.items()])

    def backlog(self) -> Mapping[str, int]:
        found = dict.fromkeys(self.topics, 0)
        for (topic, number), position in list(self._position.items()):
            part = self._kafka.TopicPartition(topic, number)
            with self._translated():
                _, high = self._consumer.get_watermark_offsets(part, timeout=PATIENCE, cached=True)
            found[topic] += max(high - position, 0)
        return found

    def warnings(self) -> Sequence[str]:
        from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]

        admin = self._admin()  # kept: its answers die with it
        asked = admin.describe_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in self.topics],
            request_timeout=PATIENCE,
        )
        said = []
        for resource, future in asked.items():
            try:
                policy = future.result()["cleanup.policy"].value
            except (self._kafka.KafkaException, KeyError):
                continue  # not ours to read
            if "compact" in policy:
                said.append(
                    f"topic {resource.name} is compacted (cleanup.policy={policy}): a message whose key is written "
                    "again before it is read disappears without a trace; count from a topic with cleanup.policy=delete"
                )
        return said

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()


def _name(topic: str, number: int) -> str:
    return f"{topic}/{number}"
