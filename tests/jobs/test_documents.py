"""What stands on a document: gathered from the book as of the issue, and nothing that comes later."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from rating.adapters.documents import PrintedDocuments
from rating.adapters.memory_book import MemoryBook
from rating.core.creditnotes import Cause, credit, take_back
from rating.core.documents import Form, Party
from rating.core.invoices import Draft, Invoice, LineItem, LineKind, Section
from rating.core.money import Currency, Money
from rating.core.parties import Customer, PaymentTerms, Seller
from rating.core.wallets import Grant
from rating.jobs.bill import bill
from rating.jobs.documents import Letterhead, credit_document, hashed_text, invoice_document
from rating.ports import Book
from tests.stories import ACME, OCTOBER, close_days, contracts

USD = Currency("USD")
AT = datetime(2026, 11, 1, 0, 10, tzinfo=UTC)
SELLER = Seller(
    "us",
    "Example Metering GmbH",
    ("Lindenstraße 12",),
    "DE",
    "DE123456789",
    payment=("IBAN DE02",),
    locale="de_DE",
    template="blue",
    footer="Thank you.",
    terms=PaymentTerms(14),
)
BUYER = Customer("acme", "Acme Ltd", country="FR", tax_id="FR40303265045", purchase_order="PO-1", locale="fr_FR")


@pytest.fixture
def book() -> Book:
    book = MemoryBook()
    close_days(book, {"acme": 10})
    return book


def issued(book: Book, **changed: object) -> Invoice:
    """October's invoice: 49.00 fee, 310 calls of which 100 are included for 3.10."""
    paper = bill(book, contracts(ACME), now=AT, dry_run=True).drafts[0]
    return book.issue([replace(paper, **changed)], at=AT)[0]  # type: ignore[arg-type]


def taxed(draft: Draft) -> tuple[LineItem, ...]:
    fee = draft.lines[0]
    tax = replace(fee, kind=LineKind.TAX, card="VAT", title="VAT 19 %", exact=Fraction("9.899"), amount=Money(990, USD))
    return (*draft.lines, tax)


def test_an_invoice_has_its_days_its_total_and_its_hash(book: Book) -> None:
    invoice = issued(book)
    document = invoice_document(book, invoice)
    assert (document.total, document.net, document.charges) == (invoice.total,) * 3
    assert [day.day for day in document.rows[1].days] == [date(2026, 10, day) for day in range(1, 32)]
    assert sum(day.quantity for day in document.rows[1].days) == document.rows[1].quantity == 310
    assert (document.first, document.last, document.issued) == (
        date(2026, 10, 1),
        date(2026, 10, 31),
        date(2026, 11, 1),
    )
    assert hashlib.sha256(hashed_text(invoice).encode()).hexdigest() == document.content_hash == invoice.content_hash
    assert invoice_document(book, invoice, daily=False).rows[1].days == ()


def test_who_sells_and_who_pays_stand_as_they_were_issued(book: Book) -> None:
    invoice = issued(book, seller=SELLER, buyer=BUYER)
    document = invoice_document(book, invoice, Letterhead(Party("not this one"), "en"))
    assert (document.seller.name, document.customer.name) == ("Example Metering GmbH", "Acme Ltd")
    assert (document.seller.tax_ids, document.customer.country) == (("DE123456789",), "FR")
    assert (document.due, document.terms) == (date(2026, 11, 15), "net 14")
    assert (document.purchase_order, document.payment, document.notes) == ("PO-1", ("IBAN DE02",), ("Thank you.",))
    assert (document.locale, document.brand) == ("fr_FR", "blue")
    chosen = Letterhead(locale="ar", brand="red", chosen=True)
    again = invoice_document(book, invoice, chosen)
    assert (again.locale, again.brand) == ("ar", "red")


def test_a_tax_and_its_note_are_summed_up(book: Book) -> None:
    paper = bill(book, contracts(ACME), now=AT, dry_run=True).drafts[0]
    (tax,) = invoice_document(book, issued(book, lines=taxed(paper))).taxes
    assert (tax.title, tax.percent, tax.base, tax.amount) == ("VAT", 19, Money(5210, USD), Money(990, USD))


def test_reverse_charge_is_a_note_with_its_treatment(book: Book) -> None:
    paper = bill(book, contracts(ACME), now=AT, dry_run=True).drafts[0]
    zero = Money(0, USD)
    said = {"card": "reverse_charge", "title": "You owe the tax"}
    note = replace(paper.lines[0], kind=LineKind.TAX, exact=Fraction(0), amount=zero, **said)
    document = invoice_document(book, issued(book, lines=(*paper.lines, note), seller=SELLER, buyer=BUYER))
    (tax,) = document.taxes
    assert (tax.note, tax.treatment, tax.base) == ("You owe the tax", "reverse_charge", Money(5210, USD))
    assert b"<ram:CategoryCode>AE</ram:CategoryCode>" in PrintedDocuments().render(document, Form.XML).content


def test_what_the_wallet_paid_at_issue_is_on_it_and_a_later_payment_is_not(book: Book) -> None:
    book.fund(Grant("acme", "pay-1", Money(2000, USD)), at=OCTOBER.start)
    invoice = issued(book)
    document = invoice_document(book, invoice)
    assert (document.paid, document.to_pay) == (Money(2000, USD), Money(3210, USD))
    book.credit(take_back(invoice, (), cause=Cause.MANUAL, reason="no"), at=datetime(2026, 11, 3, tzinfo=UTC))
    assert invoice_document(book, invoice) == document


def test_a_credit_note_says_what_is_given_back_and_of_what(book: Book) -> None:
    paper = bill(book, contracts(ACME), now=AT, dry_run=True).drafts[0]
    invoice = issued(book, lines=taxed(paper), seller=SELLER, buyer=BUYER)
    draft = credit(invoice, {2: Money(310, USD)}, (), cause=Cause.DISPUTE, reason="counted twice")
    note = book.credit(draft, at=datetime(2026, 11, 3, tzinfo=UTC))
    document = credit_document(book, note)
    assert (document.corrects, document.reason) == ("INV-000001", "counted twice")
    assert [(row.names, row.amount) for row in document.rows] == [("INV-000001/2", Money(310, USD))]
    assert [(tax.title, tax.percent, tax.amount) for tax in document.taxes] == [("VAT", 19, Money(59, USD))]
    assert document.total == note.total == Money(369, USD)
    assert hashlib.sha256(hashed_text(note).encode()).hexdigest() == document.content_hash
    xml = PrintedDocuments().render(document, Form.XML).content
    assert b"<ram:TypeCode>381</ram:TypeCode>" in xml


def test_an_invoice_over_several_subscriptions_says_whose_lines_they_are(book: Book) -> None:
    close_days(book, {"acme-eu": 20}, meter=replace(contracts(ACME).current.meters["api_calls"], name="other"))
    paper = bill(book, contracts(ACME), now=AT, dry_run=True).drafts[0]
    second = tuple(replace(line, meter="other" if line.meter else "") for line in paper.lines)
    sections = tuple(
        Section(f"{consumer}/pro/2026-10-01", consumer, "pro", "Pro", "c" * 64, len(paper.lines))
        for consumer in ("acme", "acme-eu")
    )
    nobody = dict.fromkeys(("subscription", "consumer", "plan", "plan_title"), "")
    together = issued(book, lines=paper.lines + second, sections=sections, **nobody)
    document = invoice_document(book, together)
    assert [row.section for row in document.rows] == ["Pro, acme", "Pro, acme", "Pro, acme-eu", "Pro, acme-eu"]
    assert sum(day.quantity for day in document.rows[3].days) == 620
    page = PrintedDocuments().render(document, Form.HTML).content.decode()
    assert page.count('<tbody class="section">') == 2
