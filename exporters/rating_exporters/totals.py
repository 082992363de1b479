"""Totals in a SQLite file, added to inside the transaction of whoever says what they are the totals of.

Decides how a total grows and where it must stop, which command and process may count into a file, and that it keeps the
meaning it was made with. Leaves positions, and so what "once" means, to `logstate`, `eventstate` and `cloudstate`.
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
# The table that only state files of a command have. Where there are several, the first one made the file: a command
# that was given another's file by mistake may have left empty tables in it.
MADE_BY = {"streams": "logs", "positions": "events", "cells": "cloud"}


def claimed(path: Path, command: str, *, shared: bool = False) -> int:
    """The lock of a state file, held until this descriptor is closed. ValueError when the file is not one of `command`,
    BlockingIOError when another process has it."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        held = _locked(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        if (database := opened(path, command)) is not None:  # said first: to stop that other process would not help
            database.close()
        if not held:
            raise BlockingIOError(f"{path}: another process counts into this state; one at a time")
    except BaseException:
        os.close(lock)
        raise
    return lock


def _locked(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def opened(path: Path, command: str, settings: Mapping[str, str] | None = None) -> sqlite3.Connection | None:
    """A state file to look at without changing it, beside whoever counts into it; None when there is none yet.
    ValueError when it is not a state file of `command`, or was made with other settings."""
    if not path.exists():
        return None
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        if _made(database, path, command):
            if settings is not None:
                compared(database, path, settings)
            return database
    except BaseException:
        database.close()
        raise
    database.close()
    return None


def _made(database: sqlite3.Connection, path: Path, command: str) -> bool:
    try:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        raise ValueError(f"{path}: this is no SQLite file; give --state a file of its own") from None
    tables = [name for (name,) in rows]
    makers = [MADE_BY[name] for name in tables if name in MADE_BY]
    if "totals" in tables and makers:
        if makers[0] != command:
            raise ValueError(
                f"{path}: `rating-exporters {makers[0]}` counts into this state file, so `rating-exporters {command}` "
                "does not; give each of them a --state of its own"
            )
        return True
    if others := [name for name in tables if name not in ("totals", "settings")]:
        raise ValueError(
            f"{path}: this SQLite file holds {', '.join(others[:3])} and is no state file of rating-exporters; "
            "give --state a file of its own"
        )
    return False


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
