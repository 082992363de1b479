"""E-invoices: valid by the schema, sums that EN 16931's rules ask for, and refusals that say what cannot be said."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from lxml import etree

from rating.adapters.documents import PrintedDocuments
from rating.core.documents import Document, Form, Kind, Party, TaxRow
from rating.core.money import Currency, Money
from rating.errors import EdgeRefused

from .papers import CUSTOMER, SELLER, invoice

RAM = {"ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"}
NO_TAX = TaxRow(
    "", None, None, Money(0, Currency("EUR")), note="Reverse charge, article 196", treatment="reverse_charge"
)


def xml(document: Document) -> etree._Element:
    """Validated by the schema as it is made."""
    return etree.fromstring(PrintedDocuments().render(document, Form.XML).content)


def said(root: etree._Element, path: str) -> list[str]:
    return [str(text) for text in root.xpath(f"//ram:{path}/text()", namespaces=RAM)]


def numbers(root: etree._Element, path: str) -> list[Decimal]:
    return [Decimal(text) for text in said(root, path)]


def test_the_sums_are_those_of_the_paper_and_add_up() -> None:
    document = invoice()
    root = xml(document)
    head = "SpecifiedTradeSettlementHeaderMonetarySummation/ram:"
    (lines,), (off,), (net,) = (
        numbers(root, head + name) for name in ("LineTotalAmount", "AllowanceTotalAmount", "TaxBasisTotalAmount")
    )
    (tax,), (total,), (due,) = (
        numbers(root, head + name) for name in ("TaxTotalAmount", "GrandTotalAmount", "DuePayableAmount")
    )
    assert sum(numbers(root, "SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount")) == lines  # BR-CO-10
    assert lines - off == net  # BR-CO-13
    assert net + tax == total == due  # BR-CO-15, BR-CO-16
    assert total == Decimal(document.total.digits)
    assert tax == Decimal(document.taxes[0].amount.digits)


def test_a_sub_cent_price_stands_in_full_and_tiers_stand_in_the_description() -> None:
    root = xml(invoice())
    assert numbers(root, "NetPriceProductTradePrice/ram:ChargeAmount") == [
        Decimal(49),
        Decimal("59.73"),
        Decimal("0.0005"),
    ]
    assert numbers(root, "BilledQuantity") == [1, 1, 139_294]
    described = said(root, "SpecifiedTradeProduct/ram:Description")
    assert described[0].startswith("132375 request, 1000 included; tier 1 (up to 100000): 100000 x 0.0005 = 50; tier 2")


def test_reverse_charge_has_its_category_and_reason() -> None:
    root = xml(invoice(taxes=(NO_TAX,)))
    assert set(said(root, "ApplicableTradeTax/ram:CategoryCode")) == {"AE"}
    assert said(root, "ExemptionReason") == ["Reverse charge, article 196"]


def test_a_credit_note_gives_back_positive_amounts_and_names_the_invoice() -> None:
    document = invoice()
    rows = tuple(replace(row, amount=-row.amount, exact=-row.exact) for row in document.rows)
    root = xml(invoice(kind=Kind.CREDIT_NOTE, rows=rows, agreed=(), corrects="INV-000007"))
    assert said(root, "InvoiceReferencedDocument/ram:IssuerAssignedID") == ["INV-000007"]
    assert all(amount >= 0 for amount in numbers(root, "GrandTotalAmount"))
    assert all(price >= 0 for price in numbers(root, "NetPriceProductTradePrice/ram:ChargeAmount"))  # BR-27


def test_a_negative_line_has_a_negative_quantity_and_never_a_negative_price() -> None:
    document = invoice()
    late = replace(document.rows[1], amount=-document.rows[1].amount, exact=-document.rows[1].exact, steps=())
    root = xml(invoice(rows=(document.rows[0], document.rows[2], late), agreed=()))
    assert numbers(root, "BilledQuantity")[-1] == -1
    assert numbers(root, "NetPriceProductTradePrice/ram:ChargeAmount")[-1] == Decimal("59.73")


@pytest.mark.parametrize(
    ("document", "sentence"),
    {
        "three decimals": (invoice("KWD"), "EN 16931 has two decimals and KWD has 3"),
        "nobody sells": (invoice(seller=Party()), "the seller's name is not known"),
        "nowhere": (invoice(customer=Party("Acme")), "the customer's country is not known"),
        "two rates": (
            invoice(taxes=(invoice().taxes[0], replace(NO_TAX, title="GST", percent=Fraction(5), treatment=""))),
            "several tax rates (VAT 19 %, GST 5 %)",
        ),
        "contained": (invoice(taxes=(replace(invoice().taxes[0], contained=True),)), "prices contain the tax"),
        "a tax that does not follow": (
            invoice(taxes=(replace(invoice().taxes[0], amount=Money(3000, Currency("EUR"))),)),
            "19 % of 173.38 EUR is 32.94 EUR, and 30.00 EUR stands on it",
        ),
        "no tax and no reason": (invoice(taxes=()), "no tax stands on it and no reason why"),
        "reverse charge to nobody": (
            invoice(taxes=(NO_TAX,), customer=replace(CUSTOMER, tax_ids=())),
            "reverse charge needs the customer's tax id",
        ),
        "no tax id": (invoice(seller=replace(SELLER, tax_ids=())), "the seller's tax id is not known"),
        "a statement": (invoice(kind=Kind.STATEMENT), "not an invoice to anybody"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_said_is_refused_with_the_reason(document: Document, sentence: str) -> None:
    with pytest.raises(EdgeRefused) as refusal:
        PrintedDocuments().render(document, Form.XML)
    assert sentence in str(refusal.value)


def test_control_characters_in_a_name_do_not_break_the_xml() -> None:
    assert said(xml(invoice(customer=replace(CUSTOMER, name="A\x00B\x0bC"))), "BuyerTradeParty/ram:Name") == ["ABC"]
