"""How far each partition has been read, which message ids were seen, and what was counted: one SQLite transaction.

Decides inside that transaction which deliveries are new. So a crash at any moment leaves all of it as it was before the
batch or after it, and several processes may count into one file: whoever commits a message second finds it counted.
Leaves what a message adds to `events`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from . import totals
from .brokers import Delivery, Gap, Message, Place, Position
from .totals import Series, Totals
from .vocabulary import EVENTS_LOST, EVENTS_READ

COMMAND = "events"
KEPT_IDS = 1_000_000  # per topic
KEPT_ASIDE = 10_000  # messages set aside whose text is kept
MAX_ASIDE = 64 << 10  # bytes of a body kept

SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (partition TEXT PRIMARY KEY, topic TEXT NOT NULL, position TEXT NOT NULL,
    note TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (topic TEXT, digest BLOB, number INTEGER NOT NULL, PRIMARY KEY (topic, digest))
    WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_by_number ON seen (topic, number);
CREATE TABLE IF NOT EXISTS set_aside (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, topic TEXT NOT NULL,
    partition TEXT NOT NULL, position TEXT NOT NULL, reason TEXT NOT NULL, headers TEXT NOT NULL,
    length INTEGER NOT NULL, body BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """One event, what it adds, and the id by which a second publication of it is known (None: nobody can)."""

    adds: tuple[tuple[Series, int], ...]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that cannot be counted, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A delivery and what it says: several events (a batch), or none of them."""

    delivery: Delivery
    says: tuple[Counted, ...] | SetAside = ()


class EventState:
    """A state file. `shared` lets several processes of a consumer group count into it; else a second one is refused
    with BlockingIOError. `settings` are what its totals mean (labels, scale): ValueError when they differ from those
    it was made with, or another command made it."""

    def __init__(
        self, path: Path, settings: Mapping[str, str], *, shared: bool = False, kept_ids: int = KEPT_IDS
    ) -> None:
        self.path = path
        self.kept_ids = kept_ids
        self._lock_file = totals.claimed(path, COMMAND, shared=shared)
        try:
            self._database = _connected(path)
            self._reader = _connected(path)  # a scrape waits for no batch
            self._database.executescript(totals.PRAGMAS + totals.SCHEMA + totals.SETTINGS + SCHEMA)
            self.id = totals.agreed(self._database, path, settings)
        except BaseException:
            os.close(self._lock_file)
            raise
        self._read_lock = Lock()

    def totals(self) -> Totals:
        """Everything committed so far."""
        with self._read_lock:
            return totals.read(self._reader)

    def places(self) -> dict[str, Place]:
        """By partition: where the last message stood that was counted."""
        return places_of(self._database)

    def forget(self, topic: str) -> int:
        """Forget the positions of a topic that was made anew; returns how many there were. Totals stay."""
        with totals.transaction(self._database):
            return self._database.execute("DELETE FROM positions WHERE topic = ?", (topic,)).rowcount

    def commit(self, verdicts: Sequence[Verdict], now: float) -> Counter[Series]:
        """Count what is new among the verdicts, and that it has been; returns what was added."""
        counts: Counter[Series] = Counter()
        with totals.transaction(self._database):
            moved: dict[str, Delivery] = {}
            stored = {partition: place.position for partition, place in self.places().items()}
            for verdict in verdicts:
                delivery = verdict.delivery
                position = stored.get(delivery.partition, ())
                if delivery.position and delivery.position <= position:
                    if isinstance(delivery, Message):
                        counts[EVENTS_READ, (delivery.topic, "repeated")] += 1
                    continue
                if delivery.position:
                    stored[delivery.partition] = delivery.position
                    moved[delivery.partition] = delivery
                if isinstance(delivery, Gap):
                    counts[EVENTS_LOST, (delivery.topic,)] += delivery.lost
                elif isinstance(verdict.says, SetAside):
                    counts[EVENTS_READ, (delivery.topic, "set_aside")] += 1
                    self._set_aside(delivery, verdict.says.reason, now)
                else:
                    self._count(delivery.topic, verdict.says, counts)
            totals.add(self._database, counts, now)
            self._database.executemany(
                "INSERT INTO positions VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET position = excluded.position, note = excluded.note",
                [(partition, last.topic, _text(last.position), last.note) for partition, last in moved.items()],
            )
            self._prune({verdict.delivery.topic for verdict in verdicts})
        return counts

    def _count(self, topic: str, events: Iterable[Counted], counts: Counter[Series]) -> None:
        for event in events:
            if event.id is not None and not self._first(topic, event.id):
                counts[EVENTS_READ, (topic, "repeated")] += 1
                continue
            counts[EVENTS_READ, (topic, "counted")] += 1
            for series, amount in event.adds:
                counts[series] += amount

    def _first(self, topic: str, identity: str) -> bool:
        digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).digest()
        return bool(
            self._database.execute(
                "INSERT OR IGNORE INTO seen SELECT ?1, ?2, coalesce(max(number), 0) + 1 FROM seen WHERE topic = ?1",
                (topic, digest),
            ).rowcount
        )

    def _set_aside(self, message: Message, reason: str, now: float) -> None:
        self._database.execute(
            "INSERT INTO set_aside (at, topic, partition, position, reason, headers, length, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                now, message.topic, message.partition, _text(message.position), reason,
                json.dumps(dict(message.headers), ensure_ascii=True)[:MAX_ASIDE],
                len(message.body), message.body[:MAX_ASIDE],
            ),
        )  # fmt: skip

    def _prune(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self._database.execute(
                "DELETE FROM seen WHERE topic = ?1 AND number <= (SELECT max(number) FROM seen WHERE topic = ?1) - ?2",
                (topic, self.kept_ids),
            )
        self._database.execute(
            "DELETE FROM set_aside WHERE number <= (SELECT max(number) FROM set_aside) - ?", (KEPT_ASIDE,)
        )

    def close(self) -> None:
        self._database.close()
        self._reader.close()
        os.close(self._lock_file)


def places_of(database: sqlite3.Connection) -> dict[str, Place]:
    """By partition: where the last message stood that was counted."""
    rows = database.execute("SELECT partition, position, note FROM positions")
    return {partition: Place(_parsed(position), note) for partition, position, note in rows}


def _connected(path: Path) -> sqlite3.Connection:
    # 30 s: how long a batch waits for that of another process.
    return sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)


def _text(position: Position) -> str:
    return "-".join(map(str, position))


def _parsed(text: str) -> Position:
    return tuple(map(int, text.split("-"))) if text else ()
