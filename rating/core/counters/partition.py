"""Sorts the counters of a window by three vectors of the source: which are clean, and which must be rebuilt.

A clean counter has a base just before the window, no fall in value and no new process since that base: what it counted
is one subtraction. Any doubt makes a counter dirty; a dirty one costs time, never correctness.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rating.core.counters.identities import Name
from rating.core.windows import Usage


class Reading(NamedTuple):
    """The last reading of one series at an instant."""

    name: Name
    units: int


@dataclass(frozen=True, slots=True)
class Partition:
    clean: Sequence[Usage]
    clean_identities: int
    clean_series: int
    largest: int
    by_target: Mapping[tuple[str, ...], int]
    """What the clean counters of each target counted."""
    dirty: Collection[tuple[tuple[str, str], ...]]
    """Identities with a base in reach, to be rebuilt from samples."""
    born: Collection[tuple[tuple[str, str], ...]]
    """Identities without a base in reach."""
    departed: Sequence[Reading]
    """Bases of dirty identities that have no sample in the window."""


def partition(
    ends: Mapping[int, Reading],
    bases: Mapping[int, Reading],
    fallen: Collection[int],
    restarted: Collection[tuple[str, ...]],
) -> Partition:
    """Sort the series with a sample in the window.

    Args:
        ends: the last reading inside the window of each series, by a number for the series.
        bases: the last reading before the window, within the first rung of the ladder, by the same keys.
        fallen: keys of series with a fall in value since the base.
        restarted: targets whose process changed since the base.
    """
    best: dict[tuple[tuple[str, str], ...], tuple[Name, int, int, int]] = {}
    dirty: set[tuple[tuple[str, str], ...]] = set()
    unbased: set[tuple[tuple[str, str], ...]] = set()
    for key, (name, units) in ends.items():
        identity = name.identity
        if key in fallen or name.target in restarted:
            dirty.add(identity)
        base = bases.get(key)
        if base is None:
            # A replica that just began to see a counter known to another one: rebuilt, to be sure of its epoch.
            unbased.add(identity)
            continue
        before = best.get(identity)
        if before is None:
            best[identity] = (name, units, base.units, 1)
        else:
            best[identity] = (name, max(units, before[1]), max(base.units, before[2]), before[3] + 1)
    for key, reading in bases.items():
        # Seen before the window and not in it: nothing to count, unless its identity goes on elsewhere, where this
        # reading may be the running maximum.
        if key not in ends and reading.name.identity in best:
            dirty.add(reading.name.identity)
    born = unbased - best.keys()
    if born:
        known = {reading.name.identity for reading in bases.values()}
        dirty |= born & known
        born -= known
    dirty |= unbased - born
    dirty -= born
    departed: list[Reading] = []
    if born:
        # A newborn may be an old counter under a new label: whoever could be its former self is read sample by sample.
        places = {_place(name) for name, _ in ends.values() if name.identity in born}
        dirty |= {identity for identity, (name, *_) in best.items() if _place(name) in places}
        departed = [
            reading
            for reading in bases.values()
            if reading.name.identity not in best
            and reading.name.identity not in unbased
            and _place(reading.name) in places
        ]
        dirty |= {reading.name.identity for reading in departed}
    clean, identities, series, largest = [], 0, 0, 0
    by_target: dict[tuple[str, ...], int] = {}
    for identity, (name, units, base_units, members) in best.items():
        if identity in dirty:
            continue
        identities += 1
        series += members
        largest = max(largest, units)
        if units > base_units:
            clean.append(Usage(name.consumer, name.dimensions, units - base_units))
            by_target[name.target] = by_target.get(name.target, 0) + units - base_units
    return Partition(clean, identities, series, largest, by_target, dirty, born, departed)


def _place(name: Name) -> tuple[object, ...]:
    return name.target, name.consumer, name.dimensions
