"""How far each log file has been read, and what was counted up to there: one SQLite file, one transaction for both.

A crash at any moment leaves both as they were before the batch or both after it. Leaves reading to `logfiles`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from . import totals
from .totals import Series, Totals

COMMAND = "logs"
HEAD = 4_096  # bytes of a stream's beginning kept to know it again
ANCHOR = 256  # bytes before the position kept to know that the position is still in the same text
KEPT = 100  # streams remembered: a file's compressed copy may come many rotations after its last line

SCHEMA = """
CREATE TABLE IF NOT EXISTS streams (id INTEGER PRIMARY KEY AUTOINCREMENT, device INTEGER, inode INTEGER,
    head BLOB NOT NULL, anchor BLOB NOT NULL, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS finished (file TEXT PRIMARY KEY) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Stream:
    """One log as it was written, whatever its file is called by now: known by its first bytes and by those before
    `position`, the number of bytes counted so far. `id` is 0 for one never stored."""

    head: bytes = b""
    anchor: bytes = b""
    position: int = 0
    device: int | None = None
    inode: int | None = None
    id: int = 0


class LogState:
    """The one writer of a state file; a second process is refused with BlockingIOError, another command's file with
    ValueError. `looking`: what is committed goes to a copy in memory, and neither the file nor its writer notices."""

    def __init__(self, path: Path, *, looking: bool = False) -> None:
        self._lock_file = None if looking else totals.claimed(path, COMMAND)
        try:
            self._database = sqlite3.connect(
                ":memory:" if looking else path, isolation_level=None, check_same_thread=False
            )
            if looking and (kept := totals.opened(path, COMMAND)) is not None:
                kept.backup(self._database)
                kept.close()
            self._database.executescript(totals.PRAGMAS + totals.SCHEMA + SCHEMA)
            self._totals: Totals = totals.read(self._database)
        except BaseException:
            self._release()
            raise
        self._lock = Lock()

    def totals(self) -> Totals:
        """Everything committed so far."""
        with self._lock:
            return dict(self._totals)

    def streams(self) -> list[Stream]:
        """Every stream known, the longest first."""
        rows = self._database.execute(
            "SELECT head, anchor, position, device, inode, id FROM streams ORDER BY position DESC"
        )
        return [Stream(*row) for row in rows]

    def finished(self, file: str) -> bool:
        """Whether a compressed file (by device, inode, size and time) has been counted to its end."""
        return self._database.execute("SELECT 1 FROM finished WHERE file = ?", (file,)).fetchone() is not None

    def commit(self, stream: Stream, counts: Mapping[Series, int], now: float, finished: str | None = None) -> Stream:
        """One batch: the counts, the stream's new position and, if so, that a compressed file is finished."""
        with self._lock:
            with totals.transaction(self._database):
                totals.add(self._database, counts, now)
                stored = self._store(stream)
                if finished is not None:
                    self._database.execute("INSERT OR IGNORE INTO finished VALUES (?)", (finished,))
            for series, amount in counts.items():
                total, created = self._totals.get(series, (0, now))
                self._totals[series] = (total + amount, created)
        return stored

    def _store(self, stream: Stream) -> Stream:
        values = (stream.head, stream.anchor, stream.position, stream.device, stream.inode)
        if stream.id:
            self._database.execute(
                "UPDATE streams SET head = ?, anchor = ?, position = ?, device = ?, inode = ? WHERE id = ?",
                (*values, stream.id),
            )
            return stream
        cursor = self._database.execute(
            "INSERT INTO streams (head, anchor, position, device, inode) VALUES (?, ?, ?, ?, ?)", values
        )
        self._database.execute("DELETE FROM streams WHERE id <= ?", ((cursor.lastrowid or 0) - KEPT,))
        return Stream(*values, id=cursor.lastrowid or 0)

    def close(self) -> None:
        self._database.close()
        self._release()

    def _release(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
