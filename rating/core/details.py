"""Details: what a gateway was last told of a customer, so that what has changed since is told once more.

A gateway's names never change, so each telling is a name of its own: `told/1`, `told/2` ... under the customer's
subject. Papers say who the customer was when they were issued: an older one never takes back what a newer one told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rating.core.canonical import canonical, digest
from rating.core.parties import Customer
from rating.core.periods import from_seconds, seconds


@dataclass(frozen=True, slots=True)
class Told:
    """One telling."""

    number: int
    mark: str
    as_of: datetime
    """When it was so; whole seconds."""
    fields: tuple[str, ...] = ()
    """What was said, in the gateway's words: what is not said any more is taken away there."""

    @property
    def part(self) -> str:
        return f"told/{self.number}"

    @property
    def text(self) -> str:
        return f"{self.mark}:{seconds(self.as_of)}:{'+'.join(self.fields)}"

    def stale(self, customer: Customer, as_of: datetime) -> bool:
        """Has the customer been told since as somebody else?"""
        return mark_of(customer) != self.mark and as_of.replace(microsecond=0) > self.as_of


def mark_of(customer: Customer) -> str:
    """The same for the same details, and for no others."""
    about = (customer.name, customer.email, customer.address, customer.country, customer.locale, customer.tax_id)
    return digest(canonical(about))[:16]


def last_told(name: Callable[[str], str | None]) -> Told | None:
    """The last telling, by the names that are kept of the customer's parts; None when there was none."""
    number, found = 0, None
    while (text := name(f"told/{number + 1}")) is not None:
        number += 1
        mark, second, fields = text.split(":", 2)
        found = Told(number, mark, from_seconds(int(second)), tuple(field for field in fields.split("+") if field))
    return found


def next_told(last: Told | None, customer: Customer, as_of: datetime, fields: tuple[str, ...]) -> Told:
    return Told(1 if last is None else last.number + 1, mark_of(customer), as_of.replace(microsecond=0), fields)
