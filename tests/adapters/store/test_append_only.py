"""The database itself refuses to change the past, whoever writes the SQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rating.adapters.store import StoreBook, open_book
from rating.adapters.store.tables import ENTRIES, METADATA, accruals
from rating.errors import BookError
from rating.jobs.audit import audit

from .stories import NOW, fill, raw, roll

COLUMN = {
    "series": "consumer", "closings": "completeness", "usage": "quantity",
    "adjustments": "reason", "adjusted": "quantity", "holds": "reason", "catalogues": "text",
    "subscriptions": "customer", "cancellations": "end", "invoices": "total_minor", "lines": "minor",
    "alerts": "content", "notifications": "content", "deliveries": "channel", "attempts": "outcome",
    "preferences": "wanted", "opened": "at",
    "wallet_grants": "minor", "wallet_moves": "change", "wallet_thresholds": "minor", "wallet_lows": "balance",
    "sections": "lines", "invoice_entries": "minor", "credit_notes": "total_minor", "credit_lines": "minor",
    "statements": "total_minor", "statement_lines": "minor",
    "items": "content", "pauses": "start", "resumptions": "end",
    "publications": "outcome", "remote_names": "name", "signals": "content",
    "rollups": "archive_digest", "rolled_days": "digest", "rolled_windows": "day", "rolled_usage": "quantity",
}  # fmt: skip


@pytest.mark.parametrize("table", [table.name for table in ENTRIES])
def test_entries_are_neither_changed_nor_removed(filled: str, table: str) -> None:
    column = COLUMN[table]
    verbs = [f'UPDATE {table} SET "{column}" = "{column}"', f"DELETE FROM {table}"]
    if not filled.startswith("sqlite"):
        verbs.append(f"TRUNCATE {table} CASCADE")
    with raw(filled) as connection:
        before = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
    assert before > 0
    for verb in verbs:
        with (
            pytest.raises(DBAPIError, match="is append-only: entries of the book are never changed"),
            raw(filled) as it,
        ):
            it.execute(text(verb))
    with raw(filled) as connection:
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == before


def test_every_table_but_the_projection_is_append_only() -> None:
    assert set(METADATA.sorted_tables) - set(ENTRIES) == {accruals}


@pytest.mark.parametrize(
    ("twice", "what"),
    [
        ("INSERT INTO closings SELECT id + 100, meter, start, \"end\", completeness, rows, consumers, usage_digest, "
         "meter_digest, evidence, closed_at FROM closings WHERE id = 1", "a window closed twice"),
        ("INSERT INTO usage SELECT * FROM usage", "usage counted twice"),
        ("INSERT INTO invoices SELECT sequence + 100, number || 'x', key, consumer, customer, period_start, period_end,"
         " currency, total_minor, issued_at, content, content_hash, 'other', series FROM invoices",
         "a period billed twice"),
        ("INSERT INTO invoices SELECT sequence + 100, number, key || 'x', consumer, customer, period_start, period_end,"
         " currency, total_minor, issued_at, content, content_hash, 'other', series FROM invoices",
         "a number used twice"),
        ("INSERT INTO invoices SELECT sequence + 100, number || 'x', key || 'x', consumer, customer, period_start, "
         "period_end, currency, total_minor, issued_at, content, content_hash, previous_hash, series FROM invoices",
         "two invoices after one"),
        ("INSERT INTO lines SELECT * FROM lines", "a line charged twice"),
        ("INSERT INTO alerts SELECT id + 100, key, content, at FROM alerts", "an alert heard twice"),
        ("INSERT INTO notifications SELECT id + 100, key, name || 'x', kind, consumer, customer, content, at "
         "FROM notifications", "the same told twice"),
        ("INSERT INTO deliveries SELECT id + 100, notification, channel FROM deliveries", "one way taken twice"),
        ("INSERT INTO attempts SELECT id + 100, delivery, number, outcome, final, said, retry_after, at FROM attempts",
         "two attempts of one number"),
        ("INSERT INTO opened SELECT id + 100, notification, at FROM opened", "read twice"),
        ("INSERT INTO sections SELECT 1, section, key, subscription, consumer, lines FROM sections",
         "a period billed twice by invoices over several subscriptions"),
        ("INSERT INTO invoice_entries SELECT id + 100, invoice, revision, key || 'x', step, \"on\", minor, at, "
         "content, content_hash, 'other' FROM invoice_entries", "two steps of one revision"),
        ("INSERT INTO invoice_entries SELECT id + 100, invoice, revision + 100, key, step, \"on\", minor, at, "
         "content, content_hash, 'other' FROM invoice_entries", "a payment kept twice"),
        ("INSERT INTO credit_notes SELECT sequence + 100, number || 'x', key, invoice, customer, currency, "
         "total_minor, issued_at, content, content_hash, 'other', series FROM credit_notes", "one credit given twice"),
        ("INSERT INTO items SELECT id + 100, key, subscription, at, content, content_hash FROM items",
         "an item kept twice"),
        ("INSERT INTO adjusted SELECT * FROM adjusted", "a difference added twice"),
        ("INSERT INTO adjustments SELECT id + 100, closing, revision, rows, usage_digest, reason, author, evidence, at "
         "FROM adjustments", "two adjustments of one revision"),
        ("INSERT INTO statement_lines SELECT statement, line + 9, source, minor FROM statement_lines",
         "one share stated twice"),
        ("INSERT INTO statements SELECT sequence + 9, number || 'x', key, partner, currency, total_minor, issued_at, "
         "content, content_hash, previous_hash || 'x' FROM statements", "a month stated twice"),
        ("INSERT INTO rollups SELECT sequence + 9, meter, start, \"end\", windows, rows, total, archive, "
         "archive_digest, at, content, content_hash, 'other' FROM rollups", "windows rolled up twice"),
        ("INSERT INTO rollups SELECT sequence + 9, meter || 'x', start, \"end\", windows, rows, total, archive, "
         "archive_digest, at, content, content_hash, previous_hash FROM rollups", "two roll-ups after one"),
        ("INSERT INTO rolled_windows SELECT closing, 2 FROM rolled_windows", "a window in two days"),
        ("INSERT INTO rolled_usage SELECT * FROM rolled_usage", "a day counted twice"),
        ("INSERT INTO wallet_moves SELECT \"grant\", step, previous, before, change, after, kind, invoice, 'x', at "
         "FROM wallet_moves WHERE step = 1", "two moves from one balance"),
        ("INSERT INTO wallet_moves SELECT \"grant\", 2, 1, after, -1, after - 1, kind, invoice, cause, at "
         "FROM wallet_moves WHERE step = 1", "one invoice paid twice by one grant"),
    ],
    ids=lambda value: value if not value.startswith("INSERT") else "",
)  # fmt: skip
def test_the_constraints_refuse_doubles(filled: str, twice: str, what: str) -> None:
    with pytest.raises(DBAPIError, match=r"(?i)unique"), raw(filled) as connection:
        connection.execute(text(twice))


@pytest.mark.parametrize(
    ("move", "constraint"),
    [
        ("2, 1, 484, -485, -1", "ck_wallet_moves_after"),
        ("2, 1, 484, -400, 85", "ck_wallet_moves_change"),
        ("3, 1, 484, -84, 400", "ck_wallet_moves_step"),
        ("2, 1, 1000, -84, 916", "foreign key"),
        ("4, 3, 484, -84, 400", "foreign key"),
    ],
    ids=["below zero", "an untrue sum", "a step left out", "from a balance that is past", "after a step not there"],
)
def test_a_grant_moves_only_on_from_where_it_is(filled: str, move: str, constraint: str) -> None:
    """The first grant was 10.00, and an invoice of 5.16 left 4.84 of it at step 1."""
    with raw(filled) as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        with pytest.raises(DBAPIError, match=f"(?i){constraint}"):
            connection.execute(text(f"INSERT INTO wallet_moves VALUES (1, {move}, 'burned', 'INV-9', '', 0)"))


@pytest.mark.parametrize(
    "orphan",
    [
        "INSERT INTO usage VALUES (1, 99999, 5)",
        "INSERT INTO usage VALUES (99999, 1, 5)",
        "INSERT INTO adjusted VALUES (1, 99999, 5)",
        "INSERT INTO adjusted VALUES (99999, 1, 5)",
        "INSERT INTO adjustments VALUES (9, 99999, 1, 0, '', '', '', '{}', 0)",
        "INSERT INTO deliveries VALUES (9, 99999, 'crm')",
        "INSERT INTO attempts VALUES (9, 99999, 1, 'failed', 0, '', 0, 0)",
        "INSERT INTO opened VALUES (9, 99999, 0)",
        "INSERT INTO wallet_moves VALUES (99999, 0, NULL, 0, 5, 5, 'granted', '', '', 0)",
        "INSERT INTO statement_lines VALUES (99999, 1, 'INV-9/1', 5)",
        "INSERT INTO rolled_windows VALUES (1, 99999)",
        "INSERT INTO rolled_windows VALUES (99999, 1)",
        "INSERT INTO rolled_usage VALUES (1, 99999, 5)",
        "INSERT INTO rolled_usage VALUES (99999, 1, 5)",
        "INSERT INTO lines SELECT 99999, line, kind, card, meter, quantity, exact, minor FROM lines WHERE invoice = 1",
    ],
)
def test_nothing_hangs_in_the_air(filled: str, orphan: str) -> None:
    with raw(filled) as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        with pytest.raises(DBAPIError, match=r"(?i)foreign key|does not exist"):
            connection.execute(text(orphan))


def test_sqlite_does_not_replace_an_entry(tmp_path) -> None:
    """INSERT OR REPLACE would delete without a word to the triggers, were recursive_triggers off."""
    with open_book(f"sqlite:///{tmp_path}/rating.db") as store:
        fill(store)
        with pytest.raises(BookError, match="append-only"), store._database.writing() as connection:
            connection.exec_driver_sql("INSERT OR REPLACE INTO lines SELECT * FROM lines")


def test_sqlite_keeps_integers_integers(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/rating.db"
    with open_book(url) as store:
        fill(store)
    with pytest.raises(DBAPIError, match="cannot store"), raw(url) as connection:
        connection.execute(text("INSERT INTO lines VALUES (1, 99, 'fee', '', '', '0/1', '1/1', 12.5)"))


def test_usage_may_go_where_its_window_is_rolled_up_and_nowhere_else(url: str) -> None:
    """Whoever writes the SQL: a window of which the book has no day keeps its rows, also beside one that has."""
    with open_book(url) as store:
        fill(store)
        roll(store)
    rolled = "SELECT closing FROM rolled_windows"
    with raw(url) as connection:
        # The program removed them; put back, they would be counted twice, and may go once more.
        connection.execute(text("INSERT INTO usage SELECT closing, 1, 5 FROM rolled_windows"))
        assert connection.execute(text(f"DELETE FROM usage WHERE closing IN ({rolled})")).rowcount == 4
        connection.execute(text("INSERT INTO usage SELECT closing, 1, 5 FROM rolled_windows"))
    for others in (f"closing NOT IN ({rolled})", "closing = 1", f"closing = 1 OR closing IN ({rolled})"):
        with pytest.raises(DBAPIError, match="usage is append-only"), raw(url) as connection:
            connection.execute(text(f"DELETE FROM usage WHERE {others}"))
    with pytest.raises(DBAPIError, match="usage is append-only"), raw(url) as connection:
        connection.execute(text(f"UPDATE usage SET quantity = 6 WHERE closing IN ({rolled})"))
    with open_book(url) as store:
        found = [finding.what for finding in audit(store)]
    assert found == ["is rolled up to its day and still holds 1 rows, which would be counted twice"] * 4


def test_a_projection_may_be_replaced(store: StoreBook) -> None:
    fill(store)
    store.show_accruals([], at=NOW + timedelta(hours=1))
    assert store.accruals() == ()
