"""Parties: who sells and who pays, as they are printed on a paper, and by when it is to be paid.

Decides due dates. Where parties are written down is the catalogue's; what is printed of them is the documents'.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

INVOICES, CREDIT_NOTES = "INV", "CN"
"""The series of papers where a seller names none."""


@dataclass(frozen=True, slots=True)
class PaymentTerms:
    """So many days after the day of issue, or after the last day of its month."""

    days: int = 0
    end_of_month: bool = False

    def __post_init__(self) -> None:
        if self.days < 0:
            raise ValueError(f"terms of {self.days} days end before they begin; write zero or more")

    def due(self, issued: date) -> date:
        """The last day on which the invoice may be paid."""
        if self.end_of_month:
            issued = issued.replace(day=calendar.monthrange(issued.year, issued.month)[1])
        return issued + timedelta(days=self.days)

    def __str__(self) -> str:
        if self.end_of_month:
            return f"end of month + {self.days}" if self.days else "end of month"
        return f"net {self.days}" if self.days else "on receipt"


class Together(StrEnum):
    """How the subscriptions of one customer are invoiced."""

    SEPARATE = "separate"
    """Each on an invoice of its own."""
    CONSOLIDATED = "consolidated"
    """One invoice for all whose billing period, time zone and currency agree; the others each on their own."""


class LatePolicy(StrEnum):
    """How late data settles what an issued invoice charged."""

    NEXT_INVOICE = "next_invoice"
    """As lines of the next invoice, up or down."""
    CREDIT_NOTE = "credit_note"
    """What was charged too much as a credit note at once; what was charged too little on the next invoice."""


@dataclass(frozen=True, slots=True)
class Seller:
    """Who issues the invoice: one brand, with its own series of numbers."""

    key: str
    name: str
    address: tuple[str, ...] = ()
    """Line by line, as it is printed."""
    country: str = ""
    """ISO 3166-1 alpha-2."""
    tax_id: str = ""
    email: str = ""
    phone: str = ""
    website: str = ""
    payment: tuple[str, ...] = ()
    """How to pay, line by line: bank, IBAN, reference."""
    locale: str = ""
    """How numbers and dates are written, `de_DE`; customers may have their own."""
    template: str = ""
    """Which template prints its papers; empty for the ordinary one."""
    footer: str = ""
    series: str = INVOICES
    credit_notes: str = CREDIT_NOTES
    terms: PaymentTerms | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """Who pays. `key` is the name by which subscriptions name it."""

    key: str
    name: str = ""
    address: tuple[str, ...] = ()
    country: str = ""
    tax_id: str = ""
    email: str = ""
    purchase_order: str = ""
    """The customer's own order number, which their accountant wants to read."""
    locale: str = ""
    seller: str = ""
    """Key of who sells to it; the ordinary seller when empty."""
    terms: PaymentTerms | None = None
    """Its own, in place of the seller's."""
    invoices: Together = Together.SEPARATE
    late: LatePolicy = LatePolicy.NEXT_INVOICE
    tax_exempt: str = ""
    """Why it pays no tax, such as a certificate's number; empty for who pays it."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Everybody the catalogue names."""

    sellers: Mapping[str, Seller] = field(default_factory=dict)
    customers: Mapping[str, Customer] = field(default_factory=dict)
    ordinary: str = ""
    """Key of the seller to customers that name none; empty where nobody is named."""

    def seller(self, customer: str) -> Seller | None:
        """Who sells to this customer; None where the catalogue names no seller."""
        known = self.customers.get(customer)
        return self.sellers.get((known.seller if known is not None else "") or self.ordinary)

    def customer(self, customer: str) -> Customer | None:
        return self.customers.get(customer)


NOBODY = Parties()
"""A catalogue without sellers and customers."""


def terms_of(seller: Seller | None, customer: Customer | None) -> PaymentTerms | None:
    """The customer's own terms, else the seller's; None where nothing is agreed."""
    if customer is not None and customer.terms is not None:
        return customer.terms
    return None if seller is None else seller.terms
