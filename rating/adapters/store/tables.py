"""The tables of the book as SQLAlchemy sees them. The migrations make them; a test holds the two together.

Instants are integers: whole seconds since the epoch for periods, milliseconds for when something was recorded. Money
is an integer of minor units, exact amounts are text: SQLite's NUMERIC goes through float and loses digits. Text sorts
by code point on both engines, as Python sorts it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

REVISION = "0009"
"""The schema this code reads and writes; the newest file in migrations/versions."""

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# BIGINT on PostgreSQL; on SQLite INTEGER, which is 64 bits wide and may be a row id.
INT = BigInteger().with_variant(Integer(), "sqlite")
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def _table(name: str, *parts: Any, rowid: bool = True) -> Table:
    # STRICT: SQLite would otherwise keep a float or a text in an integer column.
    return Table(name, METADATA, *parts, sqlite_strict=True, sqlite_with_rowid=rowid)


def _int(name: str, *parts: Any, nullable: bool = False) -> Column[int]:
    return Column(name, INT, *parts, nullable=nullable)


def _text(name: str, default: str | None = None) -> Column[str]:
    return Column(name, TEXT, nullable=False, server_default=default)


series = _table(
    "series",
    Column("id", INT, primary_key=True),
    _text("meter"),
    _text("consumer"),
    _text("dimensions"),
    UniqueConstraint("meter", "consumer", "dimensions"),
    Index(None, "consumer"),
)
"""What is counted for whom: a short number for each meter, consumer and dimensions (a JSON list)."""

closings = _table(
    "closings",
    Column("id", INT, primary_key=True),
    _text("meter"),
    _int("start"),
    _int("end"),
    _text("completeness"),
    _int("rows"),
    _int("consumers"),
    _text("usage_digest"),
    _text("meter_digest"),
    _text("evidence"),
    _int("closed_at"),
    UniqueConstraint("meter", "start"),
)

usage = _table(
    "usage",
    _int("closing", ForeignKey("closings.id")),
    _int("series", ForeignKey("series.id")),
    _int("quantity"),
    PrimaryKeyConstraint("closing", "series"),
    rowid=False,
)

adjustments = _table(
    "adjustments",
    Column("id", INT, primary_key=True),
    _int("closing", ForeignKey("closings.id")),
    _int("revision"),
    _int("rows"),
    _text("usage_digest"),
    _text("reason"),
    _text("author"),
    _text("evidence"),
    _int("at"),
    UniqueConstraint("closing", "revision"),
)

adjusted = _table(
    "adjusted",
    _int("adjustment", ForeignKey("adjustments.id")),
    _int("series", ForeignKey("series.id")),
    _int("quantity"),
    PrimaryKeyConstraint("adjustment", "series"),
    Index(None, "series"),
    rowid=False,
)
"""The rows of adjustments: signed differences, as `usage` has the rows of closings."""

holds = _table(
    "holds",
    Column("id", INT, primary_key=True),
    _text("meter"),
    _int("start"),
    _int("end"),
    _text("reason"),
    _text("evidence"),
    _int("at"),
    UniqueConstraint("meter", "start", "reason"),
)

catalogues = _table(
    "catalogues",
    Column("id", INT, primary_key=True),
    _text("digest"),
    _int("in_force_from"),
    _text("text"),
    _int("recorded_at"),
    UniqueConstraint("digest", "in_force_from"),
)

subscriptions = _table(
    "subscriptions",
    Column("id", INT, primary_key=True),
    _text("key"),
    _text("consumer"),
    _text("plan"),
    _int("start"),
    _int("end", nullable=True),
    _text("customer"),
    _text("anchor"),
    _text("zone"),
    _int("at"),
    UniqueConstraint("key"),
)

cancellations = _table(
    "cancellations",
    Column("id", INT, primary_key=True),
    Column("key", TEXT, ForeignKey("subscriptions.key"), nullable=False),
    _int("end"),
    _int("at"),
    UniqueConstraint("key"),
)

invoices = _table(
    "invoices",
    Column("sequence", INT, primary_key=True, autoincrement=False),
    _text("number"),
    _text("key"),
    _text("consumer"),
    _text("customer"),
    _int("period_start"),
    _int("period_end"),
    _text("currency"),
    _int("total_minor"),
    _int("issued_at"),
    _text("content"),
    _text("content_hash"),
    _text("previous_hash"),
    _text("series", "INV"),
    UniqueConstraint("number"),
    UniqueConstraint("key"),
    # One invoice may follow another, never two: the chain cannot fork.
    UniqueConstraint("previous_hash"),
    Index(None, "period_start"),
    Index(None, "series", "sequence"),
    Index(None, "issued_at"),
)

lines = _table(
    "lines",
    _int("invoice", ForeignKey("invoices.sequence")),
    _int("line"),
    _text("kind"),
    _text("card"),
    _text("meter"),
    _text("quantity"),
    _text("exact"),
    _int("minor"),
    PrimaryKeyConstraint("invoice", "line"),
    rowid=False,
)
"""The lines inside `invoices.content`, spread out for SQL."""

alerts = _table(
    "alerts",
    Column("id", INT, primary_key=True),
    _text("key"),
    _text("content"),
    _int("at"),
    UniqueConstraint("key"),
    Index(None, "at"),
)
"""What was heard from Alertmanager: hints, never the truth."""

notifications = _table(
    "notifications",
    Column("id", INT, primary_key=True),
    _text("key"),
    _text("name"),
    _text("kind"),
    _text("consumer"),
    _text("customer"),
    _text("content"),
    _int("at"),
    UniqueConstraint("key"),
    UniqueConstraint("name"),
    Index(None, "customer"),
    Index(None, "at"),
)

deliveries = _table(
    "deliveries",
    Column("id", INT, primary_key=True),
    _int("notification", ForeignKey("notifications.id")),
    _text("channel"),
    UniqueConstraint("notification", "channel"),
)
"""The ways on which a notification goes out, one row each; what was planned for them is in its content."""

attempts = _table(
    "attempts",
    Column("id", INT, primary_key=True),
    _int("delivery", ForeignKey("deliveries.id")),
    _int("number"),
    _text("outcome"),
    _int("final"),
    _text("said"),
    _int("retry_after"),
    _int("at"),
    UniqueConstraint("delivery", "number"),
)
"""`final` is 1 where nothing more is to be done unless a person asks for it."""

preferences = _table(
    "preferences",
    Column("id", INT, primary_key=True),
    _text("customer"),
    _text("topic"),
    _int("number"),
    _int("wanted"),
    _text("source"),
    _int("at"),
    UniqueConstraint("customer", "topic", "number"),
)

opened = _table(
    "opened",
    Column("id", INT, primary_key=True),
    _int("notification", ForeignKey("notifications.id")),
    _int("at"),
    UniqueConstraint("notification"),
)
"""Notifications that a customer has read in the inbox."""
wallet_grants = _table(
    "wallet_grants",
    Column("id", INT, primary_key=True),
    _text("customer"),
    _text("reference"),
    _text("currency"),
    _text("kind"),
    _int("minor"),
    _int("priority"),
    _int("expires", nullable=True),
    _text("note"),
    _text("author"),
    UniqueConstraint("customer", "reference"),
    CheckConstraint("minor > 0", name="minor"),
    Index(None, "expires"),
)
"""What was put into a customer's wallet at once."""

wallet_moves = _table(
    "wallet_moves",
    _int("grant", ForeignKey("wallet_grants.id")),
    _int("step"),
    _int("previous", nullable=True),
    _int("before"),
    _int("change"),
    _int("after"),
    _text("kind"),
    _text("invoice"),
    _text("cause"),
    _int("at"),
    PrimaryKeyConstraint("grant", "step"),
    # A step begins where the one before it ended, and two can never begin at one place: whoever read a balance that
    # somebody else has moved meanwhile is refused, and so is whoever would take more than there is.
    UniqueConstraint("grant", "step", "after"),
    ForeignKeyConstraint(
        ["grant", "previous", "before"],
        ["wallet_moves.grant", "wallet_moves.step", "wallet_moves.after"],
        name="fk_wallet_moves_previous",
    ),
    # One invoice draws on a grant once, and one cause gives back to it once.
    UniqueConstraint("grant", "kind", "invoice", "cause"),
    CheckConstraint('"after" >= 0', name="after"),
    CheckConstraint('"after" = "before" + change', name="change"),
    CheckConstraint('(step = 0 AND previous IS NULL AND "before" = 0) OR (previous = step - 1)', name="step"),
    Index(None, "at"),
    rowid=False,
)
"""The steps of each grant, 0 its granting: a ledger that cannot fork and cannot fall below zero."""

wallet_thresholds = _table(
    "wallet_thresholds",
    Column("id", INT, primary_key=True),
    _text("customer"),
    _text("currency"),
    _int("minor"),
    _int("at"),
    UniqueConstraint("customer", "currency", "at"),
    CheckConstraint("minor >= 0", name="minor"),
)

wallet_lows = _table(
    "wallet_lows",
    Column("id", INT, primary_key=True),
    _text("customer"),
    _text("currency"),
    _int("at"),
    _int("balance"),
    _int("threshold"),
    UniqueConstraint("customer", "currency", "at"),
)
"""Each time a wallet fell below its threshold."""
sections = _table(
    "sections",
    _int("invoice", ForeignKey("invoices.sequence")),
    _int("section"),
    _text("key"),
    _text("subscription"),
    _text("consumer"),
    _int("lines"),
    PrimaryKeyConstraint("invoice", "section"),
    # What is billed on an invoice over several subscriptions is billed once, as on one of its own.
    UniqueConstraint("key"),
    Index(None, "consumer"),
    rowid=False,
)
"""The sections inside `invoices.content` of invoices over several subscriptions."""

invoice_entries = _table(
    "invoice_entries",
    Column("id", INT, primary_key=True),
    Column("invoice", TEXT, ForeignKey("invoices.number"), nullable=False),
    _int("revision"),
    _text("key"),
    _text("step"),
    _text("on"),
    _int("minor", nullable=True),
    _int("at"),
    _text("content"),
    _text("content_hash"),
    _text("previous_hash"),
    UniqueConstraint("invoice", "revision"),
    UniqueConstraint("key"),
    UniqueConstraint("previous_hash"),
    Index(None, "on"),
)
"""The steps of issued invoices (sent, paid, disputed, ...), chained from the invoice's own hash."""

credit_notes = _table(
    "credit_notes",
    Column("sequence", INT, primary_key=True, autoincrement=False),
    _text("number"),
    _text("key"),
    Column("invoice", TEXT, ForeignKey("invoices.number"), nullable=False),
    _text("customer"),
    _text("currency"),
    _int("total_minor"),
    _int("issued_at"),
    _text("content"),
    _text("content_hash"),
    _text("previous_hash"),
    _text("series"),
    UniqueConstraint("number"),
    UniqueConstraint("key"),
    UniqueConstraint("previous_hash"),
    Index(None, "invoice"),
    Index(None, "series", "sequence"),
    Index(None, "issued_at"),
)

credit_lines = _table(
    "credit_lines",
    _int("credit_note", ForeignKey("credit_notes.sequence")),
    _int("line"),
    _text("kind"),
    _text("settles"),
    _text("exact"),
    _int("minor"),
    PrimaryKeyConstraint("credit_note", "line"),
    rowid=False,
)
"""The lines inside `credit_notes.content`, spread out for SQL."""

items = _table(
    "items",
    Column("id", INT, primary_key=True),
    _text("key"),
    _text("subscription"),
    _int("at"),
    _text("content"),
    _text("content_hash"),
    UniqueConstraint("key"),
)
"""One-off items that wait for, or stand on, an invoice of their subscription."""

pauses = _table(
    "pauses",
    Column("id", INT, primary_key=True),
    _text("key"),
    _text("subscription"),
    _int("start"),
    _int("at"),
    UniqueConstraint("key"),
)

resumptions = _table(
    "resumptions",
    Column("id", INT, primary_key=True),
    Column("pause", TEXT, ForeignKey("pauses.key"), nullable=False),
    _int("end"),
    _int("at"),
    UniqueConstraint("pause"),
)

statements = _table(
    "statements",
    Column("sequence", INT, primary_key=True, autoincrement=False),
    _text("number"),
    _text("key"),
    _text("partner"),
    _text("currency"),
    _int("total_minor"),
    _int("issued_at"),
    _text("content"),
    _text("content_hash"),
    _text("previous_hash"),
    UniqueConstraint("number"),
    UniqueConstraint("key"),
    UniqueConstraint("previous_hash"),
    Index(None, "partner"),
    Index(None, "issued_at"),
)
"""What was stated to partners."""

statement_lines = _table(
    "statement_lines",
    _int("statement", ForeignKey("statements.sequence")),
    _int("line"),
    _text("source"),
    _int("minor"),
    PrimaryKeyConstraint("statement", "line"),
    # No share is stated twice, whoever issues.
    UniqueConstraint("source"),
    rowid=False,
)
"""The lines inside `statements.content`, spread out for SQL; `source` is the line of a paper that is shared."""

publications = _table(
    "publications",
    Column("id", INT, primary_key=True),
    _text("gateway"),
    _text("subject"),
    _int("number"),
    _text("outcome"),
    _int("final"),
    _text("said"),
    _int("retry_after"),
    _int("at"),
    UniqueConstraint("gateway", "subject", "number"),
)
"""How far each subject has come at each gateway; `final` is 1 where nothing more is to be done unless a person asks."""

remote_names = _table(
    "remote_names",
    Column("id", INT, primary_key=True),
    _text("gateway"),
    _text("subject"),
    _text("part"),
    _text("name"),
    _int("at"),
    UniqueConstraint("gateway", "subject", "part"),
    Index(None, "gateway", "name"),
)
"""What a gateway calls what was made there."""

signals = _table(
    "signals",
    Column("id", INT, primary_key=True),
    _text("gateway"),
    _text("name"),
    _text("kind"),
    _int("occurred_at"),
    _text("content"),
    _int("at"),
    UniqueConstraint("gateway", "name"),
    Index(None, "gateway", "occurred_at"),
)
"""What a gateway told us. How far it has come in the book is in `publications`, as of any subject."""

rollups = _table(
    "rollups",
    Column("sequence", INT, primary_key=True, autoincrement=False),
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
    UniqueConstraint("meter", "start"),
    UniqueConstraint("previous_hash"),
)
"""Entries by which days took the place of windows' usage. `total` is text: a sum of many may be beyond 64 bits."""

rolled_days = _table(
    "rolled_days",
    Column("id", INT, primary_key=True),
    _int("rollup", ForeignKey("rollups.sequence")),
    _text("meter"),
    _int("first"),
    _int("last"),
    _int("end"),
    _int("windows"),
    _int("rows"),
    _text("completeness"),
    _text("digest"),
    _text("usage_digest"),
    UniqueConstraint("meter", "first"),
    Index(None, "rollup"),
)
"""The days inside `rollups.content`, spread out for SQL."""

rolled_windows = _table(
    "rolled_windows",
    _int("closing", ForeignKey("closings.id")),
    _int("day", ForeignKey("rolled_days.id")),
    PrimaryKeyConstraint("closing"),
    Index(None, "day"),
    rowid=False,
)
"""Which day each rolled-up window is part of. Rows of `usage` may be removed for these windows, and for no others."""

rolled_usage = _table(
    "rolled_usage",
    _int("day", ForeignKey("rolled_days.id")),
    _int("series", ForeignKey("series.id")),
    _int("quantity"),
    PrimaryKeyConstraint("day", "series"),
    rowid=False,
)
"""The rows of days, as `usage` has those of windows."""

accruals = _table(
    "accruals",
    Column("id", INT, primary_key=True),
    _text("subscription"),
    _text("card"),
    _int("period_start"),
    _int("quantity"),
    _text("amount"),
    _int("at"),
)
"""A projection: replaced as a whole, may be lost."""

ENTRIES = (
    series,
    closings,
    usage,
    adjustments,
    adjusted,
    holds,
    catalogues,
    subscriptions,
    cancellations,
    invoices,
    lines,
    alerts,
    notifications,
    deliveries,
    attempts,
    preferences,
    opened,
    wallet_grants,
    wallet_moves,
    wallet_thresholds,
    wallet_lows,
    sections,
    invoice_entries,
    credit_notes,
    credit_lines,
    items,
    pauses,
    resumptions,
    statements,
    statement_lines,
    publications,
    remote_names,
    signals,
    rollups,
    rolled_days,
    rolled_windows,
    rolled_usage,
)
"""Append-only: the database refuses to change or remove their rows; but for those of `usage` whose window is in
`rolled_windows`."""
