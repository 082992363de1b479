"""`rating book`: what it prints about a sound book, a tampered one, and one it does not know; and its exit codes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from rating.adapters.store import open_book
from rating.adapters.store.tables import REVISION
from rating.cli import run
from tests.stories import close_days


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A book in which October is closed for two consumers."""
    for name in ("RATING_CATALOG", "RATING_DATABASE_URL", "RATING_PROMETHEUS_URL"):
        monkeypatch.delenv(name, raising=False)
    url = f"sqlite:///{tmp_path}/rating.db"
    with open_book(url) as book:
        close_days(book, {"acme": 10, "beta": 1})
    return url


def test_a_sound_book(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--database-url", url, "book", "check"]) == 0
    assert capsys.readouterr().err == "0 invoices, 31 windows with 62 usage rows: every rule holds\n"
    assert run(["--database-url", url, "book", "status", "--format", "json"]) == 0
    counts = {row["entries"]: row["count"] for row in json.loads(capsys.readouterr().out)}
    assert (counts["closings"], counts["usage"], counts["invoices"]) == (31, 62, 0)


def test_a_tampered_book_calls_a_person(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(tmp_path / "rating.db") as connection:
        connection.execute("DROP TRIGGER usage_no_update")
        connection.execute("UPDATE usage SET quantity = quantity + 1 WHERE closing = 1 AND series = 1")
    assert run(["--database-url", url, "book", "check", "--format", "json"]) == 3
    printed = capsys.readouterr()
    [finding] = json.loads(printed.out)
    assert "2026-10-01 00:00 to 2026-10-02 00:00" in finding["where"]
    assert finding["hint"] == "its usage was changed after closing; compare with a backup"
    assert printed.err == "0 invoices, 31 windows with 62 usage rows: 1 findings\n"


def test_migrating(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--database-url", url, "book", "migrate"]) == 0
    assert capsys.readouterr().err == f"{url} has schema {REVISION}, which is current\n"
    new = f"sqlite:///{tmp_path}/new.db"
    assert run(["--database-url", new, "book", "migrate"]) == 0
    assert capsys.readouterr().err == f"{new} went from an empty database to {REVISION}\n"


def test_a_newer_book_is_refused_in_one_line(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(tmp_path / "rating.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert run(["--database-url", url, "book", "check"]) == 1
    assert f"has schema 9999 but this program knows only {REVISION}" in capsys.readouterr().err
