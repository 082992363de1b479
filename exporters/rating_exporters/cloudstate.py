"""What was counted of each cell of a cloud, the totals, and how far the cloud was read: one SQLite transaction.

Decides nothing about figures (`cloud`); decides that a comparison is made and kept inside one transaction, so a crash
at any moment leaves cells and totals as they were before it or after it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from . import totals
from .cloud import Cell, Decision, Figure, Known, Labels, decided
from .totals import Totals

COMMAND = "cloud"
KEPT = timedelta(days=100)  # cells older than this before the last reading are forgotten
MOST_REREAD = timedelta(days=90)  # so nothing is asked for again that was forgotten

SCHEMA = """
CREATE TABLE IF NOT EXISTS cells (start INTEGER, scope TEXT, key TEXT, counted INTEGER NOT NULL, seen INTEGER NOT NULL,
    labels TEXT NOT NULL, PRIMARY KEY (start, scope, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readings (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
"""


class CloudState:
    """The one writer of a state file; a second process is refused with BlockingIOError, another command's file, and
    other `settings` than those it was made with, by ValueError. `begin` is where a new file's counting begins; an older
    one keeps its own."""

    def __init__(self, path: Path, settings: Mapping[str, str], begin: datetime) -> None:
        self.path = path
        self._lock_file = totals.claimed(path, COMMAND)
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.executescript(totals.PRAGMAS + totals.SCHEMA + totals.SETTINGS + SCHEMA)
            self._totals: Totals = totals.read(self._database)
            totals.agreed(self._database, path, settings)
            self._database.execute("INSERT OR IGNORE INTO readings VALUES ('begin', ?)", (int(begin.timestamp()),))
            self._lock = Lock()
        except BaseException:
            os.close(self._lock_file)
            raise
        readings = read_readings(self._database)
        self.begin = readings["begin"]
        self.reached = readings.get("reached")

    def totals(self) -> Totals:
        """Everything committed so far."""
        with self._lock:
            return dict(self._totals)

    def commit(
        self,
        figures: Iterable[Figure],
        labels: Labels,
        since: datetime,
        until: datetime,
        *,
        reached: datetime,
        now: datetime,
    ) -> Decision:
        """Compare all figures of [since, until) with what was counted of it, and keep both; returns what was added."""
        mark = max(reached, self.reached or reached).replace(microsecond=0)
        with totals.transaction(self._database):
            decision = decided(cells_of(self._database, since, until), figures, labels)
            totals.add(self._database, decision.adds, now.timestamp())
            self._database.executemany(
                "INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET counted = excluded.counted, seen = excluded.seen",
                [
                    (cell.start, cell.scope, cell.key, known.counted, known.seen, json.dumps(known.labels))
                    for cell, known in decision.cells.items()
                ],
            )
            self._database.execute(
                "INSERT INTO readings VALUES ('reached', ?) ON CONFLICT DO UPDATE SET at = excluded.at",
                (int(mark.timestamp()),),
            )
            self._database.execute("DELETE FROM cells WHERE start < ?", (int((mark - KEPT).timestamp()),))
            after = totals.read(self._database)
        with self._lock:
            self._totals = after
        self.reached = mark
        return decision

    def close(self) -> None:
        self._database.close()
        os.close(self._lock_file)


def cells_of(database: sqlite3.Connection, since: datetime, until: datetime) -> dict[Cell, Known]:
    """All that was counted of cells that begin in [since, until)."""
    rows = database.execute(
        "SELECT scope, key, start, counted, seen, labels FROM cells WHERE start >= ? AND start < ?",
        (int(since.timestamp()), int(until.timestamp())),
    )
    return {
        Cell(scope, key, start): Known(counted, seen, tuple(json.loads(labels)))
        for scope, key, start, counted, seen, labels in rows
    }


def read_readings(database: sqlite3.Connection) -> dict[str, datetime]:
    """Where counting began, and how far the cloud has been read (absent before the first reading)."""
    return {name: datetime.fromtimestamp(at, UTC) for name, at in database.execute("SELECT name, at FROM readings")}
