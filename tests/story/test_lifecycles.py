"""Lifecycles told as files: catalogue, usage and a timeline in, invoices as finance reads them out.

`UPDATE_GOLDEN=1 pytest tests/story/test_lifecycles.py` writes what the program says; read each difference before you
accept it. The README beside the folders says how to write one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.store import StoreBook, open_book
from rating.adapters.store.engine import Database
from rating.jobs.audit import audit
from tests.lifecycles import run

GOLDEN = Path(__file__).parents[1] / "golden" / "lifecycles"
FOLDERS = sorted(folder for folder in GOLDEN.iterdir() if folder.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_lifecycle_comes_to_the_invoices_that_were_read_and_accepted(folder: Path) -> None:
    told = run(folder, MemoryBook())
    expected = folder / "invoices.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(told)
    assert told == expected.read_text()


def test_every_lifecycle_is_explained_and_there_are_enough() -> None:
    assert len(FOLDERS) >= 60
    unexplained = [folder.name for folder in FOLDERS if len((folder / "why.md").read_text().strip()) < 40]
    assert unexplained == []


def test_the_tables_tell_the_same_and_keep_every_rule() -> None:
    """All of them once more on SQLite, in memory, whose entries are then held to the rules of the book."""
    with open_book("sqlite:///:memory:") as book, book._database.engine.connect() as connection:
        # Migrating an empty database takes longer than any of the stories.
        empty = connection.connection.driver_connection.serialize()
    for folder in FOLDERS:
        database = Database("sqlite:///:memory:")
        with database.engine.connect() as connection:
            connection.connection.driver_connection.deserialize(empty)
        with StoreBook(database) as book:
            assert run(folder, book) == (folder / "invoices.txt").read_text(), folder.name
            assert list(audit(book)) == [], folder.name
