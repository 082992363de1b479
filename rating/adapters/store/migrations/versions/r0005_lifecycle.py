"""The life of invoices: series, sections, steps, credit notes, one-off items, and pauses of subscriptions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

# fmt: off
TABLES: dict[str, dict[str, str]] = {
    # i: integer, t: text, ?: may be null
    "sections": {"invoice": "i", "section": "i", "key": "t", "subscription": "t", "consumer": "t", "lines": "i"},
    "invoice_entries": {"id": "i", "invoice": "t", "revision": "i", "key": "t", "step": "t", "on": "t", "minor": "i?",
                        "at": "i", "content": "t", "content_hash": "t", "previous_hash": "t"},
    "credit_notes": {"sequence": "i", "number": "t", "key": "t", "invoice": "t", "customer": "t", "currency": "t",
                     "total_minor": "i", "issued_at": "i", "content": "t", "content_hash": "t", "previous_hash": "t",
                     "series": "t"},
    "credit_lines": {"credit_note": "i", "line": "i", "kind": "t", "settles": "t", "exact": "t", "minor": "i"},
    "items": {"id": "i", "key": "t", "subscription": "t", "at": "i", "content": "t", "content_hash": "t"},
    "pauses": {"id": "i", "key": "t", "subscription": "t", "start": "i", "at": "i"},
    "resumptions": {"id": "i", "pause": "t", "end": "i", "at": "i"},
}
PRIMARY: dict[str, tuple[str, ...]] = {
    "sections": ("invoice", "section"),
    "credit_notes": ("sequence",),
    "credit_lines": ("credit_note", "line"),
}
UNIQUE: dict[str, list[tuple[str, ...]]] = {
    "sections": [("key",)],
    "invoice_entries": [("invoice", "revision"), ("key",), ("previous_hash",)],
    "credit_notes": [("number",), ("key",), ("previous_hash",)],
    "items": [("key",)],
    "pauses": [("key",)],
    "resumptions": [("pause",)],
}
FOREIGN = {
    "sections": [("invoice", "invoices.sequence")],
    "invoice_entries": [("invoice", "invoices.number")],
    "credit_notes": [("invoice", "invoices.number")],
    "credit_lines": [("credit_note", "credit_notes.sequence")],
    "resumptions": [("pause", "pauses.key")],
}
INDEXES: dict[str, list[tuple[str, ...]]] = {
    "invoices": [("series", "sequence")],
    "sections": [("consumer",)],
    "credit_notes": [("invoice",), ("series", "sequence")],
}
# fmt: on


def upgrade() -> None:
    # A default is no change of the rows that are there: their triggers stay silent.
    op.add_column("invoices", sa.Column("series", TEXT, nullable=False, server_default="INV"))
    for table, columns in TABLES.items():
        primary = PRIMARY.get(table, ("id",))
        parts: list[Any] = [
            sa.Column(
                name,
                INT if kind[0] == "i" else TEXT,
                nullable=kind.endswith("?"),
                autoincrement="auto" if name == "id" else False,
            )
            for name, kind in columns.items()
        ]
        parts.append(sa.PrimaryKeyConstraint(*primary, name=f"pk_{table}"))
        parts += [
            sa.UniqueConstraint(*unique, name=f"uq_{table}_{'_'.join(unique)}") for unique in UNIQUE.get(table, [])
        ]
        parts += [
            sa.ForeignKeyConstraint([name], [target], name=f"fk_{table}_{name}")
            for name, target in FOREIGN.get(table, [])
        ]
        op.create_table(table, *parts, sqlite_strict=True, sqlite_with_rowid=len(primary) == 1)
        _append_only(table)
    for table, indexes in INDEXES.items():
        for columns_of in indexes:
            op.create_index(f"ix_{table}_{'_'.join(columns_of)}", table, list(columns_of))


def _append_only(table: str) -> None:
    """As revision 0001 has it for the other entries; on PostgreSQL its function is used again."""
    if op.get_bind().dialect.name == "sqlite":
        refusal = "is append-only: entries of the book are never changed or removed"
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} {refusal}'); END"
            )
        return
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION rating_append_only()"
    )
