"""Connections: how each database is opened so that a commit is a promise, and what its errors mean for the caller.

Knows nothing of tables. A write holds the right to write from its first statement (BEGIN IMMEDIATE on SQLite), so it
waits at its beginning or not at all, and never finds in the middle that it read something stale.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.pool import StaticPool

from rating.errors import BookError, EdgeError, EdgeRefused, EdgeUnavailable, Overtaken

BUSY_SECONDS = 30
"""How long a writer waits for another one before it gives up."""

_FORMS = "write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"


class Database:
    """One database: transactions for reading and writing, and its errors in our words."""

    def __init__(self, url: str) -> None:
        self.url = _parse(url)
        self.shown = self.url.set(query={}).render_as_string(hide_password=True)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.in_memory = self.is_sqlite and self.url.database in (None, "", ":memory:")
        options: dict[str, Any] = {}
        if self.in_memory:
            # One connection for all threads, or each thread would see a database of its own.
            options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        elif self.is_sqlite:
            options = {"connect_args": {"timeout": BUSY_SECONDS}}
        else:
            options = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
        try:
            self.engine = create_engine(self.url, **options)
        except ImportError as error:
            raise BookError(
                f"{self.shown}: {error.name} is not installed; pip install 'rating-engine[postgres]'"
            ) from error
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._writes = self.engine.execution_options(writes=True)
        self._turn = threading.RLock() if self.in_memory else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state and changes nothing."""
        with self._turn, self.translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction whose entries are all there at the end, or none is."""
        with self._turn, self.translated(), self._writes.begin() as connection:
            yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """The driver's errors as ours."""
        try:
            yield
        except DBAPIError as error:
            raise self._meaning(error) from error

    def close(self) -> None:
        self.engine.dispose()

    def _meaning(self, error: DBAPIError) -> EdgeError | BookError:
        original = error.orig
        text = " ".join(str(original).split())
        code = getattr(original, "sqlite_errorname", None) or getattr(original, "sqlstate", None) or ""
        where = f"the book {self.shown}"
        for codes, kind, what in _MEANINGS:
            if code.startswith(codes):
                return kind(f"{where}: {what.format(text=text, seconds=BUSY_SECONDS)}")
        if isinstance(error, IntegrityError):
            return Overtaken(f"{where}: another writer was faster ({text}); run the command again")
        if error.connection_invalidated or (isinstance(error, OperationalError | InterfaceError) and not code):
            return EdgeUnavailable(
                f"{where} cannot be reached: {text}; "
                "check that it runs and what RATING_DATABASE_URL says, then run the command again"
            )
        return BookError(f'{where} refused: {text}; run "rating book check"')


# SQLite's extended error names and PostgreSQL's SQLSTATE classes, the first that fits. (PostgreSQL's are in its
# documentation, appendix A.)
_MEANINGS: tuple[tuple[tuple[str, ...], type[EdgeError] | type[BookError], str], ...] = (
    (("SQLITE_BUSY", "SQLITE_LOCKED"), EdgeUnavailable,
     "another process kept it locked for {seconds} s ({text}); let that one end, then run the command again"),
    (("SQLITE_FULL", "53100"), EdgeUnavailable,
     "the disk is full ({text}); nothing was lost, free some space, then run the command again"),
    (("SQLITE_CANTOPEN",), EdgeUnavailable, "{text}; check that the folder exists and may be written"),
    (("SQLITE_READONLY",), EdgeUnavailable, "{text}; give this user the right to write the file and its folder"),
    (("SQLITE_IOERR",), EdgeUnavailable, "the disk failed ({text}); check the disk, then run the command again"),
    (("SQLITE_NOTADB", "SQLITE_CORRUPT"), BookError, "{text}; restore the last backup"),
    (("SQLITE_CONSTRAINT_TRIGGER", "P0001"), BookError, "{text}"),
    (("28", "3D000"), EdgeRefused, "{text}; check user, password and database in RATING_DATABASE_URL"),
    (("42501",), EdgeRefused, "{text}; grant this user its rights"),
    (("40", "55P03"), Overtaken, "another writer was faster ({text}); run the command again"),
    (("08", "53", "57"), EdgeUnavailable, "{text}; check the server, then run the command again"),
)  # fmt: skip


_LOCK = 7_241_002
"""PostgreSQL's advisory lock that lets one transaction number papers and move money at a time."""


def in_turn(connection: Connection) -> None:
    """Be the only writer of papers and money until the commit; on SQLite a writing transaction is that already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _parse(written: str) -> URL:
    try:
        url = make_url(written)
    except ArgumentError as error:
        raise BookError(f"the database URL cannot be read; {_FORMS}") from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise BookError(f"the book cannot be kept in {url.drivername!r}; {_FORMS}")
    return url


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # SQLAlchemy begins transactions itself, below; the driver must not.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    # Readers do not wait for the writer; a commit is on the disk before it returns.
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # Without it INSERT OR REPLACE would remove a row past the triggers that refuse it.
    cursor.execute("PRAGMA recursive_triggers = ON")
    cursor.execute("PRAGMA cache_size = -65536")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
