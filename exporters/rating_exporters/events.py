"""Counts the messages of a broker, each once: receive, judge, commit, confirm.

Decides the order of the steps. Positions, ids and totals are one transaction (`eventstate`), and only then does the
broker hear of it: killed between any two steps, the same messages come again and are known. What a scrape shows is
committed. Declare meters on these counters `counter: durable`: they outlive the process.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from .brokers import Broker, Message
from .eventrule import EventRule, judged
from .eventstate import EventState, SetAside, Verdict
from .guard import DEFAULT_BOUNDS, Guard
from .totals import Series
from .vocabulary import CONSUMER, EVENT_BACKLOG, EVENT_QUANTITY, EVENTS, EVENTS_LOST, EVENTS_READ

MOST = 500  # messages in one transaction
DIMENSION_BOUND = 1_000  # values of one dimension


class EventCounter:
    """The messages of one broker and their counters. A collector: register it, `open`, then `step` for ever."""

    def __init__(
        self,
        broker: Broker,
        state: EventState,
        rule: EventRule,
        *,
        registry: CollectorRegistry | None = None,
        guard: Guard | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.broker = broker
        self.state = state
        self.rule = rule
        self.guard = guard or guard_for(rule, registry)
        self.clock = clock
        self._backlog: dict[str, int] = {}
        seen = [labels for metric, labels in state.totals() if metric == EVENTS]
        for position, label in enumerate(rule.labels):
            self.guard.remember(label, {labels[position] for labels in seen})
        if registry is not None:
            registry.register(self)

    def open(self) -> None:
        """Connect, and begin where the state file says."""
        self.broker.open(self.state.places)

    def step(self, most: int = MOST, seconds: float = 1.0) -> int:
        """Count what has come; returns how many deliveries that was."""
        deliveries = self.broker.receive(most, seconds)
        if deliveries:
            verdicts = [judged(self.rule, self.guard, delivery) for delivery in deliveries]
            self.state.commit(verdicts, self.clock())
            self.broker.confirm(deliveries)
        return len(deliveries)

    def look_at_backlog(self) -> None:
        """Ask the broker how much there is still to read, for the page."""
        self._backlog = dict(self.broker.backlog())

    def _families(self) -> dict[str, CounterMetricFamily]:
        text = "Quantities stated by events, by consumer and topic."
        return {
            EVENTS: CounterMetricFamily(EVENTS, "Events, by consumer and topic.", labels=self.rule.labels),
            EVENT_QUANTITY: CounterMetricFamily(EVENT_QUANTITY, text, labels=self.rule.labels),
            EVENTS_READ: CounterMetricFamily(
                EVENTS_READ, "Messages read: counted, repeated (not counted again) or set aside.",
                labels=("topic", "outcome"),
            ),
            EVENTS_LOST: CounterMetricFamily(
                EVENTS_LOST, "Messages (at most) that were gone before they were read.", labels=("topic",)
            ),
        }  # fmt: skip

    def describe(self) -> Iterable[Metric]:
        """The families by name only, for the registry."""
        return [*self._families().values(), GaugeMetricFamily(EVENT_BACKLOG, "")]

    def collect(self) -> Iterable[Metric]:
        """Every total that has been committed, with its created timestamp, and the backlog as last looked at."""
        families = self._families()
        unit = 10**self.rule.decimals
        for (metric, labels), (total, created) in self.state.totals().items():
            value = total if metric != EVENT_QUANTITY or unit == 1 else total / unit
            families[metric].add_metric(labels, value, created=created)
        if self.rule.quantity is None:
            del families[EVENT_QUANTITY]
        backlog = GaugeMetricFamily(EVENT_BACKLOG, "Messages at the broker that were not read yet.", labels=("topic",))
        for topic, waiting in self._backlog.items():
            backlog.add_metric((topic,), waiting)
        return [*families.values(), backlog]


def guard_for(rule: EventRule, registry: CollectorRegistry | None, consumers: int = DEFAULT_BOUNDS[CONSUMER]) -> Guard:
    """Bounds for the labels of a rule."""
    return Guard({CONSUMER: consumers, **dict.fromkeys(rule.dimensions, DIMENSION_BOUND)}, registry=registry)


def would_count(verdicts: Iterable[Verdict]) -> tuple[Counter[Series], list[tuple[Message, str]]]:
    """For a look beforehand: what verdicts would add, and which messages would be set aside and why."""
    adds: Counter[Series] = Counter()
    aside = []
    for verdict in verdicts:
        if isinstance(verdict.says, SetAside):
            assert isinstance(verdict.delivery, Message)
            aside.append((verdict.delivery, verdict.says.reason))
        else:
            for event in verdict.says:
                for series, amount in event.adds:
                    adds[series] += amount
    return adds, aside
