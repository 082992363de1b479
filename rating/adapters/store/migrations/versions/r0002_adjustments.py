"""Adjustments: what closed windows turned out to have counted more or less, beside the closings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _int(name: str, auto: bool = False) -> sa.Column[int]:
    return sa.Column(name, INT, nullable=False, autoincrement="auto" if auto else False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, TEXT, nullable=False)


def upgrade() -> None:
    op.create_table(
        "adjustments",
        _int("id", auto=True),
        _int("closing"),
        _int("revision"),
        _int("rows"),
        _text("usage_digest"),
        _text("reason"),
        _text("author"),
        _text("evidence"),
        _int("at"),
        sa.PrimaryKeyConstraint("id", name="pk_adjustments"),
        sa.UniqueConstraint("closing", "revision", name="uq_adjustments_closing_revision"),
        sa.ForeignKeyConstraint(["closing"], ["closings.id"], name="fk_adjustments_closing"),
        sqlite_strict=True,
    )
    op.create_table(
        "adjusted",
        _int("adjustment"),
        _int("series"),
        _int("quantity"),
        sa.PrimaryKeyConstraint("adjustment", "series", name="pk_adjusted"),
        sa.ForeignKeyConstraint(["adjustment"], ["adjustments.id"], name="fk_adjusted_adjustment"),
        sa.ForeignKeyConstraint(["series"], ["series.id"], name="fk_adjusted_series"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_adjusted_series", "adjusted", ["series"])
    for table in ("adjustments", "adjusted"):
        _append_only(table)


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
