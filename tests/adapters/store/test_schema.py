"""Schemas: made in an empty database, brought up to date, refused when newer than the program."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rating.adapters.store import StoreBook, book, open_book, schema
from rating.adapters.store.tables import METADATA, REVISION
from rating.core.windows import Adjustment, Usage
from rating.errors import BookError
from rating.jobs.audit import audit
from tests.forked import FORKED

from .stories import DAY, HOURS, NOW, fill, raw

FIRST = {
    "series", "closings", "usage", "holds", "catalogues", "subscriptions", "cancellations", "invoices", "lines",
    "accruals",
}  # fmt: skip
"""The tables of revision 0001."""


def test_migrations_make_the_tables_the_code_reads(store: StoreBook, url: str) -> None:
    with raw(url) as connection:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
    # PostgreSQL holds usage to its closing and series by a trigger, a statement at a time.
    ours = [change for change in found if not (change[0] == "add_fk" and change[1].table.name == "usage")]
    assert ours == []
    assert len(found) == (0 if url.startswith("sqlite") else 2)


def test_the_code_knows_the_newest_migration() -> None:
    folder = Path(schema.__file__).with_name("migrations")
    assert ScriptDirectory(str(folder)).get_heads() == [REVISION]


def test_opening_again_changes_nothing(url: str) -> None:
    with open_book(url) as store:
        fill(store)
        before = store.invoices()
    with open_book(url) as store:
        assert store.invoices() == before
    assert book.migrate(url) == (REVISION, REVISION)


def test_migrating_an_empty_database_makes_a_book(url: str) -> None:
    assert book.migrate(url) == (None, REVISION)
    with open_book(url) as store:
        assert store.invoices() == ()


def test_a_database_newer_than_the_program_is_left_alone(url: str) -> None:
    with open_book(url) as store:
        fill(store)
    with raw(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for opening in (open_book, book.migrate):
        with pytest.raises(BookError) as refusal:
            opening(url)
        assert f"has schema 9999 but this program knows only {REVISION}" in str(refusal.value)
        assert "install the newer rating-engine" in str(refusal.value)


def test_an_older_postgresql_waits_for_the_command(postgres_url: str) -> None:
    open_book(postgres_url).close_connections()
    with raw(postgres_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(BookError, match=r'has schema 0000 and this program needs .*run "rating book migrate"'):
        open_book(postgres_url)


def _open(url: str) -> None:
    open_book(url).close_connections()


def test_many_processes_may_find_the_database_empty_at_once(url: str) -> None:
    openers = [FORKED.Process(target=_open, args=(url,)) for _ in range(4)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(60)
    assert [opener.exitcode for opener in openers] == [0, 0, 0, 0]
    with open_book(url) as store:
        fill(store)
        assert len(store.invoices()) == 2


def test_a_book_of_the_first_schema_keeps_all_it_has(url: str) -> None:
    """Windows, invoices and their hashes are as before, and late data can be kept from then on."""
    with open_book(url) as store:
        fill(store, late=False)
        before = (store.invoices(), list(store.usage(DAY)), list(audit(store)))
    with raw(url) as connection:
        # What revision 0001 did not have.
        sqlite = connection.dialect.name == "sqlite"
        connection.execute(
            text("DROP TRIGGER usage_no_delete" if sqlite else "DROP FUNCTION rating_usage_rolled CASCADE")
        )
        for table in reversed(METADATA.sorted_tables):
            if table.name not in FIRST:
                connection.execute(text(f"DROP TABLE {table.name}"))
        connection.execute(text("DROP INDEX ix_invoices_series_sequence"))
        connection.execute(text("DROP INDEX ix_invoices_issued_at"))
        connection.execute(text("ALTER TABLE invoices DROP COLUMN series"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert book.migrate(url) == ("0001", REVISION)
    with raw(url) as connection:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
        assert [change[0] for change in found] == ([] if url.startswith("sqlite") else ["add_fk", "add_fk"])
    with open_book(url) as store:
        assert (store.invoices(), list(store.usage(DAY)), list(audit(store))) == before
        assert before[2] == []
        assert store.adjust(Adjustment("search", HOURS[0], 1, (Usage("c42", ("/search",), 1),), "late", "me"), at=NOW)
        assert next(store.usage(DAY)).usage.quantity == 11
        assert list(audit(store)) == []
    with raw(url) as connection, pytest.raises(DBAPIError, match="is append-only"):
        connection.execute(text("DELETE FROM adjusted"))
