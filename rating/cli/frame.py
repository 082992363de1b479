"""What every command shares: formats, tables, and reading times from flags. Prints nothing of its own."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rating.core.cells import NUMBER, write_csv
from rating.core.invoices import Draft
from rating.errors import Finding, Severity
from rating.settings import Settings

console = Console(highlight=False, markup=False)
stderr = Console(stderr=True, highlight=False, markup=False)

DONE, FAILED, WRONG_INPUT, LOOK = 0, 1, 2, 3
"""Exit codes: 3 means done, but a person must look (held windows, contradictions)."""


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FORMAT = typer.Option(Format.TABLE, "--format", "-f", help="table for people, json or csv for programs.")


def settings_of(context: typer.Context) -> Settings:
    settings = context.obj
    assert isinstance(settings, Settings)
    return settings


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], format: Format, title: str = "") -> None:
    """Print rows in the asked format. Values should be text, integers or None; JSON keeps integers as numbers."""
    match format:
        case Format.JSON:
            json.dump(
                [{column: row.get(column) for column in columns} for row in rows],
                sys.stdout,
                indent=1,
                ensure_ascii=False,
            )
            sys.stdout.write("\n")
        case Format.CSV:
            write_csv(sys.stdout, columns, ([row.get(column) for column in columns] for row in rows))
        case Format.TABLE:
            table = Table(title=title or None, title_justify="left", header_style="bold", box=box.ROUNDED)
            rows = list(rows)
            for column in columns:
                numeric = all(_is_number(row.get(column)) for row in rows)
                table.add_column(column, justify="right" if rows and numeric else "left", overflow="fold")
            for row in rows:
                table.add_row(*("" if row.get(column) is None else str(row.get(column)) for column in columns))
            console.print(table)


def _is_number(value: object) -> bool:
    return value is None or value == "" or bool(NUMBER.match(str(value)))


def instant(text: str | None) -> datetime | None:
    """`2026-10-01`, `2026-10-01T06:00`, `...Z` or with an offset; UTC when none is given.

    Raises:
        typer.BadParameter: it is none of these.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a date or time; write 2026-10-01 or 2026-10-01T06:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


_DAYS = re.compile(r"(\d{4})(?:-(?:(\d{2})(?:-(\d{2}))?|Q([1-4])))?\Z")


def days_of(text: str | None) -> tuple[date, date] | None:
    """`2026`, `2026-Q4`, `2026-10` or `2026-10-15` as its first day and the day after its last.

    Raises:
        typer.BadParameter: it is none of these.
    """
    if text is None:
        return None
    parts = _DAYS.match(text)
    try:
        if parts is None:
            raise ValueError
        year, month, day, quarter = (int(part) if part else 0 for part in parts.groups())
        if day:
            return date(year, month, day), date(year, month, day) + timedelta(days=1)
        months = 1 if month else 3 if quarter else 12
        first = date(year, month or (3 * quarter - 2 if quarter else 1), 1)
        after, later = divmod(first.month - 1 + months, 12)
        return first, date(year + after, later + 1, 1)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a period; write 2026-10, 2026-Q4, 2026 or 2026-10-15") from error


def days_text(draft: Draft) -> str:
    """The billing period on the customer's calendar, last day included: `2026-10-01 to 2026-10-31`."""
    first, after = draft.days
    return f"{first} to {after - timedelta(days=1)}"


def now() -> datetime:
    """The clock, read once at the edge; everything below is told the time."""
    return datetime.now(UTC)


def warn(findings: Iterable[Finding]) -> None:
    """Findings that do not stop the command, one line each on stderr."""
    for finding in findings:
        stderr.print(str(finding), soft_wrap=True)


def must_look(findings: Iterable[Finding]) -> bool:
    """Is one of them more than a warning?"""
    return any(finding.severity is Severity.ERROR for finding in findings)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, gone when done; yields `progress(done, of)`. Shows nothing where stderr is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
