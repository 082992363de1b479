"""What a source gathered about one meter and one window, before anything is decided.

Values only. Times are whole milliseconds since the epoch, readings whole multiples of the meter's resolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rating.core.windows import Query, Usage


class Series(NamedTuple):
    """The samples of one series, by rising time. `units[i]` was read at `times[i]`."""

    labels: Mapping[str, str]
    times: Sequence[int]
    units: Sequence[int]


class Counts(NamedTuple):
    """How many series the source says there are, and how the window's reading sorted them."""

    all: int
    clean: int
    rebuilt: int
    """Dirty or born: read sample by sample."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Everything that decides one window.

    `series` holds the samples of every counter that needs rebuilding, those inside the window and those before it back
    to its base. `clean` holds the usage of all other counters, as exact differences of cumulative readings; a consumer
    may have several rows.
    """

    clean: Sequence[Usage] = ()
    clean_identities: int = 0
    largest: int = 0
    """The greatest cumulative reading among the clean counters."""
    clean_by_target: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    """What the clean counters of each target counted, by the values of its labels."""
    series: Sequence[Series] = ()
    starts: Sequence[Series] = ()
    """process_start_time_seconds of the targets of `series`; the units are milliseconds since the epoch."""
    up: Sequence[Series] = ()
    """`up` of the meter's targets from a little before the window to a little after it, in units of 1."""
    alive: Sequence[int] = ()
    """Instants between the same limits at which the source recorded any scrape at all, of whatever target."""
    sighted: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    """An instant before the window at which a target (its labels' values) was scraped successfully."""
    seen_from: int = 0
    """The earliest instant this source can answer for; what lies before it was somebody else's to bill."""
    counts: Counts | None = None
    """None when the source hands over raw samples only and there is nothing to add up."""
    warnings: tuple[str, ...] = ()
    """The source's own doubts about its answer. Any of them holds the window."""
    infos: tuple[str, ...] = ()
    queries: tuple[Query, ...] = ()
