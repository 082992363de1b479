"""What every command shares: formats, tables, and reading times from flags. Prints nothing of its own."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

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
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([inert(row.get(column)) for column in columns] for row in rows)
        case Format.TABLE:
            table = Table(title=title or None, title_justify="left", header_style="bold")
            rows = list(rows)
            for column in columns:
                numeric = all(_is_number(row.get(column)) for row in rows)
                table.add_column(column, justify="right" if rows and numeric else "left", overflow="fold")
            for row in rows:
                table.add_row(*("" if row.get(column) is None else str(row.get(column)) for column in columns))
            console.print(table)


_NUMBER = re.compile(r"-?\d+(\.\d+)?%?\Z")


def _is_number(value: object) -> bool:
    return value is None or value == "" or bool(_NUMBER.match(str(value)))


def inert(value: object) -> object:
    """A cell no spreadsheet will run: text that begins like a formula gets an apostrophe; numbers stay numbers."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and not _NUMBER.match(value):
        return f"'{value}"
    return "" if value is None else value


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


def now() -> datetime:
    """The clock, read once at the edge; everything below is told the time."""
    return datetime.now(UTC)
