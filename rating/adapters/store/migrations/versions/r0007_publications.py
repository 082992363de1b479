"""Publications: how far papers have come at those who collect the money, their names there, and what they told us."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _int(name: str, auto: bool = False) -> sa.Column[int]:
    return sa.Column(name, INT, nullable=False, autoincrement="auto" if auto else False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, TEXT, nullable=False)


def _table(name: str, *parts: sa.schema.SchemaItem) -> None:
    key = sa.PrimaryKeyConstraint("id", name=f"pk_{name}")
    op.create_table(name, _int("id", auto=True), *parts, key, sqlite_strict=True)


def upgrade() -> None:
    _table(
        "publications",
        _text("gateway"),
        _text("subject"),
        _int("number"),
        _text("outcome"),
        _int("final"),
        _text("said"),
        _int("retry_after"),
        _int("at"),
        sa.UniqueConstraint("gateway", "subject", "number", name="uq_publications_gateway_subject_number"),
    )
    _table(
        "remote_names",
        _text("gateway"),
        _text("subject"),
        _text("part"),
        _text("name"),
        _int("at"),
        sa.UniqueConstraint("gateway", "subject", "part", name="uq_remote_names_gateway_subject_part"),
    )
    op.create_index("ix_remote_names_gateway_name", "remote_names", ["gateway", "name"])
    _table(
        "signals",
        _text("gateway"),
        _text("name"),
        _text("kind"),
        _int("occurred_at"),
        _text("content"),
        _int("at"),
        sa.UniqueConstraint("gateway", "name", name="uq_signals_gateway_name"),
    )
    op.create_index("ix_signals_gateway_occurred_at", "signals", ["gateway", "occurred_at"])
    for table in ("publications", "remote_names", "signals"):
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
