"""Tables as files, streamed: CSV that no spreadsheet runs, and Parquet with typed columns.

A file appears under its name when it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from rating.core.cells import write_csv
from rating.errors import EdgeUnavailable
from rating.ports import Kind, Table

ROWS_AT_ONCE = 50_000


class CsvTables:
    """UTF-8, instants as ISO 8601 in UTC."""

    def write(self, table: Table, folder: Path) -> tuple[Path, int]:
        with _whole(folder / f"{table.name}.csv") as (file, part), part.open("w", encoding="utf-8", newline="") as out:
            count = write_csv(out, tuple(table.columns), (list(map(_cell, row)) for row in table.rows))
        return file, count


class ParquetTables:
    """Integers as int64, days and instants as their own types, everything else as text."""

    def write(self, table: Table, folder: Path) -> tuple[Path, int]:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise EdgeUnavailable("pyarrow is not installed; pip install 'rating-engine[parquet]'") from error
        kinds: dict[Kind, Callable[[], Any]] = {
            Kind.TEXT: pa.string,
            Kind.WHOLE: pa.int64,
            Kind.DAY: pa.date32,
            Kind.INSTANT: lambda: pa.timestamp("ms", tz="UTC"),
        }
        schema = pa.schema([(name, kinds[kind]()) for name, kind in table.columns.items()])
        count = 0
        with (
            _whole(folder / f"{table.name}.parquet") as (file, part),
            parquet.ParquetWriter(part, schema) as writer,
        ):
            while some := list(islice(table.rows, ROWS_AT_ONCE)):
                columns = [list(column) for column in zip(*some, strict=True)]
                arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
                count += len(some)
        return file, count


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


@contextmanager
def _whole(file: Path) -> Iterator[tuple[Path, Path]]:
    """The file and the one to write meanwhile."""
    part = file.with_name(f"{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield file, part
        os.replace(part, file)
    except OSError as error:
        raise EdgeUnavailable(f"{file} cannot be written: {error.strerror}; choose another --out") from error
    finally:
        part.unlink(missing_ok=True) if part.parent.exists() else None
