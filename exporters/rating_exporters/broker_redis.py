"""Redis Streams, through redis-py: one position per stream, the id of the last entry counted.

Decides what a trimmed stream has lost: Redis numbers nothing, but since version 7 it knows how many entries were ever
added, so the note beside the position is how many of them we have passed. Reads with XREAD and without a consumer
group: a group's list of pending entries would be a second truth beside the state file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from .brokers import (
    BrokerRefused,
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


class RedisBroker:
    """Streams of one Redis. `body` is the field of an entry that holds the body; all fields are headers."""

    def __init__(self, url: str, topics: Sequence[str], *, body: str = "data", at_end: bool = False) -> None:
        import redis  # an extra: imported where it is used

        self._redis = redis
        self.url, self.topics, self.body, self.at_end = url, topics, body, at_end
        self._client: Any = None
        self._next: dict[str, tuple[int, int]] = {}
        self._passed: dict[str, int] = {}  # entries ever added up to there; -1: an older Redis does not say
        self._gaps: list[Gap] = []

    def open(self, stored: Stored) -> None:
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._gaps.clear()
        places = stored()
        with self._translated():
            # Timeouts, for a server that is there and does not answer; no retries, for we begin again ourselves.
            self._client = self._redis.Redis.from_url(
                self.url, socket_connect_timeout=5, socket_timeout=15, retry=Retry(NoBackoff(), 0)
            )
            for topic in self.topics:
                self._start(topic, places.get(topic), self._facts(topic))

    def _start(self, topic: str, place: Place | None, facts: Mapping[str, Any]) -> None:
        added, length = int(facts.get("entries-added", -1)), int(facts.get("length", 0))
        last = _position(facts.get("last-generated-id", b"0-0"))
        if place is not None:
            self._next[topic] = place.position[0], place.position[1]
            self._passed[topic] = int(place.note or -1)
            if last < self._next[topic] or 0 <= added < self._passed[topic]:
                where = f"{place.position[0]}-{place.position[1]}"
                raise rewound(f"stream {topic}", where, f"{last[0]}-{last[1]}", topic)
        elif self.at_end and last > (0, 0):
            self._next[topic], self._passed[topic] = last, added
            self._gaps.append(Gap(topic, topic, last, note=str(added)))  # so that a restart begins here, too
        else:
            self._next[topic] = (0, 0)
            self._passed[topic] = added - length if added >= 0 else -1  # trimmed before anybody counted

    def _facts(self, topic: str) -> Mapping[str, Any]:
        try:
            facts: Mapping[str, Any] = self._client.xinfo_stream(topic)
        except self._redis.ResponseError as error:
            return _absent(topic, error)
        return facts

    def receive(self, most: int, seconds: float) -> Sequence[Delivery]:
        found: list[Delivery] = list(self._gaps)
        self._gaps.clear()
        with self._translated():
            if not found:
                ids: Any = {topic: f"{at[0]}-{at[1]}" for topic, at in self._next.items()}
                self._client.xread(ids, count=1, block=max(int(seconds * 1000), 1))
            for topic in self.topics:
                found += self._entries(topic, max(most - len(found), 1))
        return found

    def _entries(self, topic: str, most: int) -> list[Delivery]:
        """The next entries, and what was trimmed before them: read at one moment, or trimming could slip between."""
        at = self._next[topic]
        both = self._client.pipeline(transaction=True)
        both.xinfo_stream(topic)
        both.xrange(topic, min=f"({at[0]}-{at[1]}", count=most)
        facts, entries = both.execute(raise_on_error=False)
        if isinstance(facts, self._redis.ResponseError):
            facts = _absent(topic, facts)
        if isinstance(entries, self._redis.ResponseError):
            raise BrokerRefused(f"stream {topic}: {entries}")
        found: list[Delivery] = []
        lost = self._lost(topic, at, facts)
        if lost:
            self._passed[topic] += lost
            # The gap ends right before the first entry that is there, or at the end of a stream that is empty.
            first = _position(entries[0][0]) if entries else _position(facts["last-generated-id"])
            at = _before(first) if entries else first
            found.append(Gap(topic, topic, at, lost, str(self._passed[topic])))
            self._next[topic] = at
        for identity, fields in entries:
            position = _position(identity)
            if self._passed[topic] >= 0:
                self._passed[topic] += 1
            headers = named_headers(
                [(name.decode("utf-8", "replace"), value) for name, value in (fields or {}).items()]
            )
            body = (fields or {}).get(self.body.encode(), b"")
            found.append(Message(topic, topic, position, body, headers, note=str(self._passed[topic])))
            self._next[topic] = position
        return found

    def _lost(self, topic: str, at: tuple[int, int], facts: Mapping[str, Any]) -> int:
        """How many entries after `at` were deleted unread. Those deleted one by one before `at` do not matter."""
        passed, added = self._passed[topic], int(facts.get("entries-added", -1))
        if passed < 0 or added < 0:
            return 0
        if added < passed:
            raise rewound(f"stream {topic}", f"{at[0]}-{at[1]}", facts["last-generated-id"].decode(), topic)
        first = facts["first-entry"]
        if first is not None and _position(first[0]) <= at:
            return 0  # what we counted last, or something before it, is still there: nothing was trimmed past it
        return max(added - passed - int(facts["length"]), 0)

    def confirm(self, deliveries: Sequence[Delivery]) -> None:
        return

    def backlog(self) -> Mapping[str, int]:
        found = {}
        with self._translated():
            for topic in self.topics:
                added = int(self._facts(topic).get("entries-added", -1))
                if added >= 0 and self._passed[topic] >= 0:
                    found[topic] = max(added - self._passed[topic], 0)
        return found

    def warnings(self) -> Sequence[str]:
        if any(passed < 0 for passed in self._passed.values()):
            return ["this Redis is older than 7 and does not say how many entries were trimmed: lost ones stay unseen"]
        return []

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _translated(self) -> AbstractContextManager[None]:
        known = self._redis
        refused = (known.AuthenticationError, known.ResponseError)
        return translated(f"Redis at {without_password(self.url)}", refused=refused, unavailable=known.RedisError)


def _absent(topic: str, error: Any) -> Mapping[str, Any]:
    if "no such key" in str(error):  # nobody has written to it yet
        return {"entries-added": 0, "length": 0, "last-generated-id": b"0-0", "first-entry": None}
    raise BrokerRefused(f"stream {topic}: {error}")


def _position(identity: bytes | str) -> tuple[int, int]:
    text = identity.decode() if isinstance(identity, bytes) else identity
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)


def _before(position: tuple[int, int]) -> tuple[int, int]:
    milliseconds, number = position
    return (milliseconds, number - 1) if number else (milliseconds - 1, 2**63 - 1)
