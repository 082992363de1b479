"""Totals in a SQLite file, added to inside the transaction of whoever says what they are the totals of.

Decides how a total grows and where it must stop. Leaves positions, and so what "once" means, to `logstate` and
`eventstate`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from .records import LIMIT

Series: TypeAlias = tuple[str, tuple[str, ...]]  # metric and label values
Totals: TypeAlias = dict[Series, tuple[int, float]]  # total and created timestamp (s)

SCHEMA = """
CREATE TABLE IF NOT EXISTS totals (metric TEXT, labels TEXT, total INTEGER NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (metric, labels)) WITHOUT ROWID;
"""
# FULL: a transaction that returned is on the disk, so no total falls below what a scrape has shown.
PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"


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
