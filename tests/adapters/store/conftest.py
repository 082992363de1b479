"""A store on each engine, with its URL, for what only a database can promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rating.adapters.store import StoreBook, open_book


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/rating.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[StoreBook]:
    with open_book(url) as book:
        yield book
