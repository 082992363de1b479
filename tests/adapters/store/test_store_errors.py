"""What goes wrong with a database, in one sentence that says where, what, and what to do; never with a password."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from rating.adapters.store import engine, open_book
from rating.core.periods import Period
from rating.core.windows import Closing, Completeness, Usage
from rating.errors import BookError, EdgeUnavailable

from .stories import DAY, HOURS, NOW, fill, raw


def test_a_locked_file_says_so_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0)
    with open_book(f"sqlite:///{tmp_path}/rating.db") as store:
        other = sqlite3.connect(tmp_path / "rating.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            EdgeUnavailable, match=r"rating.db: another process kept it locked .* run the command again"
        ):
            fill(store)
        # Readers do not wait for the writer.
        assert store.invoices() == ()
        other.execute("ROLLBACK")
        other.close()
        fill(store)
        assert len(store.invoices()) == 2


def test_a_full_disk_keeps_the_book_whole(tmp_path: Path) -> None:
    with open_book(f"sqlite:///{tmp_path}/rating.db") as store:
        fill(store)
        pages = len((tmp_path / "rating.db").read_bytes()) // 4096
        store.close_connections()
        event.listen(
            store._database.engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count = {pages + 20}")
        )
        window = Period(DAY.end, DAY.end + HOURS[0].length)
        much = tuple(Usage(f"consumer-{number:06d}", ("/search",), 1) for number in range(20_000))
        with pytest.raises(EdgeUnavailable, match=r"the disk is full .* nothing was lost, free some space"):
            store.close(Closing("search", window, Completeness.COMPLETE, much), meter_digest="m", at=NOW)
        assert len(store.closings("search", DAY)) == 24
        assert len(store.invoices()) == 2
        # The series of the failed closing are not remembered: with room again, it is kept whole.
        event.listen(store._database.engine, "connect", lambda raw, _: raw.execute("PRAGMA max_page_count = 1000000"))
        store.close_connections()
        assert store.close(Closing("search", window, Completeness.COMPLETE, much), meter_digest="m", at=NOW)
        assert len(store.totals("search", window)) == 20_000


@pytest.mark.parametrize(
    ("url", "kind", "sentence"),
    [
        ("postgresql+psycopg://bob:hush@127.0.0.1:9/x?password=hush", EdgeUnavailable, "cannot be reached"),
        ("sqlite:////nowhere/at/all/rating.db", EdgeUnavailable, "check that the folder exists and may be written"),
        ("mysql://bob:hush@localhost/x", BookError, "cannot be kept in 'mysql'; write sqlite:///FILE or postgresql"),
        ("rating.db", BookError, "the database URL cannot be read; write sqlite:///FILE"),
    ],
    ids=["nobody listens", "no folder", "another database", "no URL"],
)
def test_a_book_that_cannot_be_opened(url: str, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind) as refusal:
        open_book(url)
    assert sentence in str(refusal.value)
    assert "hush" not in str(refusal.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "rating.db").write_text("dear diary, " * 1000)
    with pytest.raises(BookError, match="file is not a database; restore the last backup"):
        open_book(f"sqlite:///{tmp_path}/rating.db")
    assert (tmp_path / "rating.db").read_text().startswith("dear diary")


def test_a_server_that_goes_away_is_unavailable_and_comes_back(postgres_url: str) -> None:
    with open_book(postgres_url) as store:
        fill(store)
        with raw(postgres_url) as administrator:
            ended = administrator.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).all()
        assert ended
        assert len(store.invoices()) == 2


def test_a_name_postgresql_cannot_hold_is_refused_whole(postgres_url: str) -> None:
    with open_book(postgres_url) as store:
        nul = Closing("search", HOURS[0], Completeness.COMPLETE, (Usage("a\x00b", (), 1),))
        with pytest.raises(BookError, match="NUL"):
            store.close(nul, meter_digest="m", at=NOW)
        assert store.closings("search", DAY) == ()
