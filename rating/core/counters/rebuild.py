"""What one counter counted in a window, rebuilt from its samples.

Usage is how far each sample raises the running maximum of its epoch, and the pair belongs to the window of its later
sample. Summed over an epoch that is simply its maximum before the window's end less its maximum before the window's
start: so windows telescope, and neither the order nor the gaps of replicas can raise a total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from rating.core.counters.epochs import Epoch, Processes, epochs, observers
from rating.core.counters.identities import Name
from rating.core.counters.lives import CLOCKS_APART, Sample
from rating.core.counters.readings import Series
from rating.core.meters import BirthPolicy, Lifetime, Meter

CLOCKS_DISAGREE = 5 * 60_000
"""Milliseconds by which a host's clock, which dates its process, may lag behind the source's, which dates samples."""


class Beginning(Enum):
    """Where an epoch begins that has no sample before the window."""

    RESET = "reset"
    """The counter was known and began again at zero."""
    BIRTH = "birth"
    """The counter is new and began at zero."""
    UNPROVEN = "unproven"
    """No sign of where it was before its first sample."""


class Rebuilt(NamedTuple):
    usage: int
    samples: int
    resets: int
    births: int
    unproven: int
    """Epochs whose beginning nothing proves; billed or not as the meter's policy for births says."""
    unseen: int
    """Estimate of the increments between the last samples of each life that ended and that end."""
    largest: int
    falls: int = 0
    """Resets that no process start explains."""
    stood: int = 0
    """The greatest reading that was the same before and after a restart of its process."""
    fell: bool = False
    """Whether a restart took it to a lower reading, as it should."""
    uncovered: int = 0
    """Of a gauge: milliseconds in which no sample spoke for it, though nobody saw it gone."""
    lowest: int = 0


def rebuild(
    meter: Meter,
    members: Sequence[tuple[Name, Series]],
    processes: Processes,
    sighted: Mapping[tuple[str, ...], int],
    siblings: Sequence[Sequence[tuple[Name, Series]]],
    *,
    start: int,
    end: int,
    seen_from: int,
) -> Rebuilt:
    """One identity's series, from its base on, over the window start <= t < end in milliseconds.

    Args:
        siblings: other identities of the same target, consumer and dimensions.
    """
    lives = _epochs(meter, members, processes, start, end)
    usage = resets = births = unproven = unseen = falls = 0
    for epoch in lives:
        before = max((sample.units for sample in epoch.samples if sample.time < start), default=None)
        if before is None:
            beginning = _beginning(epoch, lives, members, sighted, seen_from)
            if beginning is Beginning.BIRTH and any(_became(other, epoch, processes, meter) for other in siblings):
                beginning = Beginning.UNPROVEN
            match beginning:
                case Beginning.RESET:
                    resets += 1
                    falls += epoch.life > 0 or epoch.process is None
                    unseen += _unseen(epoch, lives)
                    before = 0
                case Beginning.BIRTH:
                    births += 1
                    before = 0
                case Beginning.UNPROVEN:
                    unproven += 1
                    before = 0 if meter.births is BirthPolicy.ZERO else epoch.samples[0].units
        usage += max(0, max(sample.units for sample in epoch.samples) - before)
    unseen += _left_behind(lives, members, processes, start, end)
    return Rebuilt(
        usage,
        sum(len(epoch.samples) for epoch in lives),
        resets,
        births,
        unproven,
        unseen,
        max((sample.units for epoch in lives for sample in epoch.samples), default=0),
        falls,
        *_through_restarts(lives, start),
    )


def _through_restarts(lives: Sequence[Epoch], start: int) -> tuple[int, bool]:
    """The greatest reading that a restart seen in the window left as it was, and whether one took it lower."""
    stood, fell = 0, False
    for before, after in pairwise(lives):
        if None in (before.process, after.process) or before.process == after.process:
            continue
        first, last = after.samples[0], before.samples[-1]
        if first.time >= start:
            fell = fell or first.units < last.units
            stood = max(stood, first.units) if first.units == last.units else stood
    return stood, fell


def _epochs(
    meter: Meter, members: Sequence[tuple[Name, Series]], processes: Processes, start: int, end: int
) -> list[Epoch]:
    sequences = []
    for sequence in observers([(name.replica, series) for name, series in members]):
        seen: list[tuple[int, int, int | None]] = []
        for time, units, member in sequence:
            if time >= end:
                break
            name = members[member][0]
            # A counter that outlives its process says nothing by its process's start.
            process = None if meter.lifetime is Lifetime.DURABLE else processes.at(name.target, name.replica, time)
            seen.append((time, units, process))
        sequences.append(seen)
    return epochs(sequences, start)


def _beginning(
    epoch: Epoch,
    lives: Sequence[Epoch],
    members: Sequence[tuple[Name, Series]],
    sighted: Mapping[tuple[str, ...], int],
    seen_from: int,
) -> Beginning:
    if epoch.life > 0:
        return Beginning.RESET
    first = epoch.samples[0]
    earlier = [
        (sample.time, other.process)
        for other in lives
        if other is not epoch
        for sample in other.samples
        if sample.time < first.time and not _ahead(sample, other, first, epoch)
    ]
    if earlier:
        # Known before in another process. A later process is a restart; one that was running all along and only now
        # shows this counter (two processes behind one address) may have been billed already.
        time, process = max(earlier, key=lambda seen: (seen[0], seen[1] or 0))
        if epoch.process is None or process is None:
            return Beginning.UNPROVEN
        later = epoch.process > process and epoch.process >= time - CLOCKS_DISAGREE
        return Beginning.RESET if later else Beginning.UNPROVEN
    if first.units == 0:
        return Beginning.BIRTH
    if epoch.process is not None and epoch.process >= seen_from:
        # Everything it ever counted lies inside the past we can see, and no earlier sample of it is there.
        return Beginning.BIRTH
    if any(sighted.get(name.target, first.time) < first.time for name, _ in members):
        # The target was scraped and did not have this counter yet.
        return Beginning.BIRTH
    return Beginning.UNPROVEN


def _ahead(sample: Sample, other: Epoch, first: Sample, epoch: Epoch) -> bool:
    """Whether a sample was stamped earlier although taken later: by another clock, and of a later process."""
    if epoch.process is None or other.process is None or other.process < epoch.process:
        return False
    return sample.observer != first.observer and first.time - sample.time < CLOCKS_APART


def _became(former: Sequence[tuple[Name, Series]], epoch: Epoch, processes: Processes, meter: Meter) -> bool:
    """Whether another identity of the same place ended, in the same process, where this newborn goes on.

    A counter does not leave its process. When one stops as another begins no lower, a label that the meter does not
    call volatile has changed, and the newborn's first value was billed under the old name.
    """
    interval = meter.scrape_interval // timedelta(milliseconds=1)
    first, last = epoch.samples[0], epoch.samples[-1]
    time, units, name = max((series.times[-1], series.units[-1], name) for name, series in former if len(series.times))
    ended = time < first.time or time <= first.time + interval < last.time - interval
    process = None if meter.lifetime is Lifetime.DURABLE else processes.at(name.target, name.replica, time)
    return ended and 0 < units <= max(first.units, last.units) and process == epoch.process and first.units > 0


def _unseen(epoch: Epoch, lives: Sequence[Epoch]) -> int:
    """The pace of the life before, over the time between its last sample and its end. Rounded up."""
    first = epoch.samples[0]
    before = [other for other in lives if other is not epoch and other.samples[0].time < first.time]
    if not before:
        return 0
    previous = max(before, key=lambda other: other.samples[-1].time)
    died = first.time
    if epoch.process is not None and epoch.life == 0:
        died = min(max(epoch.process, previous.samples[-1].time), first.time)
    return _until(died, previous)


def _left_behind(
    lives: Sequence[Epoch],
    members: Sequence[tuple[Name, Series]],
    processes: Processes,
    start: int,
    end: int,
) -> int:
    """What the last life may have counted unseen if a new process, noticed in this window, no longer has the counter.

    At least one: there is no knowing that it was none.
    """
    if not lives or lives[-1].process is None:
        return 0
    found = [processes.succeeded(name.target, lives[-1].process) for name, _ in members]
    noticed = min((time for time in found if time is not None), default=end)
    return max(1, _until(noticed, lives[-1])) if start <= noticed < end else 0


def _until(died: int, life: Epoch) -> int:
    """What a life may have counted from its last sample on, at its own pace. Rounded up."""
    first, last = life.samples[0], life.samples[-1]
    raised = max(sample.units for sample in life.samples) - first.units
    elapsed = last.time - first.time
    return -(-raised * max(0, died - last.time) // elapsed) if elapsed > 0 else 0
