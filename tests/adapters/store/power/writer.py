"""The process whose power is cut: writes a book step by step and acknowledges each when the book has said it is kept.

Run as `python -m tests.adapters.store.power.writer FOLDER SYNCHRONOUS`, with the recorder loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from rating.adapters.store import engine, open_book
from rating.core.periods import Period
from rating.core.windows import Closing, Completeness, Usage
from rating.ports import Book
from tests.adapters.store.stories import DAY, NOW, fill

WRITES = {
    "close", "hold", "adjust", "keep_catalogue", "subscribe", "cancel", "issue", "fund", "warn_below", "notice_lows",
    "hear", "tell", "attempted", "prefer", "open_notification", "progress", "signal",
}  # fmt: skip


class Acknowledging:
    """A book that tells, after each write has returned, that it was acknowledged."""

    def __init__(self, book: Book, told: Callable[[str], None]) -> None:
        self._book, self._told = book, told

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._book, name)
        if name not in WRITES:
            return method

        def acknowledged(*given: Any, **named: Any) -> Any:
            answer = method(*given, **named)
            self._told(name)
            return answer

        return acknowledged


def story(book: Any) -> None:
    """An entry of every kind, and windows wide enough that the log is copied into the database in between."""
    fill(book)
    for number in range(8):
        window = Period(DAY.end + number * timedelta(hours=1), DAY.end + (number + 1) * timedelta(hours=1))
        usage = tuple(Usage(f"w{consumer:03d}", ("/search",), 1 + number) for consumer in range(300))
        book.close(Closing("wide", window, Completeness.COMPLETE, usage), meter_digest="m", at=NOW)


def main(folder: Path, synchronous: str) -> None:
    prepare = engine._prepare_sqlite

    def prepared(connection: Any, record: Any) -> None:
        prepare(connection, record)
        # Small, so that a short story has many checkpoints in it; and the setting on trial.
        connection.execute("PRAGMA wal_autocheckpoint = 25")
        if synchronous:
            connection.execute(f"PRAGMA synchronous = {synchronous}")

    engine._prepare_sqlite = prepared
    acks = os.open(folder / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with open_book(f"sqlite:///{folder / 'book.db'}") as book:
        os.write(acks, b"open\n")
        story(Acknowledging(book, lambda name: os.write(acks, f"{name}\n".encode()) and None))
    os.close(acks)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
