"""Totals in a SQLite file, added to inside the transaction of whoever says what they are the totals of.

Decides how a total grows and where it must stop, who may count into a file, and that it keeps the meaning it was made
with. Leaves positions, and so what "once" means, to `logstate`, `eventstate` and `cloudstate`.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from .records import LIMIT

Series: TypeAlias = tuple[str, tuple[str, ...]]  # metric and label values
Totals: TypeAlias = dict[Series, tuple[int, float]]  # total and created timestamp (s)

SCHEMA = """
CREATE TABLE IF NOT EXISTS totals (metric TEXT, labels TEXT, total INTEGER NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (metric, labels)) WITHOUT ROWID;
"""
SETTINGS = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# FULL: a transaction that returned is on the disk, so no total falls below what a scrape has shown.
PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"


def claimed(path: Path, *, shared: bool = False) -> int:
    """The lock of a state file, held until this descriptor is closed. BlockingIOError when another process has it."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise BlockingIOError(f"{path}: another process counts into this state; one at a time") from None
    return lock


def agreed(database: sqlite3.Connection, path: Path, settings: Mapping[str, str]) -> str:
    """Keep what the totals mean beside them; returns the file's id. ValueError when it was made with other settings."""
    with transaction(database):
        for name, value in {"id": uuid.uuid4().hex, **settings}.items():
            database.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, value))
    return compared(database, path, settings)


def compared(database: sqlite3.Connection, path: Path, settings: Mapping[str, str]) -> str:
    """The file's id. ValueError when it was made with other settings."""
    known = dict(database.execute("SELECT name, value FROM settings"))
    for name, value in settings.items():
        if known.get(name) != value:
            raise ValueError(
                f"{path}: it counts with {name} {known.get(name, 'of another kind')}, and now {value} is asked for; "
                "totals of both cannot be one: use another state file"
            )
    return str(known["id"])


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All of it or none of it; `database` is in autocommit mode."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def add(database: sqlite3.Connection, counts: Mapping[Series, int], now: float) -> None:
    """Add to the totals; new ones are created `now`. OverflowError where a float64 on the page would stop counting."""
    for (metric, labels), amount in counts.items():
        ((total,),) = database.execute(
            "INSERT INTO totals VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET total = total + excluded.total "
            "RETURNING total",
            (metric, json.dumps(labels), amount, now),
        ).fetchall()
        if total > LIMIT:
            raise OverflowError(
                f"{metric}{list(labels)}: total {total} would pass {LIMIT}, where a float64 stops counting; "
                "count in a larger unit, into another state file"
            )


def read(database: sqlite3.Connection) -> Totals:
    """Every total that has been committed."""
    rows = database.execute("SELECT metric, labels, total, created FROM totals")
    return {(metric, tuple(json.loads(labels))): (total, created) for metric, labels, total, created in rows}
