"""What all counters of one source come to that were rebuilt from their samples: sums, and who stood out.

Decides nothing about the window: what the sums mean for it is `decide`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rating.core.counters.accounts import Account
from rating.core.counters.identities import Name
from rating.core.counters.readings import Clean
from rating.core.counters.rebuild import Rebuilt
from rating.core.counters.roster import Integers
from rating.core.counters.singles import Singles
from rating.core.counters.traces import Traces

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    accounts: Sequence[tuple[Account, int]] = ()
    """What each counter counted, by its labels."""
    columns: Clean | None = None
    """What further ones did."""
    targets: Mapping[Place, int] = field(default_factory=dict)
    """What the counters of each target counted."""
    identities: int = 0
    """Counters with a sample."""
    samples: int = 0
    resets: int = 0
    births: int = 0
    unproven: int = 0
    unseen: int = 0
    largest: int = 0
    falls: int = 0
    uncovered: int = 0
    lowest: int = 0
    stood: Mapping[Place, int] = field(default_factory=dict)
    """The greatest reading at each target that a restart left as it was."""
    fell: frozenset[Place] = frozenset()
    """Targets where a restart took one lower."""


def tally(rebuilt: Iterable[tuple[Name, Rebuilt]]) -> Tally:
    accounts: list[tuple[Account, int]] = []
    targets: dict[Place, int] = {}
    stood: dict[Place, int] = {}
    fell = set()
    identities = samples = resets = births = unproven = unseen = largest = falls = uncovered = lowest = 0
    for name, one in rebuilt:
        accounts.append(((name.consumer, name.dimensions), one.usage))
        targets[name.target] = targets.get(name.target, 0) + one.usage
        stood[name.target] = max(stood.get(name.target, 0), one.stood)
        if one.fell:
            fell.add(name.target)
        identities += one.samples > 0
        samples += one.samples
        resets += one.resets
        births += one.births
        unproven += one.unproven
        unseen += one.unseen
        largest = max(largest, one.largest)
        falls += one.falls
        uncovered += one.uncovered
        lowest = min(lowest, one.lowest)
    return Tally(
        accounts,
        None,
        targets,
        identities,
        samples,
        resets,
        births,
        unproven,
        unseen,
        largest,
        falls,
        uncovered,
        lowest,
        stood,
        frozenset(fell),
    )


def tally_columns(traces: Traces, found: Singles) -> Tally:
    """Of the traces that are settled."""
    roster, mine = traces.roster, found.settled
    numbers = traces.samples.numbers[mine]
    target = roster.target_of[numbers]
    usage, stood = found.usage[mine], found.stood[mine]
    fell = np.unique(target[found.fell[mine]]).tolist()
    return Tally(
        (),
        Clean(roster.ledger, roster.account[numbers], usage),
        _by(roster.targets, target, usage, np.add),
        int(mine.sum()),
        _sum(found.samples[mine]),
        _sum(found.resets[mine]),
        _sum(found.births[mine]),
        _sum(found.unproven[mine]),
        _sum(found.unseen[mine]),
        int(found.largest[mine].max(initial=0)),
        _sum(found.falls[mine]),
        stood=_by(roster.targets, target, stood, np.maximum),
        fell=frozenset(roster.targets[number] for number in fell),
    )


def added(one: Tally, other: Tally) -> Tally:
    """Both together; only one of them may have columns."""
    targets, stood = dict(one.targets), dict(one.stood)
    for target, usage in other.targets.items():
        targets[target] = targets.get(target, 0) + usage
    for target, units in other.stood.items():
        stood[target] = max(stood.get(target, 0), units)
    return Tally(
        [*one.accounts, *other.accounts],
        one.columns or other.columns,
        targets,
        one.identities + other.identities,
        one.samples + other.samples,
        one.resets + other.resets,
        one.births + other.births,
        one.unproven + other.unproven,
        one.unseen + other.unseen,
        max(one.largest, other.largest),
        one.falls + other.falls,
        one.uncovered + other.uncovered,
        min(one.lowest, other.lowest),
        stood,
        one.fell | other.fell,
    )


def _sum(column: Integers) -> int:
    # Each is below 2^53 or already one of Python's integers: only a thousand of them could leave 64 bits.
    return sum(column.tolist())


def _by(targets: Sequence[Place], of: Integers, amounts: Integers, joining: Any) -> dict[Place, int]:
    """Amounts joined by target."""
    numbers, index = np.unique(of, return_inverse=True)
    totals: NDArray[Any] = np.zeros(len(numbers), dtype=object)
    joining.at(totals, index, amounts.astype(object))
    return {targets[number]: total for number, total in zip(numbers.tolist(), totals.tolist(), strict=True)}
