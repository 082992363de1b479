"""What counters counted that one observer saw and nobody else, all of them at once: the same as `rebuild` of each.

Leaves alone what takes more than that: processes that come back, clocks that disagree, a newborn that may be a counter
under its former name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rating.core.counters.epochs import Processes
from rating.core.counters.rebuild import CLOCKS_DISAGREE
from rating.core.counters.roster import Integers
from rating.core.counters.thinning import first_at
from rating.core.counters.traces import Traces
from rating.core.meters import BirthPolicy, Lifetime, Meter

Mask = NDArray[Any]
_NEVER = np.iinfo(np.int64).max


class Singles(NamedTuple):
    """Of each trace what `Rebuilt` says of one counter, as columns; of those not `settled` nothing."""

    settled: Mask
    usage: Integers
    samples: Integers
    resets: Integers
    births: Integers
    unproven: Integers
    unseen: Integers
    """Python's integers where 64 bits do not do."""
    largest: Integers
    falls: Integers
    stood: Integers
    fell: Mask


def singles(
    meter: Meter,
    traces: Traces,
    processes: Processes,
    sighted: Mapping[tuple[str, ...], int],
    *,
    start: int,
    end: int,
    seen_from: int,
) -> Singles:
    """Every trace that is the only one of its identity, from its base on, over start <= t < end in milliseconds."""
    samples = traces.samples
    numbers, times, units = samples.numbers, samples.times, samples.values
    size = len(numbers)
    sizes = np.diff(samples.bounds)
    trace = np.repeat(np.arange(size), sizes)
    process, known = _processes(meter, traces, processes, trace)

    first = np.zeros(len(times), dtype=bool)
    first[samples.low[sizes > 0]] = True
    inner = ~first
    back = np.zeros(len(times), dtype=bool)
    back[1:] = inner[1:] & ((times[1:] <= times[:-1]) | (process[1:] < process[:-1]))
    back |= times >= end
    changed, fallen = np.zeros((2, len(times)), dtype=bool)
    changed[1:] = inner[1:] & (process[1:] != process[:-1])
    fallen[1:] = inner[1:] & ~changed[1:] & (units[1:] < units[:-1])
    settled = (sizes > 0) & (np.bincount(traces.roster.identity[numbers])[traces.roster.identity[numbers]] == 1)
    settled[trace[back]] = False

    epochs = _Epochs(times, units, process, known, trace, np.flatnonzero(first | changed | fallen))
    begins, of = epochs.begins, epochs.trace
    without_base = times[begins] >= start
    before = np.where(without_base, 0, units[first_at(times, begins, epochs.ends, start) - 1])
    new, restart, fall = (without_base & mask[begins] for mask in (first, changed, fallen))
    proven = restart.copy()
    proven[restart] = process[begins[restart]] >= times[begins[restart] - 1] - CLOCKS_DISAGREE
    reset = fall | proven
    born, open_ = _births(meter, traces, epochs, new, sighted, seen_from)
    settled[of[open_]] = False
    unproven = without_base & ~reset & ~born
    if meter.births is not BirthPolicy.ZERO:
        before = np.where(unproven, units[begins], before)
    counted = np.maximum(units[epochs.ends - 1] - before, 0)
    died = times[begins].copy()
    died[restart] = np.minimum(np.maximum(process[begins[restart]], times[begins[restart] - 1]), died[restart])
    earlier = np.flatnonzero(reset)
    unseen = _sums(size, of[earlier], epochs.until(earlier - 1, died[earlier]))
    last = np.searchsorted(of, np.arange(size), side="right") - 1
    unseen = unseen + _left_behind(traces, processes, epochs, last, sizes > 0, start, end)

    same = without_base & changed[begins] & known[of]
    at = begins[same]
    stood, fell = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=bool)
    np.maximum.at(stood, of[same], np.where(units[at] == units[at - 1], units[at], 0))
    fell[of[same][units[at] < units[at - 1]]] = True
    largest = np.zeros(size, dtype=np.int64)
    np.maximum.at(largest, trace, units)
    return Singles(
        settled,
        _sums(size, of, counted),
        sizes,
        np.bincount(of[reset], minlength=size),
        np.bincount(of[born], minlength=size),
        np.bincount(of[unproven], minlength=size),
        unseen,
        largest,
        np.bincount(of[fall], minlength=size),
        stood,
        fell,
    )


class _Epochs:
    """The lives of all traces, one after the other, by the places of their samples."""

    def __init__(
        self, times: Integers, units: Integers, process: Integers, known: Mask, trace: Integers, begins: Integers
    ) -> None:
        self.times, self.units, self.process, self.known = times, units, process, known
        self.begins, self.ends = begins, np.append(begins, len(times))[1:]
        self.trace = trace[begins]

    def until(self, which: Integers, died: Integers) -> Integers:
        """What these lives may have counted from their last samples on, at their own pace. Rounded up."""
        first, last = self.begins[which], self.ends[which] - 1
        raised, elapsed = self.units[last] - self.units[first], self.times[last] - self.times[first]
        silent = np.maximum(died - self.times[last], 0)
        if int(raised.max(initial=0)) * int(silent.max(initial=0)) >= 1 << 62:
            raised = raised.astype(object)
        return np.where(elapsed > 0, -(-raised * silent // np.maximum(elapsed, 1)), 0)


def _processes(meter: Meter, traces: Traces, processes: Processes, trace: Integers) -> tuple[Integers, Mask]:
    """Which process stood behind each sample, and of which traces that is known; -1 where it is not."""
    roster, samples = traces.roster, traces.samples
    size = len(samples.numbers)
    if meter.lifetime is Lifetime.DURABLE:
        return np.full(len(samples.times), -1, dtype=np.int64), np.zeros(size, dtype=bool)
    observers = len(roster.replicas)
    behind, of = np.unique(
        roster.target_of[samples.numbers] * observers + roster.replica[samples.numbers], return_inverse=True
    )
    columns = [
        processes.column(roster.targets[number // observers], roster.replicas[number % observers])
        for number in behind.tolist()
    ]
    bounds = np.cumsum([0, *(len(column[0]) for column in columns)])
    seen = np.array([time for column in columns for time in column[0]], dtype=np.int64)
    starts = np.array([start for column in columns for start in column[1]], dtype=np.int64)
    low, high = bounds[of], bounds[of + 1]
    known = high > low
    found = np.full(len(samples.times), -1, dtype=np.int64)
    mine = known[trace]
    low, high = low[trace[mine]], high[trace[mine]]
    found[mine] = starts[np.maximum(first_at(seen, low, high, samples.times[mine] + 1) - 1, low)]
    return found, known


def _births(
    meter: Meter,
    traces: Traces,
    epochs: _Epochs,
    new: Mask,
    sighted: Mapping[tuple[str, ...], int],
    seen_from: int,
) -> tuple[Mask, Mask]:
    """Which of the epochs that are `new` began at zero inside the past we can see, and of which this stays open."""
    roster, samples = traces.roster, traces.samples
    times, units = epochs.times[epochs.begins], epochs.units[epochs.begins]
    scraped = np.full(len(roster.targets), _NEVER, dtype=np.int64)
    targets = np.unique(roster.target_of[samples.numbers])
    scraped[targets] = [sighted.get(roster.targets[number], _NEVER) for number in targets.tolist()]
    young = epochs.known[epochs.trace] & (epochs.process[epochs.begins] >= seen_from)
    seen_without = scraped[roster.target_of[samples.numbers]][epochs.trace] < times
    born = new & ((units == 0) | young | seen_without)
    # A counter of the same place that ended no later may have gone on under this name: one by one, then.
    interval = meter.scrape_interval // timedelta(milliseconds=1)
    place = roster.place[samples.numbers]
    ended = np.full(roster.places, _NEVER, dtype=np.int64)
    some = samples.high > samples.low
    np.minimum.at(ended, place[some], epochs.times[samples.high[some] - 1])
    shared = np.bincount(place, minlength=roster.places) > 1
    own = place[epochs.trace]
    return born, born & (units > 0) & shared[own] & (ended[own] <= times + interval)


def _left_behind(
    traces: Traces, processes: Processes, epochs: _Epochs, last: Integers, some: Mask, start: int, end: int
) -> Integers:
    """What the last lives may have counted unseen where a new process, noticed in the window, no longer has them."""
    roster = traces.roster
    found = np.zeros(len(last), dtype=np.int64)
    at = np.flatnonzero(some & epochs.known)
    target, process = roster.target_of[traces.samples.numbers[at]].tolist(), epochs.process[epochs.begins[last[at]]]
    pairs = list(zip(target, process.tolist(), strict=True))
    noticed = {pair: processes.succeeded(roster.targets[pair[0]], pair[1]) for pair in set(pairs)}
    times = np.array([end if (time := noticed[pair]) is None else time for pair in pairs], dtype=np.int64)
    inside = (start <= times) & (times < end)
    unseen = np.maximum(epochs.until(last[at[inside]], times[inside]), 1)
    if unseen.dtype == object:
        found = found.astype(object)
    found[at[inside]] = unseen
    return found


def _sums(size: int, of: Integers, amounts: Integers) -> Integers:
    wide = len(amounts) * int(amounts.max(initial=0)) >= 1 << 62
    total = np.zeros(size, dtype=object if wide else np.int64)
    np.add.at(total, of, amounts.astype(object) if wide else amounts)
    return total.astype(np.int64) if wide and int(total.max()) < 1 << 62 else total
