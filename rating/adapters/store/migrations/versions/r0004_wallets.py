"""Wallets: what customers paid ahead or were given, step by step, and when it ran low."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

TABLES: dict[str, dict[str, str]] = {
    # i: integer, t: text, ?: may be null
    "wallet_grants": {"id": "i", "customer": "t", "reference": "t", "currency": "t", "kind": "t", "minor": "i",
                      "priority": "i", "expires": "i?", "note": "t", "author": "t"},
    "wallet_moves": {"grant": "i", "step": "i", "previous": "i?", "before": "i", "change": "i", "after": "i",
                     "kind": "t", "invoice": "t", "cause": "t", "at": "i"},
    "wallet_thresholds": {"id": "i", "customer": "t", "currency": "t", "minor": "i", "at": "i"},
    "wallet_lows": {"id": "i", "customer": "t", "currency": "t", "at": "i", "balance": "i", "threshold": "i"},
}  # fmt: skip
UNIQUE: dict[str, list[tuple[str, ...]]] = {
    "wallet_grants": [("customer", "reference")],
    "wallet_moves": [("grant", "step", "after"), ("grant", "kind", "invoice", "cause")],
    "wallet_thresholds": [("customer", "currency", "at")],
    "wallet_lows": [("customer", "currency", "at")],
}
CHECKS: dict[str, dict[str, str]] = {
    "wallet_grants": {"minor": "minor > 0"},
    "wallet_moves": {
        "after": '"after" >= 0',
        "change": '"after" = "before" + change',
        "step": '(step = 0 AND previous IS NULL AND "before" = 0) OR (previous = step - 1)',
    },
    "wallet_thresholds": {"minor": "minor >= 0"},
}


def upgrade() -> None:
    for table, columns in TABLES.items():
        primary = ("grant", "step") if table == "wallet_moves" else ("id",)
        parts: list[sa.Column[object] | sa.Constraint] = [
            sa.Column(
                name,
                INT if kind[0] == "i" else TEXT,
                nullable=kind.endswith("?"),
                autoincrement="auto" if name == "id" else False,
            )
            for name, kind in columns.items()
        ]
        parts.append(sa.PrimaryKeyConstraint(*primary, name=f"pk_{table}"))
        parts += [sa.UniqueConstraint(*some, name=f"uq_{table}_{'_'.join(some)}") for some in UNIQUE[table]]
        parts += [sa.CheckConstraint(rule, name=f"ck_{table}_{name}") for name, rule in CHECKS.get(table, {}).items()]
        if table == "wallet_moves":
            parts.append(sa.ForeignKeyConstraint(["grant"], ["wallet_grants.id"], name="fk_wallet_moves_grant"))
            parts.append(
                sa.ForeignKeyConstraint(
                    ["grant", "previous", "before"],
                    ["wallet_moves.grant", "wallet_moves.step", "wallet_moves.after"],
                    name="fk_wallet_moves_previous",
                )
            )
        op.create_table(table, *parts, sqlite_strict=True, sqlite_with_rowid=len(primary) == 1)
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
