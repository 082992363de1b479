"""Schemas: made in an empty database, brought up to date, refused when newer than the program."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from rating.adapters.store import StoreBook, book, open_book, schema
from rating.adapters.store.tables import METADATA, REVISION
from rating.errors import BookError
from tests.forked import FORKED

from .stories import fill, raw


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
