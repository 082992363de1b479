"""What a counter is to this package: prometheus-client's own and the durable one both are.

Shapes only, and the plain factory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from prometheus_client import CollectorRegistry, Counter


class Adds(Protocol):
    """One series that can be added to."""

    def inc(self, amount: float = 1) -> None: ...


class Counts(Protocol):
    """A labelled counter: prometheus-client's own, or a durable one."""

    def labels(self, *labelvalues: str) -> Adds: ...

    def inc(self, amount: float = 1) -> None: ...


@runtime_checkable
class Remembers(Protocol):
    """A counter that knows series from before this process."""

    def label_values(self, label: str) -> set[str]: ...


class CounterFactory(Protocol):
    """Makes a counter; `scale` is how many of the smallest units make 1."""

    def __call__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str],
        registry: CollectorRegistry | None,
        *,
        scale: int,
    ) -> Counts: ...


def plain_counter(
    name: str, documentation: str, labelnames: Sequence[str], registry: CollectorRegistry | None, *, scale: int = 1
) -> Counts:
    """prometheus-client's own counter: a float, and its total dies with the process."""
    return Counter(name, documentation, labelnames, registry=registry)
