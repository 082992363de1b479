"""Windows as lines of an archive: JSON, one window a line, its usage spelled exactly as its digest was taken of it.

    {"meter":"search","start":1785585600,"end":1785589200,"usage":[["c42",["/search"],118]]}

SHA-256 of the text after `"usage":`, without the last brace, is the usage digest that the book keeps of the window.
Starts and ends are seconds since the epoch, quantities are in the meter's resolution.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rating.core.canonical import digest
from rating.core.periods import Period, from_seconds, seconds
from rating.core.windows import Usage

_USAGE = ',"usage":'


@dataclass(frozen=True, slots=True)
class ArchivedWindow:
    """One window of an archive. Its usage is read only when it is asked for."""

    meter: str
    window: Period
    text: str
    """The usage as JSON."""

    @property
    def digest(self) -> str:
        return digest(self.text)

    @property
    def usage(self) -> tuple[Usage, ...]:
        return tuple(Usage(consumer, tuple(values), quantity) for consumer, values, quantity in json.loads(self.text))

    def names(self, consumer: str) -> bool:
        """Whether its usage may have this consumer: false is certain."""
        return json.dumps(consumer, ensure_ascii=False) in self.text


def archived(meter: str, window: Period, usage: Sequence[Usage]) -> ArchivedWindow:
    return ArchivedWindow(meter, window, json.dumps(usage, separators=(",", ":"), ensure_ascii=False))


def line_of(one: ArchivedWindow) -> str:
    """With its end of line."""
    head = json.dumps(
        {"meter": one.meter, "start": seconds(one.window.start), "end": seconds(one.window.end)},
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return f"{head[:-1]}{_USAGE}{one.text}}}\n"


def read_line(line: str) -> ArchivedWindow:
    """Raises:
    ValueError: it is no line of an archive.
    """
    # Inside the head quotes are escaped, so this can only be where the usage begins.
    head, found, rest = line.partition(_USAGE)
    if not found or not rest.endswith("}\n"):
        raise ValueError(f"{line[:80]!r} is no window of an archive")
    fields = json.loads(head + "}")
    return ArchivedWindow(
        fields["meter"], Period(from_seconds(fields["start"]), from_seconds(fields["end"])), rest[:-2]
    )
