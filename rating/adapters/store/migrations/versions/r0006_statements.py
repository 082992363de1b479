"""Statements: what was stated to partners, numbered and chained as invoices are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _int(name: str) -> sa.Column[int]:
    return sa.Column(name, INT, nullable=False, autoincrement=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, TEXT, nullable=False)


def upgrade() -> None:
    op.create_table(
        "statements",
        _int("sequence"),
        _text("number"),
        _text("key"),
        _text("partner"),
        _text("currency"),
        _int("total_minor"),
        _int("issued_at"),
        _text("content"),
        _text("content_hash"),
        _text("previous_hash"),
        sa.PrimaryKeyConstraint("sequence", name="pk_statements"),
        sa.UniqueConstraint("number", name="uq_statements_number"),
        sa.UniqueConstraint("key", name="uq_statements_key"),
        sa.UniqueConstraint("previous_hash", name="uq_statements_previous_hash"),
        sqlite_strict=True,
    )
    op.create_index("ix_statements_partner", "statements", ["partner"])
    op.create_table(
        "statement_lines",
        _int("statement"),
        _int("line"),
        _text("source"),
        _int("minor"),
        sa.PrimaryKeyConstraint("statement", "line", name="pk_statement_lines"),
        sa.UniqueConstraint("source", name="uq_statement_lines_source"),
        sa.ForeignKeyConstraint(["statement"], ["statements.sequence"], name="fk_statement_lines_statement"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    for table in ("statements", "statement_lines"):
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
