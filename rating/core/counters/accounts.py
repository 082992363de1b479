"""To whom a counter's usage is booked: the consumer behind a label's value, and the dimension values kept apart.

Decides names only, after everything was counted: what a counter counted is added up under another name, never changed.
"""

from __future__ import annotations

import hashlib

from rating.core.meters import Meter

OTHER = "<other>"
"""The remainder of a dimension: the values that its meter does not keep apart."""
_SHOWN = 4

Account = tuple[str, tuple[str, ...]]
"""A consumer and dimension values, in the meter's order."""


class Accounts:
    """The accounts of one meter, by the labels of its counters."""

    def __init__(self, meter: Meter) -> None:
        self._consumers = dict(meter.consumers)
        self._kept = meter.dimension_values
        self._known: dict[Account, Account] = {}

    @property
    def plain(self) -> bool:
        """Whether each account is called as the labels of its counters say."""
        return not self._consumers and not self._kept

    def of(self, consumer: str, dimensions: tuple[str, ...]) -> Account:
        """The account for the values of the consumer's label and of the dimensions' labels."""
        if self.plain:
            return consumer, dimensions
        labels = consumer, dimensions
        if labels not in self._known:
            self._known[labels] = self.consumer(consumer), self._dimensions(dimensions)
        return self._known[labels]

    def consumer(self, value: str) -> str:
        """Whom a value of the consumer's label stands for. One that nobody named is kept under what may be shown."""
        if not self._consumers or not value:
            return value
        return self._consumers.get(hashlib.sha256(value.encode()).hexdigest()) or unknown(value)

    def _dimensions(self, values: tuple[str, ...]) -> tuple[str, ...]:
        if not self._kept:
            return values
        return tuple(
            value if kept is None or value in kept else OTHER for value, kept in zip(values, self._kept, strict=True)
        )


def unknown(value: str) -> str:
    """The consumer of a key that is in no lookup: its last characters, and never more than a third of it."""
    shown = min(_SHOWN, len(value) // 3)
    return f"<unknown:...{value[len(value) - shown :]}>"
