"""The book: usage windows, contracts, invoices, and the accruals shown from them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

ENTRIES = (
    "series", "closings", "usage", "holds", "catalogues", "subscriptions", "cancellations", "invoices", "lines",
)  # fmt: skip

# fmt: off
TABLES: dict[str, dict[str, str]] = {
    # i: integer, t: text, ?: may be null
    "series": {"id": "i", "meter": "t", "consumer": "t", "dimensions": "t"},
    "closings": {"id": "i", "meter": "t", "start": "i", "end": "i", "completeness": "t", "rows": "i", "consumers": "i",
                 "usage_digest": "t", "meter_digest": "t", "evidence": "t", "closed_at": "i"},
    "usage": {"closing": "i", "series": "i", "quantity": "i"},
    "holds": {"id": "i", "meter": "t", "start": "i", "end": "i", "reason": "t", "evidence": "t", "at": "i"},
    "catalogues": {"id": "i", "digest": "t", "in_force_from": "i", "text": "t", "recorded_at": "i"},
    "subscriptions": {"id": "i", "key": "t", "consumer": "t", "plan": "t", "start": "i", "end": "i?", "customer": "t",
                      "anchor": "t", "zone": "t", "at": "i"},
    "cancellations": {"id": "i", "key": "t", "end": "i", "at": "i"},
    "invoices": {"sequence": "i", "number": "t", "key": "t", "consumer": "t", "customer": "t", "period_start": "i",
                 "period_end": "i", "currency": "t", "total_minor": "i", "issued_at": "i", "content": "t",
                 "content_hash": "t", "previous_hash": "t"},
    "lines": {"invoice": "i", "line": "i", "kind": "t", "card": "t", "meter": "t", "quantity": "t", "exact": "t",
              "minor": "i"},
    "accruals": {"id": "i", "subscription": "t", "card": "t", "period_start": "i", "quantity": "i", "amount": "t",
                 "at": "i"},
}
PRIMARY: dict[str, tuple[str, ...]] = {
    "usage": ("closing", "series"),
    "lines": ("invoice", "line"),
    "invoices": ("sequence",),
}
UNIQUE: dict[str, list[tuple[str, ...]]] = {
    "series": [("meter", "consumer", "dimensions")],
    "closings": [("meter", "start")],
    "holds": [("meter", "start", "reason")],
    "catalogues": [("digest", "in_force_from")],
    "subscriptions": [("key",)],
    "cancellations": [("key",)],
    "invoices": [("number",), ("key",), ("previous_hash",)],
}
FOREIGN = {
    "usage": [("closing", "closings.id"), ("series", "series.id")],
    "cancellations": [("key", "subscriptions.key")],
    "lines": [("invoice", "invoices.sequence")],
}
# fmt: on


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
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
            if sqlite or table != "usage"
        ]
        op.create_table(table, *parts, sqlite_strict=True, sqlite_with_rowid=len(primary) == 1)
    op.create_index("ix_series_consumer", "series", ["consumer"])
    op.create_index("ix_invoices_period_start", "invoices", ["period_start"])
    _append_only()
    if not sqlite:
        _usage_belongs()


def _usage_belongs() -> None:
    """What two foreign keys would say about `usage`, a statement at a time.

    Foreign keys ask, and lock, row by row: that made closing a window three times slower. Nothing is ever removed, so
    no lock is needed for what was there to stay there.
    """
    op.execute(
        "CREATE FUNCTION rating_usage_belongs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT FROM added LEFT JOIN closings ON closings.id = added.closing "
        "LEFT JOIN series ON series.id = added.series WHERE closings.id IS NULL OR series.id IS NULL) "
        "THEN RAISE EXCEPTION 'usage names a closing or series that does not exist' USING ERRCODE = '23503'; "
        "END IF; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER usage_belongs AFTER INSERT ON usage REFERENCING NEW TABLE AS added "
        "FOR EACH STATEMENT EXECUTE FUNCTION rating_usage_belongs()"
    )


def _append_only() -> None:
    """Entries may be added, never changed or removed, whoever writes the SQL."""
    refusal = "is append-only: entries of the book are never changed or removed"
    if op.get_bind().dialect.name == "sqlite":
        for table in ENTRIES:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} {refusal}'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION rating_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '% {refusal}', TG_TABLE_NAME; END $$"
    )
    for table in ENTRIES:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION rating_append_only()"
        )
