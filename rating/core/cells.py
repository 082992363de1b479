"""Cells of a table that a spreadsheet may open: text that it would run as a formula is made inert, numbers stay.

The one place that decides it, for every CSV this program writes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, the full-width forms included (OWASP, CSV injection)."""
NUMBER = re.compile(r"-?\d+(,\d{3})*(\.\d+)?%?\Z")


def inert(value: object) -> object:
    """A cell no spreadsheet will run: text that begins like a formula gets an apostrophe; numbers stay numbers."""
    if isinstance(value, str) and value.lstrip(" \u00a0\ufeff")[:1] in _FORMULA and value.strip(" "):
        return value if NUMBER.match(value) else f"'{value}"
    return "" if value is None else value


class _Text(Protocol):
    def write(self, text: str, /) -> object: ...


def write_csv(out: _Text, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write a header and the rows, every cell inert. Returns how many rows there were."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([inert(column) for column in columns])
    count = 0
    for row in rows:
        writer.writerow([inert(cell) for cell in row])
        count += 1
    return count
