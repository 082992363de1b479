"""Notifications: alerts heard, what was told to whom on which ways, each attempt, and what customers want to hear."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

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
        "alerts",
        _text("key"),
        _text("content"),
        _int("at"),
        sa.UniqueConstraint("key", name="uq_alerts_key"),
    )
    op.create_index("ix_alerts_at", "alerts", ["at"])
    _table(
        "notifications",
        _text("key"),
        _text("name"),
        _text("kind"),
        _text("consumer"),
        _text("customer"),
        _text("content"),
        _int("at"),
        sa.UniqueConstraint("key", name="uq_notifications_key"),
        sa.UniqueConstraint("name", name="uq_notifications_name"),
    )
    op.create_index("ix_notifications_customer", "notifications", ["customer"])
    op.create_index("ix_notifications_at", "notifications", ["at"])
    _table(
        "deliveries",
        _int("notification"),
        _text("channel"),
        sa.UniqueConstraint("notification", "channel", name="uq_deliveries_notification_channel"),
        sa.ForeignKeyConstraint(["notification"], ["notifications.id"], name="fk_deliveries_notification"),
    )
    _table(
        "attempts",
        _int("delivery"),
        _int("number"),
        _text("outcome"),
        _int("final"),
        _text("said"),
        _int("retry_after"),
        _int("at"),
        sa.UniqueConstraint("delivery", "number", name="uq_attempts_delivery_number"),
        sa.ForeignKeyConstraint(["delivery"], ["deliveries.id"], name="fk_attempts_delivery"),
    )
    _table(
        "preferences",
        _text("customer"),
        _text("topic"),
        _int("number"),
        _int("wanted"),
        _text("source"),
        _int("at"),
        sa.UniqueConstraint("customer", "topic", "number", name="uq_preferences_customer_topic_number"),
    )
    _table(
        "opened",
        _int("notification"),
        _int("at"),
        sa.UniqueConstraint("notification", name="uq_opened_notification"),
        sa.ForeignKeyConstraint(["notification"], ["notifications.id"], name="fk_opened_notification"),
    )
    for table in ("alerts", "notifications", "deliveries", "attempts", "preferences", "opened"):
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
