"""The journal reads a day at a time: indexes on when papers were issued, and steps and moves made."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"

INDEXES = {
    "invoices": "issued_at",
    "credit_notes": "issued_at",
    "statements": "issued_at",
    "invoice_entries": "on",
    "wallet_moves": "at",
    "wallet_grants": "expires",
}


def upgrade() -> None:
    for table, column in INDEXES.items():
        op.create_index(f"ix_{table}_{column}", table, [column])
