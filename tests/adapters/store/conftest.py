"""A store on each engine, with its URL, for what only a database can promise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rating.adapters.store import StoreBook, open_book

from .stories import fill, follow, roll


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/rating.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a small book that a whole module tries to change, in vain."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('filled')}/rating.db"
    else:
        url = request.getfixturevalue("postgres").database(f"filled_{os.getpid()}")
    with open_book(url) as book:
        fill(book)
        follow(book)
        roll(book)
    return url


@pytest.fixture
def store(url: str) -> Iterator[StoreBook]:
    with open_book(url) as book:
        yield book
