"""Counters whose totals outlive the process: killed and restarted, they go on from where they were.

A directory holds one file per *slot*. Each process claims the first free slot by a file lock and adds only to its own;
any process can expose the sum over all slots. So several workers behind one port are one counter, a restarted worker
takes up a slot that a dead one left, and there are never more files than there were workers at one time.

What is promised, on a local file system:
* Process crash (SIGKILL included): every `inc` that returned is kept. The pages belong to the kernel by then.
* Machine crash: everything a scrape has shown is kept, for `collect` reads, then syncs all slots, then answers. A total
  may lose what came after that scrape, and never falls below what Prometheus saw: a fall would be billed as a reset.
* Damage is found at start and refused (DamagedStore), never skipped: a sum with a slot missing would be billed again.
The totals belong together: hand over or remove the whole directory, never a single file.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from threading import RLock

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from .durable_counter import CLOSED, FORKED, DurableCounter
from .records import LIMIT, Key, Words, decoded
from .slots import SUFFIX, Slot, SlotReader


class DurableStore:
    """The counters kept in one directory. `clock` gives Unix seconds, for created timestamps only.

    `sync=False` gives up the promise about machine crashes (on tmpfs it is worth nothing anyway).
    Raises DamagedStore when any file in the directory fails its checks, OSError when it cannot be made.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        registry: CollectorRegistry | None = REGISTRY,
        *,
        sync: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.registry = registry
        self._sync = sync
        self._clock = clock
        self._lock = RLock()
        self._counters: dict[str, DurableCounter] = {}
        self._readers: dict[str, SlotReader] = {}
        self._cells: dict[tuple[str, tuple[str, ...], int], dict[tuple[str, ...], Cells]] = {}
        self._own: dict[tuple[str, tuple[str, ...], int, tuple[str, ...]], tuple[Words, int]] = {}
        self._slot: Slot | None = None
        self._closed = False
        self._claim()
        self._refresh(thorough=True)
        if registry is not None:
            registry.register(self)
        _stores.add(self)
        _watch_forks()

    def counter(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str] = (),
        registry: CollectorRegistry | None = None,
        *,
        scale: int = 1,
    ) -> DurableCounter:
        """A counter kept here. `scale` units make 1: totals are whole numbers of 1/scale (1000 for milliseconds).

        `registry` is there so that this is a `CounterFactory`; the store itself is what is registered.
        """
        family = name.removesuffix("_total")
        with self._lock:
            if family in self._counters:
                raise ValueError(f"{self.directory}: counter {name} exists already")
            counter = DurableCounter(self, family, documentation, tuple(labelnames), scale)
            self._counters[family] = counter
            if self.registry is not None:
                self.registry.unregister(self)
                try:
                    self.registry.register(self)  # anew, for the registry to see the new name and refuse a double
                except ValueError:
                    del self._counters[family]
                    self.registry.register(self)
                    raise
        return counter

    def describe(self) -> Iterable[Metric]:
        """The families by name only, for the registry."""
        return [Metric(counter.name, counter.documentation, "counter") for counter in self._counters.values()]

    def collect(self) -> Iterable[Metric]:
        """Every total, summed over the slots. What is yielded is on the disk."""
        families = []
        for counter, totals in self.totals():
            family = CounterMetricFamily(counter.name, counter.documentation, labels=counter.labelnames)
            for labelvalues, (units, created_ms) in totals.items():
                family.add_metric(labelvalues, counter.value(units), created=created_ms / 1000)
            families.append(family)
        return families

    def totals(self) -> list[tuple[DurableCounter, dict[tuple[str, ...], tuple[int, int]]]]:
        """Per counter and label values: units and created timestamp (ms). Reads, then syncs, then returns."""
        found = [
            (counter, {values: (cells.units(), cells.created_ms) for values, cells in series.items()})
            for counter, series in self.series()
        ]
        self.sync()
        return found

    def series(self) -> list[tuple[DurableCounter, dict[tuple[str, ...], Cells]]]:
        """Per counter and label values: where the totals stand. Whoever shows them must `sync` after reading."""
        with self._lock:
            self._refresh()
            return [
                (counter, dict(self._cells.get((counter.name, counter.labelnames, counter.scale), {})))
                for counter in self._counters.values()
            ]

    def sync(self) -> None:
        """What any slot held when this was called is on the disk when it returns (unless made with sync=False)."""
        if self._sync:
            with self._lock:
                readers = list(self._readers.values())
            for reader in readers:
                reader.sync()

    def close(self) -> None:
        """Give the slot back and stop counting. The totals stay in the directory."""
        with self._lock:
            self._closed = True
            for counter in self._counters.values():
                counter.detach(CLOSED)
            if self._slot is not None:
                self._slot.close()
                self._slot = None
            for reader in self._readers.values():
                reader.close()
            self._readers.clear()
            if self.registry is not None:
                self.registry.unregister(self)
                self.registry = None

    def _claim(self) -> None:
        number = 0
        slot = None
        while slot is None:
            slot = Slot.claim(self.directory / f"slot-{number:04}{SUFFIX}", self._now_ms())
            number += 1
        self._slot = slot
        self._own = {
            (key.metric, key.labelnames, key.scale, key.labelvalues): (slot.words, index) for key, index, _ in slot.keys
        }

    def _refresh(self, *, thorough: bool = False) -> None:
        for path in sorted(self.directory.glob("slot-*" + SUFFIX)):
            if path.name not in self._readers:
                self._readers[path.name] = SlotReader(path)
        for reader in self._readers.values():
            for key, words, index in reader.fresh(thorough=thorough):
                series = self._cells.setdefault((key.metric, key.labelnames, key.scale), {})
                cells = series.get(key.labelvalues)
                if cells is None:
                    cells = series[key.labelvalues] = Cells(key.created_ms)
                cells.add(words, index, key.created_ms)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def cell(self, counter: DurableCounter, labelvalues: tuple[str, ...]) -> tuple[Words, int, int]:
        """This process's own cell of one series, made when it is not there: words, index, units so far."""
        with self._lock:
            if self._closed:
                raise RuntimeError(f"{self.directory}: this store is closed")
            if self._slot is None:
                self._claim()
            assert self._slot is not None
            identity = (counter.name, counter.labelnames, counter.scale, labelvalues)
            own = self._own.get(identity)
            if own is None:
                key = Key(counter.name, counter.labelnames, labelvalues, counter.scale, self._now_ms())
                own = self._own[identity] = self._slot.append(key)
            words, index = own
            return words, index, decoded(words[index])

    def forked(self) -> None:
        """In a child after fork: the slot belongs to the parent; the next `inc` here claims another."""
        self._lock = RLock()
        if self._closed:
            return
        if self._slot is not None:
            self._slot.abandon()
            self._slot = None
        self._own = {}
        for counter in self._counters.values():
            counter.detach(FORKED)


class Cells:
    """One series over all slots."""

    __slots__ = ("created_line", "created_ms", "line", "places")

    def __init__(self, created_ms: int) -> None:
        self.created_ms = created_ms
        self.line = self.created_line = ""  # filled by `render`, which escapes a series once
        self.places: list[tuple[Words, int]] = []

    def add(self, words: Words, index: int, created_ms: int) -> None:
        self.places.append((words, index))
        if created_ms < self.created_ms:
            self.created_ms, self.line = created_ms, ""

    def units(self) -> int:
        """The sum over the slots, now."""
        if len(self.places) == 1:
            ((words, index),) = self.places
            return words[index] & LIMIT
        return sum([words[index] & LIMIT for words, index in self.places])


_stores: weakref.WeakSet[DurableStore] = weakref.WeakSet()


@cache
def _watch_forks() -> None:
    """Once per process, and not before the first store: importing this module registers nothing."""
    os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    for store in list(_stores):
        store.forked()
