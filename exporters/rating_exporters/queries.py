"""Queries and rows: counters of whatever answers questions, and a DB-API connection that counts by itself.

Decides that a query counts when the database has answered, and a row when it was handed over (or written, as the
database says). Leaves who asks to a callable, for a connection of a pool serves many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry

from .counters import CounterFactory, plain_counter
from .guard import Guard, named
from .vocabulary import ANONYMOUS, CONSUMER, QUERIES, ROWS, UNKNOWN

OUTCOMES = ("ok", "error")
DIRECTIONS = ("read", "written")


class QueryMetrics:
    """`queries_total{consumer_id,source,outcome}` and `query_rows_total{consumer_id,source,direction}`; `source` names
    the database, index or service that was asked, by the application's own word for it."""

    def __init__(
        self,
        registry: CollectorRegistry | None = REGISTRY,
        *,
        guard: Guard,
        counter: CounterFactory = plain_counter,
    ) -> None:
        self.guard = guard
        self._queries = counter(QUERIES, "Queries answered.", (CONSUMER, "source", "outcome"), registry, scale=1)
        self._rows = counter(ROWS, "Rows handed over or written.", (CONSUMER, "source", "direction"), registry, scale=1)

    def record(
        self, consumer: str | None, source: str, *, read: int = 0, written: int = 0, failed: bool = False
    ) -> None:
        """Count one query and its rows."""
        who = self._who(consumer)
        self._queries.labels(who, source, OUTCOMES[failed]).inc()
        self.record_rows(consumer, source, read=read, written=written)

    def _who(self, consumer: str | None) -> str:
        # UNKNOWN is what a rule may answer; anybody else who wears the brackets is made it.
        return self.guard.admit(QUERIES, CONSUMER, named(consumer, ANONYMOUS))

    def record_rows(self, consumer: str | None, source: str, *, read: int = 0, written: int = 0) -> None:
        """Count rows of a query that was counted already."""
        who = self._who(consumer)
        for direction, amount in zip(DIRECTIONS, (read, written), strict=True):
            if amount > 0:
                self._rows.labels(who, source, direction).inc(amount)


class CountedConnection:
    """A DB-API connection (sqlite3, psycopg, pymysql ...) whose cursors count. Everything else is the connection's own.

    `consumer()` is asked at each query, where it runs: a context variable of the request is the usual answer.
    """

    def __init__(
        self, connection: Any, metrics: QueryMetrics, consumer: Callable[[], str | None], source: str = "database"
    ) -> None:
        self._connection, self._metrics, self._consumer, self._source = connection, metrics, consumer, source

    def cursor(self, *arguments: Any, **options: Any) -> CountedCursor:
        return CountedCursor(
            self._connection.cursor(*arguments, **options), self._metrics, self._consumer, self._source
        )

    def execute(self, *arguments: Any, **options: Any) -> CountedCursor:
        """The short way that sqlite3 and psycopg have."""
        return self.cursor().execute(*arguments, **options)

    def __enter__(self) -> CountedConnection:
        self._connection.__enter__()
        return self

    def __exit__(self, *what: Any) -> Any:
        return self._connection.__exit__(*what)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class CountedCursor:
    """A cursor that counts what it answers."""

    def __init__(self, cursor: Any, metrics: QueryMetrics, consumer: Callable[[], str | None], source: str) -> None:
        self._cursor, self._metrics, self._ask, self._source = cursor, metrics, consumer, source
        self._who: str | None = None

    def execute(self, *arguments: Any, **options: Any) -> CountedCursor:
        return self._counted(self._cursor.execute, arguments, options)

    def executemany(self, *arguments: Any, **options: Any) -> CountedCursor:
        return self._counted(self._cursor.executemany, arguments, options)

    def _counted(self, run: Callable[..., Any], arguments: Sequence[Any], options: dict[str, Any]) -> CountedCursor:
        try:
            self._who = self._ask()
        except Exception:  # noqa: BLE001 - foreign code, and the query must go on
            self._who = UNKNOWN
        try:
            run(*arguments, **options)
        except BaseException:
            self._metrics.record(self._who, self._source, failed=True)
            raise
        # rowcount of a question is the driver's own affair (-1, or what it buffered): its rows count when fetched.
        written = 0 if self._cursor.description else max(self._cursor.rowcount, 0)
        self._metrics.record(self._who, self._source, written=written)
        return self

    def fetchone(self) -> Any:
        row = self._cursor.fetchone()
        self._read(row is not None)
        return row

    def fetchmany(self, *size: Any, **options: Any) -> Any:
        return self._fetched(self._cursor.fetchmany(*size, **options))

    def fetchall(self) -> Any:
        return self._fetched(self._cursor.fetchall())

    def _fetched(self, rows: Sequence[Any]) -> Sequence[Any]:
        self._read(len(rows))
        return rows

    def _read(self, count: int) -> None:
        self._metrics.record_rows(self._who, self._source, read=count)

    def __iter__(self) -> Iterator[Any]:
        rows: Iterable[Any] = self._cursor
        for row in rows:
            self._read(1)
            yield row

    def __enter__(self) -> CountedCursor:
        return self

    def __exit__(self, *what: Any) -> None:
        self._cursor.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)
