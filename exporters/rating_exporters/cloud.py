"""Turns a cloud's figures per consumer and day (or hour) into counters that only rise: ask, compare, commit.

Decides what a figure adds to what was counted for its cell before, and which stretch is asked for again. Leaves asking
to one adapter per cloud behind the Protocol `Cloud`, and keeping cells and totals in one transaction to `cloudstate`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from .guard import DEFAULT_BOUNDS, Guard, named
from .totals import Series
from .vocabulary import (
    ANONYMOUS,
    CLOUD,
    CLOUD_READ_UNTIL,
    CLOUD_REQUESTS,
    CLOUD_SHRUNK,
    CONSUMER,
    PRODUCT,
)

if TYPE_CHECKING:
    from .cloudstate import CloudState

LOG = logging.getLogger(__name__)

SLICE = timedelta(days=30)  # of a backlog in one transaction: what was read of a long one is kept when the rest fails
PRODUCT_BOUND = 1_000
UNITS = {"day": timedelta(days=1), "hour": timedelta(hours=1)}


class CloudUnavailable(RuntimeError):
    """The cloud does not answer, or says later: ask again at the next poll. Nothing was counted."""


class CloudRefused(RuntimeError):
    """The cloud will not answer, or answers what nobody can count: a person must look. Nothing was counted."""


class Cell(NamedTuple):
    """What a cloud keeps one number for. `key` is the cloud's own id of a consumer, which outlives its name."""

    scope: str
    key: str
    start: int  # Unix seconds, on the unit's boundary


@dataclass(frozen=True, slots=True)
class Figure:
    """The requests of one cell as a cloud states them now."""

    cell: Cell
    consumer: str
    product: str
    amount: int


Labels: TypeAlias = Callable[[Figure], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Known:
    """What the state file has of a cell: the largest amount seen, which is what was counted, and the last one seen."""

    counted: int
    seen: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What figures add to totals, the cells as they are then, and those that shrank (from what, to what)."""

    adds: Counter[Series]
    cells: Mapping[Cell, Known]
    shrunk: tuple[tuple[Cell, int, int], ...]


class Cloud(Protocol):
    """One cloud account's meter."""

    name: str  # the label `cloud`
    unit: timedelta  # how long a cell is

    def settings(self) -> Mapping[str, str]:
        """What the totals mean: a state file made with others is refused."""
        ...

    def figures(self, since: datetime, until: datetime) -> Iterable[Figure]:
        """All figures of [since, until), both UTC and on a boundary of `unit`. CloudUnavailable or CloudRefused."""
        ...


def decided(known: Mapping[Cell, Known], figures: Iterable[Figure], labels: Labels) -> Decision:
    """Compare figures to all that was known of the stretch they are of; `labels` says what a new cell counts into.

    A cell goes on counting into the series it began with: a key that is renamed or deleted later is still whoever used
    it. The same cell twice in one answer is one cell: the larger amount, for pages may overlap.
    """
    now: dict[Cell, Figure] = {}
    for figure in figures:
        if figure.cell not in now or figure.amount > now[figure.cell].amount:
            now[figure.cell] = figure
    before = {**{cell: Known(0, 0, labels(figure)) for cell, figure in now.items() if cell not in known}, **known}
    adds: Counter[Series] = Counter()
    cells: dict[Cell, Known] = {}
    shrunk = []
    for cell, was in before.items():
        amount = now[cell].amount if cell in now else 0  # one that is no longer told of has shrunk to nothing
        if amount < was.seen:
            shrunk.append((cell, was.seen, amount))
            adds[CLOUD_SHRUNK, was.labels[1:2]] += 1
        adds[CLOUD_REQUESTS, was.labels] += max(amount - was.counted, 0)
        after = Known(max(amount, was.counted), amount, was.labels)
        if after != known.get(cell):
            cells[cell] = after
    return Decision(adds, cells, tuple(shrunk))


class CloudCounter:
    """One cloud's figures and their counters. A collector: register it, then `step` at each poll."""

    def __init__(
        self,
        cloud: Cloud,
        state: CloudState,
        *,
        reread: timedelta = timedelta(days=3),
        registry: CollectorRegistry | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.cloud = cloud
        self.state = state
        self.reread = reread
        self.guard = guard or guard_for(registry)
        seen = [labels for metric, labels in state.totals() if metric == CLOUD_REQUESTS]
        for position, label in ((0, CONSUMER), (2, PRODUCT)):
            self.guard.remember(label, {labels[position] for labels in seen})
        if registry is not None:
            registry.register(self)

    def step(self, now: datetime, progress: Callable[[datetime, int], None] | None = None) -> int:
        """Ask from `reread` before the last reading until now, in slices; returns how many requests were added."""
        added = 0
        for since, until in stretches(self.state.begin, self.state.reached, now, self.reread, self.cloud.unit):
            figures = within(self.cloud.figures(since, until), since, until)
            labels = labels_by(self.cloud, self.guard)
            decision = self.state.commit(figures, labels, since, until, reached=min(until, now), now=now)
            for cell, before, after in decision.shrunk:
                LOG.warning("%s", shrank(self.cloud, decision, cell, before, after))
            new = sum(amount for (metric, _), amount in decision.adds.items() if metric == CLOUD_REQUESTS)
            added += new
            if progress is not None:
                progress(min(until, now), new)
        return added

    def collect(self) -> Iterable[Metric]:
        """The totals as committed."""
        requests = CounterMetricFamily(
            CLOUD_REQUESTS, "Requests as the cloud counted them.", labels=(CONSUMER, CLOUD, PRODUCT)
        )
        shrunk = CounterMetricFamily(
            CLOUD_SHRUNK, "Figures that fell after they were counted; nothing was subtracted.", labels=(CLOUD,)
        )
        families = {CLOUD_REQUESTS: requests, CLOUD_SHRUNK: shrunk}
        for (metric, labels), (total, created) in self.state.totals().items():
            families[metric].add_metric(labels, total, created=created)
        if not any(metric == CLOUD_SHRUNK for metric, _ in self.state.totals()):
            shrunk.add_metric((self.cloud.name,), 0)
        read = GaugeMetricFamily(CLOUD_READ_UNTIL, "How far the cloud has been read, as a Unix time.", labels=(CLOUD,))
        reached = self.state.reached
        if reached is not None:
            read.add_metric((self.cloud.name,), reached.timestamp())
        return [requests, shrunk, read]


def stretches(
    begin: datetime, reached: datetime | None, now: datetime, reread: timedelta, unit: timedelta
) -> list[tuple[datetime, datetime]]:
    """What to ask for: from `reread` before what was reached, never before `begin`, until the unit that is running."""
    since = floored(max(begin, reached - reread) if reached is not None else begin, unit)
    end = floored(now, unit) + unit
    found = []
    while since < end:
        until = min(since + SLICE, end)
        found.append((since, until))
        since = until
    return found


def floored(moment: datetime, unit: timedelta) -> datetime:
    """The boundary of `unit` (UTC) at or before a moment."""
    seconds = int(unit.total_seconds())
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, moment.tzinfo)


def within(figures: Iterable[Figure], since: datetime, until: datetime) -> list[Figure]:
    """The figures, all of them read. CloudRefused for one outside what was asked for, or below zero."""
    found = list(figures)
    for figure in found:
        if not since.timestamp() <= figure.cell.start < until.timestamp():
            raise CloudRefused(
                f"{figure.cell.scope}: asked for {since:%Y-%m-%dT%H:%M}Z to {until:%Y-%m-%dT%H:%M}Z, and the answer "
                f"has a figure of Unix time {figure.cell.start}; nothing was counted"
            )
        if figure.amount < 0:
            raise CloudRefused(f"{figure.cell.scope}: the answer has {figure.amount} requests; nothing was counted")
    return found


def labels_by(cloud: Cloud, guard: Guard) -> Labels:
    """What figures of a cloud count into, within the guard's bounds."""

    def labels(figure: Figure) -> tuple[str, ...]:
        consumer = guard.admit(CLOUD_REQUESTS, CONSUMER, figure.consumer)
        return consumer, cloud.name, guard.admit(CLOUD_REQUESTS, PRODUCT, figure.product)

    return labels


def shrank(cloud: Cloud, decision: Decision, cell: Cell, before: int, after: int) -> str:
    """The line that tells of a figure that fell."""
    consumer, _, product = decision.cells[cell].labels
    start = datetime.fromtimestamp(cell.start, UTC).strftime("%Y-%m-%dT%H:%MZ")
    return (
        f"{cloud.name} {cell.scope}: the figure of {consumer} ({product}) for {start} shrank from {before} to {after}; "
        f"{decision.cells[cell].counted} stay counted: correct the bill by hand if the cloud is right"
    )


def guard_for(registry: CollectorRegistry | None, consumers: int = DEFAULT_BOUNDS[CONSUMER]) -> Guard:
    """Bounds for the labels of these counters."""
    return Guard({CONSUMER: consumers, PRODUCT: PRODUCT_BOUND}, registry=registry)


def consumer_named(value: object) -> str:
    """A cloud's word for a consumer as a label value; what Apigee calls "(not set)" is nobody."""
    return ANONYMOUS if value == "(not set)" else named(value, ANONYMOUS)
