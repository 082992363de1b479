"""Which series are readings of one physical counter.

An identity is a series' labels without those that tell replicas apart and without the volatile ones. Decides nothing
about values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rating.core.meters import Meter

METRIC_NAME = "__name__"
SOURCE = "__source__"
"""Label given to a series when a meter is read from several servers: which one it came from. No stored label can be
called so, and two servers with the same series are two replicas."""


class Name(NamedTuple):
    """How one series is called, seen from a meter."""

    identity: tuple[tuple[str, str], ...]
    replica: tuple[str, ...]
    """Values of the replica labels: who took the reading."""
    target: tuple[str, ...]
    """Values of the target labels: what was scraped."""
    consumer: str
    dimensions: tuple[str, ...]


class Naming:
    """Names the series of one meter."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._forgotten = {METRIC_NAME, SOURCE, *meter.replica_labels, *meter.volatile_labels}

    def name(self, labels: Mapping[str, str]) -> Name:
        return Name(
            self.identity(labels),
            self.replica(labels),
            self.target(labels),
            *self.account(labels),
        )

    def account(self, labels: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
        """The values of the consumer's label and of the dimensions."""
        dimensions = tuple([labels.get(label, "") for label in self._meter.dimensions])
        return labels.get(self._meter.consumer, ""), dimensions

    def identity(self, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        # An absent label and an empty one are the same thing to Prometheus.
        return tuple(sorted(pair for pair in labels.items() if pair[1] and pair[0] not in self._forgotten))

    def replica(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple([labels.get(label, "") for label in (SOURCE, *self._meter.replica_labels)])

    def target(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple([labels.get(label, "") for label in self._meter.target_labels])
