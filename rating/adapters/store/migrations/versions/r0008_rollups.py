"""Roll-ups: days in the place of old windows' usage, and the one way in which rows of `usage` may be removed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
REFUSAL = "is append-only: entries of the book are never changed or removed"


def _int(name: str, auto: bool = False) -> sa.Column[int]:
    return sa.Column(name, INT, nullable=False, autoincrement="auto" if auto else False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, TEXT, nullable=False)


def upgrade() -> None:
    op.create_table(
        "rollups",
        _int("sequence"),
        _text("meter"),
        _int("start"),
        _int("end"),
        _int("windows"),
        _int("rows"),
        _text("total"),
        _text("archive"),
        _text("archive_digest"),
        _int("at"),
        _text("content"),
        _text("content_hash"),
        _text("previous_hash"),
        sa.PrimaryKeyConstraint("sequence", name="pk_rollups"),
        sa.UniqueConstraint("meter", "start", name="uq_rollups_meter_start"),
        sa.UniqueConstraint("previous_hash", name="uq_rollups_previous_hash"),
        sqlite_strict=True,
    )
    op.create_table(
        "rolled_days",
        _int("id", auto=True),
        _int("rollup"),
        _text("meter"),
        _int("first"),
        _int("last"),
        _int("end"),
        _int("windows"),
        _int("rows"),
        _text("completeness"),
        _text("digest"),
        _text("usage_digest"),
        sa.PrimaryKeyConstraint("id", name="pk_rolled_days"),
        sa.ForeignKeyConstraint(["rollup"], ["rollups.sequence"], name="fk_rolled_days_rollup"),
        sa.UniqueConstraint("meter", "first", name="uq_rolled_days_meter_first"),
        sqlite_strict=True,
    )
    op.create_index("ix_rolled_days_rollup", "rolled_days", ["rollup"])
    op.create_table(
        "rolled_windows",
        _int("closing"),
        _int("day"),
        sa.PrimaryKeyConstraint("closing", name="pk_rolled_windows"),
        sa.ForeignKeyConstraint(["closing"], ["closings.id"], name="fk_rolled_windows_closing"),
        sa.ForeignKeyConstraint(["day"], ["rolled_days.id"], name="fk_rolled_windows_day"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_rolled_windows_day", "rolled_windows", ["day"])
    op.create_table(
        "rolled_usage",
        _int("day"),
        _int("series"),
        _int("quantity"),
        sa.PrimaryKeyConstraint("day", "series", name="pk_rolled_usage"),
        sa.ForeignKeyConstraint(["day"], ["rolled_days.id"], name="fk_rolled_usage_day"),
        sa.ForeignKeyConstraint(["series"], ["series.id"], name="fk_rolled_usage_series"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    for table in ("rollups", "rolled_days", "rolled_windows", "rolled_usage"):
        _append_only(table)
    _rolled_usage_may_go()


def _append_only(table: str) -> None:
    """As revision 0001 has it for the other entries; on PostgreSQL its function is used again."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} {REFUSAL}'); END"
            )
        return
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION rating_append_only()"
    )


def _rolled_usage_may_go() -> None:
    """A row of `usage` may be removed where the book has its window in a rolled-up day, and nowhere else."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER IF EXISTS usage_no_delete")
        op.execute(
            "CREATE TRIGGER usage_no_delete BEFORE DELETE ON usage "
            "WHEN NOT EXISTS (SELECT 1 FROM rolled_windows WHERE closing = OLD.closing) "
            f"BEGIN SELECT RAISE(ABORT, 'usage {REFUSAL}'); END"
        )
        return
    op.execute("DROP TRIGGER usage_append_only ON usage")
    op.execute(
        "CREATE TRIGGER usage_append_only BEFORE UPDATE OR TRUNCATE ON usage "
        "FOR EACH STATEMENT EXECUTE FUNCTION rating_append_only()"
    )
    op.execute(
        "CREATE FUNCTION rating_usage_rolled() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT FROM removed LEFT JOIN rolled_windows ON rolled_windows.closing = removed.closing "
        f"WHERE rolled_windows.closing IS NULL) THEN RAISE EXCEPTION 'usage {REFUSAL}'; "
        "END IF; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER usage_rolled AFTER DELETE ON usage REFERENCING OLD TABLE AS removed "
        "FOR EACH STATEMENT EXECUTE FUNCTION rating_usage_rolled()"
    )
