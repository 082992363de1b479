"""Every book that claims the port: in memory, in a SQLite file, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.store import open_book
from rating.ports import Book


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Book]:
    if request.param == "memory":
        yield MemoryBook()
        return
    url = f"sqlite:///{tmp_path}/rating.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_book(url) as store:
        yield store
