"""Sorts the counters of a window by their readings: which are clean, and which must be rebuilt.

A clean counter has a base just before the window, no fall in value and no new process since that base: what it counted
is one subtraction. Any doubt makes a counter dirty; a dirty one costs time, never correctness.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rating.core.counters.numbers import EXACT
from rating.core.counters.readings import Clean
from rating.core.counters.roster import Integers, Roster

Mask = NDArray[Any]


class Column(NamedTuple):
    """The last reading of each of some series at an instant."""

    numbers: Integers
    """Of the series in the roster; each once."""
    units: Integers

    @classmethod
    def empty(cls) -> Column:
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

    def where(self, mask: Mask) -> Column:
        return Column(self.numbers[mask], self.units[mask])

    def joined(self, other: Column) -> Column:
        """These readings, and those of the other series among `other`."""
        more = other.where(~np.isin(other.numbers, self.numbers))
        return Column(*(np.concatenate(pair) for pair in zip(self, more, strict=True)))


@dataclass(frozen=True, slots=True)
class Partition:
    clean: Clean
    clean_identities: int
    clean_series: int
    largest: int
    by_target: Mapping[tuple[str, ...], int]
    """What the clean counters of each target counted."""
    dirty: Integers
    """Series with a sample in the window, and a base of their identity in reach, to be rebuilt from samples."""
    born: Integers
    """Series with a sample in the window whose identities have no base in reach."""
    departed: Integers
    """Series that have a base and no sample in the window, and may be the former selves of newborns."""


def partition(
    roster: Roster,
    ends: Column,
    bases: Column,
    fallen: Integers,
    restarted: Collection[tuple[str, ...]],
) -> Partition:
    """Sort the series with a sample in the window.

    Args:
        ends: the last reading inside the window of each series.
        bases: the last reading before the window, within the first rung of the ladder.
        fallen: series with a fall in value since the base.
        restarted: targets whose process changed since the base.
    """
    identity, places = roster.identity, roster.place
    ours, before = identity[ends.numbers], identity[bases.numbers]
    based = np.isin(ends.numbers, bases.numbers, assume_unique=True)
    changed = roster.marked(restarted)
    doubtful = np.isin(ends.numbers, fallen) | changed[roster.target_of[ends.numbers]]
    # Beyond what float64 can count: the window will be held, with the reading itself for a reason.
    doubtful |= ends.units >= EXACT

    size = roster.identities
    dirty = _marked(size, ours[doubtful])
    # A replica that just began to see a counter known to another one: rebuilt, to be sure of its epoch.
    unbased = _marked(size, ours[~based])
    best = _marked(size, ours[based])
    # Seen before the window and not in it: nothing to count, unless its identity goes on elsewhere, where this
    # reading may be the running maximum.
    gone = ~np.isin(bases.numbers, ends.numbers, assume_unique=True)
    dirty |= _marked(size, before[gone]) & best
    known = _marked(size, before)
    born = unbased & ~best & ~known
    dirty |= unbased & ~born
    dirty &= ~born
    departed = np.zeros(len(bases.numbers), dtype=bool)
    if born.any():
        # A newborn may be an old counter under a new label: whoever could be its former self is read sample by sample.
        near = _marked(roster.places, places[ends.numbers[born[ours]]])
        dirty |= _marked(size, ours[near[places[ends.numbers]]]) & best
        departed = ~best[before] & ~unbased[before] & near[places[bases.numbers]]

    clean = (best & ~dirty)[ours]
    mine = ours[clean]
    highest = np.zeros(size, dtype=np.int64)
    np.maximum.at(highest, mine, ends.units[clean])
    lowest = np.zeros(size, dtype=np.int64)
    np.maximum.at(lowest, before, bases.units)
    # One series speaks for all of its identity, which is one counter.
    speaker = np.full(size, -1, dtype=np.int64)
    speaker[mine] = ends.numbers[clean]
    identities = np.flatnonzero(speaker >= 0)
    counted = highest[identities] - lowest[identities]
    rose = counted > 0
    speakers, counted = speaker[identities[rose]], counted[rose]
    return Partition(
        Clean(roster.ledger, roster.account[speakers], counted),
        len(identities),
        int(clean.sum()),
        int(ends.units[clean].max(initial=0)),
        _by_target(roster, speakers, counted),
        ends.numbers[dirty[ours]],
        ends.numbers[born[ours]],
        bases.numbers[departed],
    )


def _marked(size: int, numbers: Integers) -> Mask:
    mask = np.zeros(size, dtype=bool)
    mask[numbers] = True
    return mask


def _by_target(roster: Roster, speakers: Integers, counted: Integers) -> dict[tuple[str, ...], int]:
    targets = roster.target_of[speakers]
    totals: dict[tuple[str, ...], int] = {}
    order = np.argsort(targets, kind="stable")
    targets, counted = targets[order], counted[order]
    edges = np.flatnonzero(np.diff(targets, prepend=-1))
    for target, part in zip(targets[edges].tolist(), np.split(counted, edges[1:]), strict=False):
        # Each is below EXACT: only a thousand of them could leave 64 bits.
        totals[roster.targets[target]] = sum(part.tolist())
    return totals
