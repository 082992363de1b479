"""Inserting on either engine: one row unless it is there, or many in one statement. Knows no entries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Table,
    Text,
    any_,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")

ROWS_AT_ONCE = 50_000
_PARAMETERS = 999
"""In one statement: what every SQLite takes. Many rows in each are less than half the work of a row in each."""


def insert_new(connection: Connection, table: Table, entry: Mapping[str, Any], key: Column[T]) -> T | None:
    """Insert one row and return its key; None when a unique constraint says that it is there already."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(entry).on_conflict_do_nothing().returning(key)
    return connection.execute(statement).scalar()


def insert_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]], *, keep: bool = False
) -> None:
    """Insert tuples in the order of `columns`. With `keep`, rows whose key exists already are left as they are."""
    quote = connection.dialect.identifier_preparer.quote
    into = f"INSERT INTO {quote(table.name)} ({', '.join(quote(column) for column in columns)})"
    conflict = " ON CONFLICT DO NOTHING" if keep else ""
    if connection.dialect.name == "sqlite":
        row = f"({', '.join('?' for _ in columns)})"
        for many in batched(rows, _PARAMETERS // len(columns)):
            statement = f"{into} VALUES {', '.join([row] * len(many))}{conflict}"
            connection.exec_driver_sql(statement, tuple(chain.from_iterable(many)))
        return
    # One array per column, written as text: a batch is one statement of a few large parameters.
    types = ["bigint" if isinstance(table.c[column].type, BigInteger) else "text" for column in columns]
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    statement = f"{into} SELECT * FROM unnest({arrays}){conflict}"
    for some in batched(rows, ROWS_AT_ONCE):
        connection.exec_driver_sql(statement, tuple(_array(column) for column in zip(*some, strict=True)))


def _array(column: Sequence[Any]) -> str:
    """A PostgreSQL array of integers or text, in its own spelling."""
    if isinstance(column[0], int):
        return f"{{{','.join(map(str, column))}}}"
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in column)
    return f"""{{{",".join(f'"{text}"' for text in quoted)}}}"""


def among(connection: Connection, column: Column[str], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column is one of these texts, all one parameter: a long IN takes longer to write than to run."""
    if connection.dialect.name == "sqlite":
        return column.in_(select(func.json_each(json.dumps(list(values))).table_valued("value").c.value))
    return column == any_(cast(literal(list(values), postgresql.ARRAY(Text)), postgresql.ARRAY(Text)))


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items, in order."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
