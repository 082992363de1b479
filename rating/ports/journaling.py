"""What the journal is written from: what happened in a span of time, a few papers in memory at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Protocol

from rating.core.creditnotes import CreditNote
from rating.core.invoices import Invoice
from rating.core.lifecycle import InvoiceEntry
from rating.core.payouts import Payout
from rating.core.periods import Period
from rating.core.wallets import GrantAccount


class Journaling(Protocol):
    """Each reads on as it is asked for more, whatever there is in the span. Raises as every method of a book."""

    def issued_in(self, period: Period) -> Iterator[Invoice]:
        """Invoices issued inside the period, in order of number."""

    def credited_in(self, period: Period) -> Iterator[CreditNote]:
        """Credit notes issued inside the period, in order of number."""

    def stated_in(self, period: Period) -> Iterator[Payout]:
        """Partners' statements issued inside the period, in order of number."""

    def entered_on(self, day: date) -> Iterator[InvoiceEntry]:
        """Steps of invoices that are dated that day, in order of key."""

    def moved_in(self, period: Period) -> Iterator[GrantAccount]:
        """Grants of wallets that moved or expired inside the period, whole, in the order in which they were kept."""

    def papers(self, numbers: Collection[str]) -> Mapping[str, Invoice]:
        """The invoices of these numbers."""
