"""Claims: being the only one doing a job on one database. A claim dies with the process that holds it.

PostgreSQL: a session's advisory lock on a connection of its own. SQLite: a lock of the operating system on a small file
beside the database, one per job; the file stays, only its lock counts. In memory: a lock between threads.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rating.adapters.store.engine import Database
from rating.errors import EdgeUnavailable


class Claims:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    @contextmanager
    def claim(self, job: str) -> Iterator[bool]:
        """True while the context holds the job; False, at once, when somebody else does."""
        if self._database.in_memory:
            way = self._between_threads
        elif self._database.is_sqlite:
            way = self._beside_the_file
        else:
            way = self._by_session
        with way(job) as held:
            yield held

    @contextmanager
    def _between_threads(self, job: str) -> Iterator[bool]:
        with self._guard:
            lock = self._threads.setdefault(job, threading.Lock())
        held = lock.acquire(blocking=False)
        try:
            yield held
        finally:
            if held:
                lock.release()

    @contextmanager
    def _beside_the_file(self, job: str) -> Iterator[bool]:
        path = f"{self._database.url.database}.{re.sub(r'[^A-Za-z0-9_-]', '_', job)}-{_number(job) % 2**32:08x}.lock"
        try:
            # Closed on exec: a program we start must not inherit the claim.
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise EdgeUnavailable(
                f"the claim {path} cannot be made: {error.strerror}; "
                "give this user the right to write beside the database"
            ) from error
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = True
            except BlockingIOError:
                held = False
            yield held
        finally:
            os.close(file)

    @contextmanager
    def _by_session(self, job: str) -> Iterator[bool]:
        with self._database.translated():
            connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        held = False
        try:
            with self._database.translated():
                answer = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _number(job)})
                held = bool(answer.scalar())
            yield held
        finally:
            try:
                if held:
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _number(job)})
            except DBAPIError:
                # The session is gone, and its lock with it.
                connection.invalidate()
            finally:
                connection.close()


def _number(job: str) -> int:
    """A signed 64-bit number for a job's name."""
    return int.from_bytes(sha256(f"rating job {job}".encode()).digest()[:8], "big", signed=True)
