"""Somebody with all rights changes the past: the audit finds it, field by field."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import BigInteger, Column, text

from rating.adapters.store import open_book
from rating.adapters.store.tables import METADATA, closings, invoices, lines, series, usage
from rating.core.canonical import digest
from rating.jobs.audit import audit

from .stories import NOW, draft, fill, follow, roll, tampering

CONSUMERS = ("c42", "c77", "c99")


@pytest.fixture
def filled_url(url: str) -> str:
    with open_book(url) as book:
        fill(book, CONSUMERS)
        follow(book)
        roll(book)
        assert list(audit(book)) == []
    return url


def findings(url: str) -> list[str]:
    with open_book(url) as book:
        return [str(finding) for finding in audit(book)]


FIELDS = [
    *invoices.columns,
    *lines.columns,
    *METADATA.tables["sections"].columns,
    *(column for column in METADATA.tables["invoice_entries"].columns if column.name != "id"),
    *METADATA.tables["credit_notes"].columns,
    *METADATA.tables["credit_lines"].columns,
    *METADATA.tables["statements"].columns,
    *METADATA.tables["statement_lines"].columns,
    *(METADATA.tables["items"].c[name] for name in ("key", "subscription", "content", "content_hash")),
    *usage.columns,
    *(closings.c[name] for name in ("meter", "start", "rows", "consumers", "usage_digest")),
    *(series.c[name] for name in ("meter", "consumer", "dimensions")),
    METADATA.tables["catalogues"].c.text,
    *(METADATA.tables["adjustments"].c[name] for name in ("revision", "rows", "usage_digest")),
    METADATA.tables["adjusted"].c.quantity,
    *(METADATA.tables["wallet_grants"].c[name] for name in ("customer", "currency", "minor")),
    *METADATA.tables["rollups"].columns,
    *METADATA.tables["rolled_days"].columns,
    *METADATA.tables["rolled_windows"].columns,
    *METADATA.tables["rolled_usage"].columns,
    *(column for column in METADATA.tables["wallet_moves"].c if column.name not in ("grant", "cause", "at")),
]
ROW = {
    "invoices": {"sequence": "2"},
    "lines": {"invoice": "2"},
    "sections": {"invoice": "4", "section": "2"},
    "invoice_entries": {"id": "4"},
    "credit_notes": {"sequence": "2"},
    "credit_lines": {"credit_note": "2"},
    "statements": {"sequence": "1"},
    "statement_lines": {"statement": "1"},
    "usage": {"closing": "5", "series": "(SELECT max(id) FROM series WHERE meter = 'search')"},
    "adjusted": {"adjustment": "1", "series": "(SELECT max(id) FROM series WHERE meter = 'search')"},
    "rollups": {"sequence": "1"},
    "rolled_windows": {"closing": "(SELECT min(closing) FROM rolled_windows)"},
    "rolled_usage": {"day": "1", "series": "(SELECT max(series) FROM rolled_usage)"},
    "wallet_moves": {'"grant"': "1", "step": "1"},
}
"""Which row of a table is changed; the first one where nothing is said."""


def test_every_stored_field_is_held_to_the_rest(filled_url: str) -> None:
    """One after the other: change it a little, look, change it back."""
    unseen = []
    for column in FIELDS:
        table, name = column.table.name, f'"{column.name}"'
        row = ROW.get(table, {"id": "1"})
        with tampering(filled_url) as connection:
            before = connection.execute(text(f"SELECT {name} FROM {table} WHERE {_where(row)}")).scalar_one()
            values = {"before": before, "after": _other(column, before)}
            connection.execute(text(f"UPDATE {table} SET {name} = :after WHERE {_where(row)}"), values)
        if not findings(filled_url):
            unseen.append(column)
        changed = row | {column.name: ":after"} if column.name in row else row
        with tampering(filled_url) as connection:
            connection.execute(text(f"UPDATE {table} SET {name} = :before WHERE {_where(changed)}"), values)
        assert findings(filled_url) == [], f"{column} was not put back"
    assert unseen == []


def _where(row: dict[str, str]) -> str:
    return " AND ".join(f"{name} = {value}" for name, value in row.items())


def _other(column: Column, before: object) -> object:
    if isinstance(column.type, BigInteger):
        return before + 1000
    return '["/other"]' if column.name == "dimensions" else f"{before}x"


@pytest.mark.parametrize(
    ("crime", "sentence"),
    [
        ("UPDATE usage SET quantity = 15 WHERE closing = 5 AND series = 1", "its usage was changed after closing"),
        ("DELETE FROM usage WHERE closing = 5 AND series = 1", "holds 2 rows with digest"),
        ("DELETE FROM usage WHERE closing = 5", "holds 0 rows with digest"),
        ("DELETE FROM invoices WHERE sequence = 2", "stands at place 3, but INV-000002 must follow 1 invoices"),
        ("DELETE FROM lines WHERE invoice = 2", "its lines sum to 0 minor units but its total is 516"),
        ("UPDATE wallet_moves SET change = -515 WHERE step = 1", "goes from 10.00 USD by -5.15 USD to 4.84 USD"),
        ('UPDATE wallet_moves SET change = 0, "after" = 1000 WHERE step = 1', "is 'burned' and changes it by 0.00 USD"),
        ("DELETE FROM wallet_moves WHERE step = 0", "begins with 10.00 USD but must be step 0 and begin with 0.00 USD"),
        ("UPDATE wallet_moves SET invoice = 'INV-000002' WHERE step = 1", "which is c77's, in USD"),
        ("UPDATE wallet_grants SET expires = 1", "but expired at 1000"),
        ("UPDATE rolled_usage SET quantity = 7 WHERE day = 1", "its days sum to 14 but it says 402"),
        ("DELETE FROM rolled_usage WHERE day = 1", "its rows have the digest"),
        ("DELETE FROM rolled_days WHERE id = 2", "days is stored as () but its content says"),
        ("DELETE FROM rollups WHERE sequence = 1", "stands at place 1"),
        ("INSERT INTO rolled_windows VALUES (1, 1)", "has 3 windows with 7 rows"),
        ("UPDATE rollups SET archive_digest = 'b'", "archive_digest is stored as b but its content says aaaa"),
        ("UPDATE invoices SET total_minor = 1 WHERE sequence = 2", "is stored as 1 but its content says 516"),
    ],
)  # fmt: skip
def test_what_the_audit_says(filled_url: str, crime: str, sentence: str) -> None:
    with tampering(filled_url) as connection:
        connection.execute(text(crime))
    found = findings(filled_url)
    assert any(sentence in one for one in found), found


def test_a_window_that_vanished_is_missed_by_its_invoices(filled_url: str) -> None:
    with tampering(filled_url) as connection:
        connection.execute(text("DELETE FROM usage WHERE closing = 5"))
        connection.execute(text("DELETE FROM closings WHERE id = 5"))
    found = findings(filled_url)
    assert len(found) == len(CONSUMERS)
    assert "invoice INV-000001, line 1: was charged from 24 windows of search" in found[0]
    assert "but the book has 23 with" in found[0]
    assert "which count 502" in found[0]


def test_a_careful_forger_breaks_the_chain(filled_url: str) -> None:
    """The content changed, its hash computed anew: the next invoice still names the old one."""
    with tampering(filled_url) as connection:
        content = connection.execute(text("SELECT content FROM invoices WHERE sequence = 1")).scalar_one()
        forged = content.replace('"customer":"c42"', '"customer":"xyz"')
        assert forged != content
        connection.execute(
            text("UPDATE invoices SET content = :content, content_hash = :hash, customer = 'xyz' WHERE sequence = 1"),
            {"content": forged, "hash": digest(forged)},
        )
    found, wallet = findings(filled_url)
    assert found.startswith("invoice INV-000002: follows ")
    assert "the chain was broken" in found
    assert "burned in USD for invoice 'INV-000001', which is xyz's" in wallet


def test_steps_and_credit_notes_name_the_invoice_as_it_was(filled_url: str) -> None:
    """A forger who mends the chain behind the invoice has still to mend what followed it."""
    with tampering(filled_url) as connection:
        content = connection.execute(text("SELECT content FROM invoices WHERE sequence = 2")).scalar_one()
        forged = content.replace('"customer":"c77"', '"customer":"xyz"')
        values = {"content": forged, "hash": digest(forged)}
        connection.execute(
            text("UPDATE invoices SET content = :content, content_hash = :hash WHERE sequence = 2"), values
        )
    found = findings(filled_url)
    assert any(one.startswith("entry 1 of invoice INV-000002: does not follow") for one in found)
    assert any(one.startswith("credit note CN-000001: is not about invoice INV-000002 as") for one in found)


def test_two_invoices_over_one_window_are_found(filled_url: str) -> None:
    """The same day under another subscription: the database cannot know, the audit does."""
    with open_book(filled_url) as book:
        book.issue([replace(draft(book, "c42"), subscription="c42/scale/2026-08-01")], at=NOW + timedelta(hours=1))
        [found] = [str(finding) for finding in audit(book)]
    assert found.startswith("invoice INV-000005: charges search of c42 for 2026-08-01 00:00 to 2026-08-02 00:00")
    assert "which invoice INV-000001 charges as well" in found
