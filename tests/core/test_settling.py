"""What the book makes of what a gateway told about one invoice: a good story first, then one thing changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.core.lifecycle import InvoiceEntry, Step, payment
from rating.core.parties import Customer
from rating.core.settling import Decision, Verdict, about_customer, about_invoice, about_payment
from rating.core.signals import (
    CustomerChanged,
    CustomerGone,
    Disputed,
    GaveBack,
    GivenUpThere,
    InvoiceFact,
    Paid,
    PaidInFull,
    Stage,
    VoidedThere,
)
from rating.jobs.lives import account_of
from tests.adapters.stripe.months import NOW, taxed, usd

AT = datetime(2026, 11, 5, tzinfo=UTC)
TOTAL = 3_613
PAID = Paid("in_1", usd(TOTAL), AT, "pi_1")
PART = replace(PAID, amount=usd(1_000), reference="pi_0")
OURS = payment("INV-000001", usd(TOTAL), date(2026, 11, 2), reference="wire 1")


def decided(fact: InvoiceFact, *before: InvoiceFact | InvoiceEntry) -> Decision:
    """After these facts, each entered, or entries of ours."""
    book = MemoryBook()
    (invoice,) = book.issue([taxed("acme")], at=NOW)
    for one in before:
        if isinstance(one, InvoiceEntry):
            book.enter(one, at=NOW)
            continue
        for action in about_invoice(one, invoice, account_of(book, invoice, NOW), "main").actions:
            assert isinstance(action, InvoiceEntry)
            book.enter(action, at=NOW)
    return about_invoice(fact, invoice, account_of(book, invoice, NOW), "main")


FULL = PaidInFull("in_1", AT, usd(0))
VOID = VoidedThere("in_1", AT, usd(0))
GIVEN = GivenUpThere("in_1", AT, usd(0), usd(TOTAL))


@pytest.mark.parametrize(
    ("fact", "before", "verdict", "said"),
    [
        (PAID, [], Verdict.ENTERED, "pay of 36.13 USD"),
        (PAID, [PAID], Verdict.KNOWN, "in the book"),
        (replace(PAID, amount=usd(7)), [PAID], Verdict.PARKED, "is 36.13 USD in our book and 0.07 USD there"),
        (PAID, [VOID], Verdict.WAITS, "is void"),
        (replace(PAID, outside=True), [OURS], Verdict.KNOWN, "we told them"),
        (replace(PAID, outside=True), [], Verdict.ENTERED, "pay of 36.13 USD"),
        (FULL, [PAID], Verdict.KNOWN, "all its payments"),
        (FULL, [PART], Verdict.WAITS, "10.00 USD of 36.13 USD"),
        (FULL, [OURS], Verdict.KNOWN, "all its payments"),
        (replace(FULL, outside=usd(TOTAL)), [], Verdict.ENTERED, "pay of 36.13 USD"),
        (VOID, [], Verdict.ENTERED, "void"),
        (VOID, [VOID], Verdict.KNOWN, "it is void"),
        (VOID, [OURS], Verdict.WAITS, "cannot be voided"),
        (replace(VOID, paid=usd(1_000)), [], Verdict.WAITS, "the rest has not been told yet"),
        (replace(VOID, paid=usd(1_000)), [PART], Verdict.WAITS, "cannot be voided"),
        (replace(VOID, given_up=True), [], Verdict.PARKED, "does not void it any more"),
        (GIVEN, [], Verdict.ENTERED, "write off of 36.13 USD"),
        (GIVEN, [GIVEN], Verdict.KNOWN, "written off"),
        (GIVEN, [PART], Verdict.KNOWN, "overtaken"),
        (replace(GIVEN, paid=usd(1_000), left=usd(2_613)), [PART], Verdict.ENTERED, "write off of 26.13 USD"),
        (replace(GIVEN, paid=usd(1_000), left=usd(2_613)), [], Verdict.WAITS, "36.13 USD is outstanding in our book"),
    ],
)
def test_an_invoice(fact: InvoiceFact, before: list[InvoiceFact | InvoiceEntry], verdict: Verdict, said: str) -> None:
    found = decided(fact, *before)
    assert found.verdict is verdict, found.said
    assert said in found.said
    assert bool(found.actions) is (verdict is Verdict.ENTERED)


BACK = GaveBack("pi_1", usd(500), AT, "re_1")
LOST = Disputed("pi_1", usd(TOTAL), AT, "dp_1", Stage.LOST, "fraudulent")


@pytest.mark.parametrize(
    ("fact", "verdict", "entered", "told"),
    [
        (BACK, Verdict.ENTERED, [(Step.REFUND, "re_1", 500)], []),
        (replace(BACK, undone=True), Verdict.ENTERED, [(Step.REFUND, "re_1", 500), (Step.PAY, "re_1/undone", 500)], []),
        (replace(BACK, amount=usd(TOTAL + 1)), Verdict.WAITS, [], []),
        (LOST, Verdict.ENTERED, [(Step.REFUND, "dp_1", TOTAL)], ["RatingDisputeLost"]),
        (replace(LOST, stage=Stage.WON), Verdict.TOLD, [], ["RatingDisputeWon"]),
        (replace(LOST, stage=Stage.OPEN, until=AT), Verdict.TOLD, [], ["RatingPaymentDisputed"]),
    ],
)
def test_a_payment(
    fact: GaveBack | Disputed, verdict: Verdict, entered: list[tuple[Step, str, int]], told: list[str]
) -> None:
    book = MemoryBook()
    (invoice,) = book.issue([taxed("acme")], at=NOW)
    paid = payment(invoice.number, usd(TOTAL), date(2026, 11, 4), source="main", reference="pi_1")
    book.enter(paid, at=NOW)
    found = about_payment(fact, paid, invoice, account_of(book, invoice, NOW), "main")
    assert found.verdict is verdict
    steps = [one for one in found.actions if isinstance(one, InvoiceEntry)]
    assert [(one.step, one.reference, one.amount and one.amount.minor) for one in steps] == entered
    assert [one.alert for one in found.actions if not isinstance(one, InvoiceEntry)] == told  # type: ignore[union-attr]


def test_our_catalogue_says_who_a_customer_is() -> None:
    ours = Customer("acme", "Acme", email="it@acme.example")
    same = CustomerChanged("cus_1", AT, (("email", "it@acme.example"), ("country", "FR")))
    assert about_customer(same, "acme", ours, "main").verdict is Verdict.KNOWN
    other = about_customer(replace(same, now=(("email", "new@acme.example"),)), "acme", ours, "main")
    assert other.verdict is Verdict.TOLD
    # What a customer's address is stays where it may be read.
    assert "new@acme.example" not in other.said
    assert about_customer(CustomerGone("cus_1", AT), "acme", ours, "main").verdict is Verdict.TOLD
