"""Brings a database to the schema this code knows, or says why not. Knows revisions, not tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from rating.adapters.store.engine import Database
from rating.adapters.store.tables import REVISION
from rating.errors import BookError

_MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK = 7_241_001
"""PostgreSQL's advisory lock that lets one process migrate at a time; any number nobody else uses."""


def revision(connection: Connection) -> str | None:
    """The schema's revision in the database; None when it holds no book."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def prepare(database: Database) -> None:
    """Check the schema; create it in an empty database, and bring an older SQLite file up to date.

    Raises:
        BookError: the database is newer than this code, or is an older PostgreSQL, which is migrated by command so
            that nobody is surprised by a long lock.
    """
    with database.reading() as connection:
        found = revision(connection)
    if found == REVISION:
        return
    if found is not None and found > REVISION:
        raise _too_new(database, found)
    if found is not None and not database.is_sqlite:
        raise BookError(
            f"the book {database.shown} has schema {found} and this program needs {REVISION}; "
            'make a backup, then run "rating book migrate"'
        )
    migrate(database)


def migrate(database: Database) -> tuple[str | None, str]:
    """Run the migrations that are missing, all in one transaction. Returns the revisions before and after."""
    # Alembic takes a while to import and most runs have nothing to migrate.
    from alembic import command
    from alembic.config import Config

    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = revision(connection)
        if found is not None and found > REVISION:
            raise _too_new(database, found)
        if found != REVISION:
            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return found, REVISION


def compact(database: Database) -> tuple[int, int]:
    """SQLite: the file is written anew without its holes. PostgreSQL: the space of removed rows may be used again.

    Returns the bytes before and after: of the file, or of the table of usage with its index.

    Raises:
        EdgeUnavailable: somebody writes into the SQLite file all the while.
    """
    with database.translated(), database.engine.connect() as connection:
        # Neither can run inside a transaction, and the connections begin them by themselves.
        driver = connection.connection.driver_connection
        assert driver is not None
        if not database.is_sqlite:
            driver.autocommit = True
        before = _bytes(database, driver)
        for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)") if database.is_sqlite else ("VACUUM usage",):
            driver.execute(statement)
        after = _bytes(database, driver)
        connection.invalidate()
    return before, after


def _bytes(database: Database, driver: Any) -> int:
    if not database.is_sqlite:
        return int(driver.execute("SELECT pg_total_relation_size('usage')").fetchone()[0])
    pages, size = (driver.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * size)


def _too_new(database: Database, found: str) -> BookError:
    return BookError(
        f"the book {database.shown} has schema {found} but this program knows only {REVISION}; "
        "install the newer rating-engine that wrote it, or open a backup from before"
    )
