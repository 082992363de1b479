"""Parity: both sides say the same, then one thing is changed on one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.core.creditnotes import Cause, credit
from rating.core.lifecycle import InvoiceEntry, Step, payment
from rating.core.money import Currency, Money
from rating.core.parity import Difference, Ours, Theirs, differences
from rating.core.parties import Customer
from rating.core.remotepapers import RemoteCustomer, RemoteNote, RemotePaper, RemotePayment, RemoteRefund, Stand
from rating.jobs.lives import account_of
from tests.adapters.stripe.months import NOW, taxed, usd

DAY = date(2026, 11, 5)
NUMBER = "INV-000001"


def both() -> tuple[Ours, Theirs]:
    """One invoice, paid, partly refunded, with a credit note, on both sides."""
    book = MemoryBook()
    (invoice,) = book.issue([taxed("acme")], at=NOW)
    book.enter(payment(NUMBER, usd(3_613), DAY, source="main", reference="pi_1"), at=NOW)
    book.enter(InvoiceEntry(NUMBER, Step.REFUND, DAY, usd(100), source="main", reference="re_1"), at=NOW)
    note = book.credit(credit(invoice, {1: usd(500)}, (), cause=Cause.MANUAL, reason="an outage"), at=NOW)
    ours = Ours(
        "main",
        ((invoice, account_of(book, invoice, NOW)),),
        (note,),
        {NUMBER, note.number},
        {NUMBER: "in_1"},
        (),
        {"acme": Customer("acme", "Acme", email="it@acme.example")},
        {"acme"},
    )
    lines = tuple((f"{NUMBER}/{place}", line.amount) for place, line in enumerate(invoice.draft.lines, 1))
    theirs = Theirs(
        (RemotePaper("in_1", NUMBER, usd(3_613), Stand.PAID, lines),),
        (RemotePayment("pi_1", "in_1", usd(3_613)),),
        (RemoteRefund("re_1", "pi_1", usd(100)),),
        (RemoteNote("cn_1", note.number, "in_1", note.total),),
        (RemoteCustomer("cus_1", "acme", "it@acme.example", "Acme"),),
    )
    return ours, theirs


def test_nothing_differs() -> None:
    assert list(differences(*both())) == []


def paper(change: Callable[[RemotePaper], RemotePaper]) -> Callable[[Theirs], Theirs]:
    return lambda theirs: replace(theirs, papers=[change(one) for one in theirs.papers])


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (lambda theirs: replace(theirs, papers=()), [Difference.INVOICE_MISSING_THERE]),
        (lambda theirs: replace(theirs, papers=theirs.papers * 2), [Difference.INVOICE_TWICE]),
        (paper(lambda one: replace(one, total=Money(3_613, Currency("EUR")))), [Difference.CURRENCY]),
        (paper(lambda one: replace(one, total=usd(3_612))), [Difference.AMOUNT]),
        (paper(lambda one: replace(one, lines=one.lines[:-1])), [Difference.LINES]),
        (paper(lambda one: replace(one, lines=(*one.lines, ("", usd(1))))), [Difference.LINES]),
        (
            # Folded: what is not named is one line with the sum of the rest.
            paper(lambda one: replace(one, lines=(*one.lines[:2], (f"{NUMBER}/rest", usd(268))))),
            [],
        ),
        (paper(lambda one: replace(one, lines=(*one.lines[:2], (f"{NUMBER}/rest", usd(269))))), [Difference.LINES]),
        (paper(lambda one: replace(one, stand=Stand.OPEN)), [Difference.PAID_HERE]),
        (paper(lambda one: replace(one, stand=Stand.VOID)), [Difference.PAID_HERE]),
        (lambda theirs: replace(theirs, payments=()), [Difference.PAYMENT_MISSING_THERE]),
        (
            lambda theirs: replace(theirs, payments=(*theirs.payments, RemotePayment("pi_2", "in_1", usd(1)))),
            [Difference.PAYMENT_MISSING_HERE],
        ),
        (
            lambda theirs: replace(theirs, payments=[replace(one, amount=usd(1)) for one in theirs.payments]),
            [Difference.PAYMENT_AMOUNT],
        ),
        (
            lambda theirs: replace(theirs, refunds=(*theirs.refunds, RemoteRefund("re_2", "pi_1", usd(1)))),
            [Difference.REFUND_MISSING_HERE],
        ),
        (
            lambda theirs: replace(theirs, refunds=[replace(one, amount=usd(1)) for one in theirs.refunds]),
            [Difference.REFUND_AMOUNT],
        ),
        (lambda theirs: replace(theirs, notes=()), [Difference.CREDIT_NOTE_MISSING_THERE]),
        (
            lambda theirs: replace(theirs, notes=(*theirs.notes, RemoteNote("cn_2", "", "in_1", usd(1)))),
            [Difference.CREDIT_NOTE_MISSING_HERE],
        ),
        (
            lambda theirs: replace(theirs, notes=[replace(one, amount=usd(1)) for one in theirs.notes]),
            [Difference.CREDIT_NOTE_AMOUNT],
        ),
        (lambda theirs: replace(theirs, customers=()), [Difference.CUSTOMER_MISSING_THERE]),
        (
            lambda theirs: replace(theirs, customers=[replace(one, email="x@y.example") for one in theirs.customers]),
            [Difference.CUSTOMER_DIFFERS],
        ),
        (
            lambda theirs: replace(theirs, customers=(*theirs.customers, RemoteCustomer("cus_2", "nobody"))),
            [Difference.CUSTOMER_MISSING_HERE],
        ),
        (
            lambda theirs: replace(theirs, papers=(*theirs.papers, RemotePaper("in_2", "", usd(900), Stand.OPEN, ()))),
            [Difference.INVOICE_MISSING_HERE],
        ),
        (
            # What a subscription there makes is that gateway's own rating.
            lambda theirs: replace(
                theirs, papers=(*theirs.papers, RemotePaper("in_2", "", usd(900), Stand.OPEN, (), made_there=True))
            ),
            [],
        ),
    ],
)
def test_one_thing_differs(change: Callable[[Theirs], Theirs], kinds: list[Difference]) -> None:
    ours, theirs = both()
    found = list(differences(ours, change(theirs)))
    assert [one.kind for one in found] == kinds
    assert all(one.finding.hint or one.kind is Difference.REFUND_AMOUNT for one in found)


def test_what_is_under_way_is_not_judged() -> None:
    ours, theirs = both()
    changed = replace(
        theirs,
        papers=[replace(one, stand=Stand.OPEN) for one in theirs.papers],
        payments=(),
        refunds=(),
        notes=(),
    )
    assert list(differences(replace(ours, under_way={NUMBER}), changed)) == []
    assert len(list(differences(ours, changed))) == 3
