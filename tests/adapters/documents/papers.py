"""Documents to start a story from: an invoice of a fee, tiers, a simple price, a discount and a tax."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

from rating.core.documents import Day, Document, Kind, Party, Row, TaxRow
from rating.core.money import Currency, round_amount
from rating.core.prices.price import Portion

FIRST, LAST = date(2026, 10, 1), date(2026, 10, 31)
SELLER = Party(
    "Example Metering GmbH",
    ("Lindenstraße 12", "10115 Berlin", "Germany"),
    "DE",
    ("DE123456789",),
    "billing@example.com",
    "HRB 12345 Berlin",
)
CUSTOMER = Party("Größenwahn AG", ("Ringstraße 1", "1010 Wien"), "AT", ("ATU12345678",))


def fee(position: int, currency: Currency, title: str = "Pro fee") -> Row:
    exact = Fraction(49)
    return Row(position, "fee", title, round_amount(exact, currency), exact, FIRST, LAST)


def simple(position: int, currency: Currency, quantity: int = 139_294, title: str = "API calls") -> Row:
    """A sub-cent price: 0.0005 each."""
    price, counted = Fraction("0.0005"), Fraction(quantity)
    exact = price * counted
    return Row(
        position,
        "usage",
        title,
        round_amount(exact, currency),
        exact,
        FIRST,
        LAST,
        card="api",
        unit="request",
        quantity=counted,
        steps=(Portion("per unit", counted, price, exact),),
        windows=744,
        usage_digest="e" * 64,
        days=tuple(Day(FIRST + timedelta(day), Fraction((day * 7919 + position) % 5000)) for day in range(31)),
    )


def tiered(position: int, currency: Currency) -> Row:
    steps = (
        Portion("tier 1 (up to 100000)", Fraction(100_000), Fraction("0.0005"), Fraction(50)),
        Portion("tier 2", Fraction(31_375), Fraction("0.00031"), Fraction("9.72625")),
    )
    exact = Fraction("59.72625")
    row = simple(position, currency, 132_375, "Searches")
    return replace(row, amount=round_amount(exact, currency), exact=exact, steps=steps, included=Fraction(1000))


def invoice(code: str = "EUR", percent: int = 19, **changed: object) -> Document:
    currency = Currency(code)
    off = Fraction(-5)
    document = Document(
        kind=Kind.INVOICE,
        number="INV-000042",
        issued=date(2026, 11, 1),
        currency=currency,
        seller=SELLER,
        customer=CUSTOMER,
        first=FIRST,
        last=LAST,
        rows=(fee(1, currency), tiered(2, currency), simple(3, currency)),
        agreed=(Row(4, "discount", "Discount of 5 (WELCOME)", round_amount(off, currency), off, FIRST, LAST),),
        plan="Pro",
        consumer="groessenwahn-eu",
        due=date(2026, 11, 15),
        terms="net 14",
        payment=("IBAN DE02 1203 0000 0000 2020 51",),
        purchase_order="PO-7731",
        catalogue="c" * 64,
        content_hash="ab12" * 16,
        previous_hash="9f" * 32,
    )
    document = replace(document, **changed)  # type: ignore[arg-type]
    if "taxes" in changed:
        return document
    tax = round_amount(document.net.exact * percent / 100, currency)
    return replace(document, taxes=(TaxRow("VAT", Fraction(percent), document.net, tax),))


def long(lines: int = 40) -> Document:
    """An invoice of so many simple lines."""
    currency = Currency("EUR")
    rows = tuple(
        replace(simple(place, currency, 100_000 + place * 7919, f"API calls, region {place}"), days=(), windows=0)
        for place in range(1, lines + 1)
    )
    return invoice(rows=rows, agreed=())
