"""Sellers and customers as written: what is printed of them, terms of payment, series of numbers.

Decides which seller is the ordinary one and that no two brands share a series.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from babel import Locale, UnknownLocaleError
from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from rating.core.parties import (
    CREDIT_NOTES,
    INVOICES,
    Customer,
    LatePolicy,
    Parties,
    PaymentTerms,
    Seller,
    Together,
)
from rating.specs.fields import Key, Spec, Text, shown
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.words import words

_TERMS = re.compile(r"(?:net (\d{1,3})|(end of month)(?: \+ (\d{1,3}))?|on receipt)\Z")


def terms(value: object) -> PaymentTerms:
    """`net 30`, `end of month`, `end of month + 10`, `on receipt`."""
    found = _TERMS.match(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{shown(value)} are no terms of payment; write net 30, end of month + 10 or on receipt")
    net, end, more = found.groups()
    return PaymentTerms(int(net or more or 0), end is not None)


def locale(value: object) -> str:
    """A locale with territory or without: `de_DE`, `fr`."""
    if isinstance(value, str):
        try:
            return str(Locale.parse(value.strip().replace("-", "_")))
        except (UnknownLocaleError, ValueError):
            pass
    raise ValueError(f"{shown(value)} is not a locale; write a language, or language and country, such as de_DE")


def is_country(value: object) -> bool:
    """ISO 3166-1 alpha-2, as CLDR knows it."""
    return isinstance(value, str) and bool(re.fullmatch("[A-Z]{2}", value)) and value in Locale("en").territories


def country(value: object) -> str:
    if isinstance(value, str) and is_country(value):
        return value
    raise ValueError(f"{shown(value)} is not a country; write an ISO 3166 code of two letters such as DE")


def _same(value: str) -> str:
    return value


Terms = Annotated[
    PaymentTerms,
    PlainValidator(terms),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^(net \d{1,3}|end of month( \+ \d{1,3})?|on receipt)$"}),
]
LocaleName = Annotated[
    str,
    PlainValidator(locale),
    PlainSerializer(_same),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{2,3}([_-][A-Za-z0-9]+)*$"}),
]
Country = Annotated[
    str, PlainValidator(country), PlainSerializer(_same), WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$"})
]


class PartySpec(Spec):
    """What is printed of a seller or a customer."""

    address: list[Text] = Field(default_factory=list, description="Line by line, as it is printed.")
    country: Country | None = Field(default=None, description="ISO 3166 code of two letters: DE.")
    tax_id: Text | None = Field(default=None, description="VAT number or the like, as it is printed.")
    email: Text | None = Field(default=None, description="Where papers are sent or questions are asked.")
    locale: LocaleName | None = Field(default=None, description="How numbers and dates are written: de_DE.")
    terms: Terms | None = Field(
        default=None,
        description="When an invoice is to be paid: net 30, end of month, end of month + 10, on receipt. "
        "A customer's own stand in place of the seller's; without any an invoice has no due date.",
    )


class SellerSpec(PartySpec):
    """Who issues invoices: one brand, with its own series of numbers."""

    name: Text = Field(description="The name on the paper.")
    phone: Text | None = Field(default=None, description="As it is printed.")
    website: Text | None = Field(default=None, description="As it is printed.")
    payment: list[Text] = Field(default_factory=list, description="How to pay, line by line: bank, IBAN.")
    template: Key | None = Field(default=None, description="Which template prints its papers.")
    footer: Text | None = Field(default=None, description="At the foot of each page: register, managing directors.")
    series: Key = Field(default=INVOICES, description="Before the numbers of its invoices: INV makes INV-000001.")
    credit_notes: Key = Field(default=CREDIT_NOTES, description="Before the numbers of its credit notes.")
    ordinary: bool = Field(
        default=False, description="Sells to customers that name no seller; one of several sellers must."
    )


class CustomerSpec(PartySpec):
    """Who pays, under the name by which subscriptions name it."""

    name: Text | None = Field(default=None, description="The name on the paper; the key when absent.")
    purchase_order: Text | None = Field(default=None, description="The customer's own order number.")
    seller: Key | None = Field(default=None, description="Who sells to it; the ordinary seller when absent.")
    invoices: Annotated[Together, *words(Together)] = Field(
        default=Together.SEPARATE,
        description="separate: one invoice for each subscription. consolidated: one for all whose billing period, time "
        "zone and currency agree; the others each have their own.",
    )
    late: Annotated[LatePolicy, *words(LatePolicy)] = Field(
        default=LatePolicy.NEXT_INVOICE,
        description="What late data takes off an issued invoice: on the next_invoice, or a credit_note of its own. "
        "What it adds stands on the next invoice.",
    )
    tax_exempt: Text | None = Field(
        default=None, description="Why it pays no tax, such as a certificate's number; a tax rule must be for it."
    )


def parties_of(
    sellers: Mapping[str, tuple[SellerSpec, Place]],
    customers: Mapping[str, tuple[CustomerSpec, Place]],
    findings: Findings,
) -> Parties:
    ordinary = [key for key, (spec, _) in sellers.items() if spec.ordinary] or list(sellers)[: len(sellers) == 1]
    if sellers and len(ordinary) != 1:
        _, place = sellers[ordinary[1]] if ordinary else next(iter(sellers.values()))
        said = f"{' and '.join(ordinary)} are both ordinary" if ordinary else f"none of {len(sellers)} is ordinary"
        findings.add(place, f"of the sellers {said}", "write ordinary: true at exactly one of them")
    used: dict[str, str] = {}
    for key, (spec, place) in sellers.items():
        for word, series in (("series", spec.series), ("credit_notes", spec.credit_notes)):
            other = used.setdefault(series, f"{key} {word}")
            if other != f"{key} {word}":
                findings.add(place.at(word), f'"{series}" numbers {other} already', "give each series its own letters")
    for spec_of, place in customers.values():
        if spec_of.seller is not None and spec_of.seller not in sellers:
            findings.add(
                place.at("seller"), f'no seller is called "{spec_of.seller}"', or_one_of(spec_of.seller, sellers)
            )
    return Parties(
        {key: _seller(key, spec) for key, (spec, _) in sorted(sellers.items())},
        {key: _customer(key, spec) for key, (spec, _) in sorted(customers.items())},
        ordinary[0] if ordinary else "",
    )


def _seller(key: str, spec: SellerSpec) -> Seller:
    return Seller(
        key,
        spec.name,
        tuple(spec.address),
        spec.country or "",
        spec.tax_id or "",
        spec.email or "",
        spec.phone or "",
        spec.website or "",
        tuple(spec.payment),
        spec.locale or "",
        spec.template or "",
        spec.footer or "",
        spec.series,
        spec.credit_notes,
        spec.terms,
    )


def _customer(key: str, spec: CustomerSpec) -> Customer:
    return Customer(
        key,
        spec.name or "",
        tuple(spec.address),
        spec.country or "",
        spec.tax_id or "",
        spec.email or "",
        spec.purchase_order or "",
        spec.locale or "",
        spec.seller or "",
        spec.terms,
        spec.invoices,
        spec.late,
        spec.tax_exempt or "",
    )
