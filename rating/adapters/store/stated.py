"""Partners' statements in the tables: issued once, numbered without gaps, chained, no share stated twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from rating.adapters.store.bulk import insert_rows
from rating.adapters.store.engine import in_turn
from rating.adapters.store.tables import statement_lines, statements
from rating.core.canonical import read
from rating.core.checks import StatementLine, StatementRecord, statement_record
from rating.core.entries import genesis
from rating.core.payouts import SERIES, Payout, StatementDraft, StatementPaper, issue_statement, same_statement

_HEADS = tuple(column.name for column in statements.columns)
_LINES = tuple(column.name for column in statement_lines.columns)


def issue_all(connection: Connection, drafts: Sequence[StatementDraft], at: datetime) -> tuple[Payout, ...]:
    in_turn(connection)
    keys = [draft.key for draft in drafts]
    issued = {
        row.key: payout_of(row) for row in connection.execute(select(statements).where(statements.c.key.in_(keys)))
    }
    last = connection.execute(
        select(statements.c.sequence, statements.c.content_hash).order_by(statements.c.sequence.desc()).limit(1)
    ).one_or_none()
    sequence, previous = (0, genesis(SERIES)) if last is None else last
    records = []
    for draft in drafts:
        if draft.key in issued:
            same_statement(draft, issued[draft.key])
            continue
        sequence += 1
        payout, content = issue_statement(draft, sequence, previous, at)
        issued[draft.key] = payout
        records.append(statement_record(sequence, payout, content))
        previous = payout.content_hash
    insert_rows(connection, statements, _HEADS, (one[: len(_HEADS)] for one in records))
    insert_rows(connection, statement_lines, _LINES, ((one.sequence, *line) for one in records for line in one.lines))
    return tuple(issued[key] for key in keys)


def select_statements(connection: Connection, partner: str | None) -> tuple[Payout, ...]:
    statement = select(statements).order_by(statements.c.sequence)
    if partner is not None:
        statement = statement.where(statements.c.partner == partner)
    return tuple(map(payout_of, connection.execute(statement)))


def numbered(connection: Connection, number: str) -> Payout | None:
    row = connection.execute(select(statements).where(statements.c.number == number)).one_or_none()
    return None if row is None else payout_of(row)


def records(connection: Connection) -> Iterator[StatementRecord]:
    """Every statement exactly as it is stored, in order of sequence."""
    parts: dict[int, list[StatementLine]] = {}
    order = (statement_lines.c.statement, statement_lines.c.line)
    for statement, *line in connection.execute(select(statement_lines).order_by(*order)):
        parts.setdefault(statement, []).append(StatementLine(*line))
    for row in connection.execute(select(statements).order_by(statements.c.sequence)):
        yield StatementRecord._make((*row, tuple(parts.get(row.sequence, ()))))


def payout_of(row: Row[Any]) -> Payout:
    paper = read(StatementPaper, row.content)
    return Payout(paper.number, paper.issued_at, paper.draft, row.content_hash, paper.previous_hash)
