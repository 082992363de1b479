"""Migrations with data: a book made by each revision's own script and filled loses nothing on its way to the newest."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table, create_engine, insert, inspect, select

from rating.adapters.store import book, open_book, schema
from rating.adapters.store.tables import ENTRIES, REVISION
from rating.jobs.audit import audit

from .stories import fill, raw

MIGRATIONS = Path(schema.__file__).with_name("migrations")
OLDER = sorted(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())[:-1]
Rows = dict[str, tuple[list[str], list[tuple[object, ...]]]]
"""By table: the columns it had, and its rows."""


def made(url: str, revision: str) -> None:
    """An empty book as that revision's program made it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def filled(url: str, newest: str) -> Rows:
    """Copy what the older schema has room for out of a newest book, as text and integers, past the program."""
    kept: Rows = {}
    with raw(newest) as source, raw(url) as target:
        there = set(inspect(target).get_table_names())
        for entries in ENTRIES:
            if entries.name not in there:
                continue
            old = Table(entries.name, MetaData(), autoload_with=target)
            names = [column.name for column in old.columns]
            rows = [tuple(row) for row in source.execute(select(*(entries.c[name] for name in names)))]
            if rows:
                target.execute(insert(old), [dict(zip(names, row, strict=True)) for row in rows])
            kept[entries.name] = names, sorted(rows, key=repr)
    return kept


@pytest.mark.parametrize("revision", OLDER)
def test_every_row_of_an_older_book_is_there_after_the_migration_and_the_check_is_clean(
    url: str, revision: str, tmp_path: Path
) -> None:
    newest = f"sqlite:///{tmp_path / 'newest.db'}"
    with open_book(newest) as store:
        fill(store, late=revision != "0001")
    made(url, revision)
    kept = filled(url, newest)
    assert all(kept[name][1] for name in ("usage", "invoices", "lines", "cancellations"))
    assert book.migrate(url) == (revision, REVISION)
    with raw(url) as connection:
        for name, (names, rows) in kept.items():
            now = Table(name, MetaData(), autoload_with=connection)
            found = connection.execute(select(*(now.c[column] for column in names)))
            assert sorted((tuple(row) for row in found), key=repr) == rows, name
    with open_book(url) as store:
        assert list(audit(store)) == []
        assert len(store.invoices()) == len(kept["invoices"][1])
