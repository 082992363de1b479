"""Documents: what stands on the paper that is sent, invoice, credit note or statement, before any layout or language.

Decides which facts of an issued entry are printed and how they are grouped: charges, what is agreed about them, taxes,
totals, the usage of each day, and the hash that proves it. How they look is an adapter's affair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction

from rating.core.money import Currency, Money, total
from rating.core.prices.price import Portion


class Kind(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    STATEMENT = "statement"
    """What a partner is owed."""


class Form(StrEnum):
    """What a document can be rendered as."""

    HTML = "html"
    PDF = "pdf"
    JSON = "json"
    CSV = "csv"
    XML = "xml"
    """An e-invoice by EN 16931."""


@dataclass(frozen=True, slots=True)
class Party:
    """Who writes the document, or to whom."""

    name: str = ""
    address: tuple[str, ...] = ()
    """As it is printed, a line each."""
    country: str = ""
    """ISO 3166 alpha-2."""
    tax_ids: tuple[str, ...] = ()
    """As they are printed; the first is the one for value added tax."""
    email: str = ""
    registration: str = ""
    """In a commercial register."""
    phone: str = ""
    website: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    quantity: Fraction


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the document."""

    position: int
    kind: str
    title: str
    amount: Money
    exact: Fraction
    first: date
    last: date
    """The last day included."""
    card: str = ""
    unit: str = ""
    quantity: Fraction | None = None
    """None where nothing was counted."""
    included: Fraction = Fraction(0)
    steps: tuple[Portion, ...] = ()
    names: str = ""
    """The invoice line that this one settles, corrects or shares, `INV-000042/2`."""
    corrects: str = ""
    """The line whose share this one takes back, of an invoice or of an earlier statement."""
    windows: int = 0
    degraded: int = 0
    usage_digest: str = ""
    section: str = ""
    """Whose line it is on an invoice over several subscriptions."""
    days: tuple[Day, ...] = ()
    reason: str = ""
    """Why a line corrects another."""
    held: str = ""
    """Why it is not collected for now."""


@dataclass(frozen=True, slots=True)
class TaxRow:
    """One rate."""

    title: str
    percent: Fraction | None
    base: Money | None
    """What it is taken of; None where the entry does not say."""
    amount: Money
    note: str = ""
    """Why there is none, such as reverse charge."""
    contained: bool = False
    """The prices contain it already: it is shown, not added."""
    treatment: str = ""
    """Where there is no rate: reverse_charge, exempt or outside, with a note."""


@dataclass(frozen=True, slots=True)
class Document:
    kind: Kind
    number: str
    issued: date
    currency: Currency
    seller: Party
    customer: Party
    first: date
    last: date
    """The billing period, last day included."""
    rows: tuple[Row, ...]
    """Charges."""
    agreed: tuple[Row, ...] = ()
    """What is agreed about the charges as a whole: discounts, cap, minimum, credits."""
    taxes: tuple[TaxRow, ...] = ()
    plan: str = ""
    consumer: str = ""
    """Who was counted, where that is not the customer."""
    due: date | None = None
    terms: str = ""
    """Of payment, in words."""
    payment: tuple[str, ...] = ()
    """How to pay, as it is printed, a line each."""
    purchase_order: str = ""
    notes: tuple[str, ...] = ()
    corrects: str = ""
    """The invoice a credit note is about."""
    reason: str = ""
    paid: Money | None = None
    """What the customer's wallet paid of it as it was issued."""
    zone: str = "UTC"
    locale: str = "en"
    brand: str = ""
    catalogue: str = ""
    content_hash: str = ""
    previous_hash: str = ""

    @property
    def charges(self) -> Money:
        return total([row.amount for row in self.rows], self.currency)

    @property
    def net(self) -> Money:
        """Before taxes."""
        return self.charges + total([row.amount for row in self.agreed], self.currency)

    @property
    def total(self) -> Money:
        return self.net + total([tax.amount for tax in self.taxes if not tax.contained], self.currency)

    @property
    def to_pay(self) -> Money:
        return self.total if self.paid is None else self.total - self.paid

    @property
    def texts(self) -> Mapping[str, str]:
        """Every text on it that somebody else wrote, by where it stands: what a font may have no glyphs for."""
        found = {
            "the plan": self.plan,
            "the consumer": self.consumer,
            "the purchase order": self.purchase_order,
            "the terms": self.terms,
            "the reason": self.reason,
        }
        for who, party in (("seller", self.seller), ("customer", self.customer)):
            found[f"the {who}'s name"] = party.name
            found[f"the {who}'s address"] = " ".join(party.address)
        found["how to pay"] = " ".join(self.payment)
        for place, note in enumerate(self.notes, 1):
            found[f"note {place}"] = note
        for row in (*self.rows, *self.agreed):
            found[f"line {row.position}"] = f"{row.title} {row.unit} {row.reason}"
        return {where: text for where, text in found.items() if text}


def charted(rows: Sequence[Row], most: int = 6) -> tuple[Row, ...]:
    """The rows whose usage is worth a chart: counted on two days or more, the largest amounts first kept, in order."""
    able = [row for row in rows if len(row.days) > 1 and any(day.quantity for day in row.days)]
    kept = {row.position for row in sorted(able, key=lambda row: (-abs(row.amount.minor), row.position))[:most]}
    return tuple(row for row in able if row.position in kept)
