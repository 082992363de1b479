"""Promises about what follows an invoice: steps and credit notes once each, items, pauses, and who was overtaken."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import pytest

from rating.core.consolidated import together
from rating.core.creditnotes import Cause, CreditDraft, credit, take_back
from rating.core.invoices import LineItem, LineKind
from rating.core.items import Item
from rating.core.lifecycle import InvoiceEntry, Step, payment
from rating.core.money import Money
from rating.core.parties import Seller
from rating.core.subscriptions import Pause
from rating.core.wallets import Grant
from rating.core.windows import Adjustment, Usage
from rating.errors import BookError, Contradiction, Overtaken
from rating.ports import Book

from .books import AUGUST, LATER, NOON, USD, closing, draft, window

DAY = date(2026, 9, 2)
ONE = timedelta(minutes=1)


def usd(minor: int) -> Money:
    return Money(minor, USD)


def goodwill(book: Book, minor: int, reference: str = "") -> CreditDraft:
    [invoice] = book.invoices()
    notes = book.credit_notes(invoice.number)
    return credit(invoice, {1: usd(minor)}, notes, cause=Cause.MANUAL, reason="outage", reference=reference)


def test_steps_are_kept_once_in_their_order(book: Book) -> None:
    [invoice] = book.issue([draft()], at=LATER)
    paid = payment(invoice.number, usd(500), DAY, reference="T1", author="ann")
    assert book.enter(InvoiceEntry(invoice.number, Step.SEND, DAY), at=LATER)
    assert book.enter(paid, at=LATER)
    assert not book.enter(replace(paid, author="bob"), at=LATER + ONE)
    assert [entry.step for entry in book.entries()] == [Step.SEND, Step.PAY]
    assert book.entries(invoice.number)[1] == paid
    with pytest.raises(Contradiction, match="INV-000001/pay/bank/T1 was kept as"):
        book.enter(replace(paid, amount=usd(501)), at=LATER)
    assert len(book.entries()) == 2


def test_what_the_table_does_not_allow_leaves_no_trace(book: Book) -> None:
    [invoice] = book.issue([draft()], at=LATER)
    book.enter(payment(invoice.number, usd(500), DAY), at=LATER)
    with pytest.raises(Contradiction, match=r"cannot be voided: 5\.00 USD was paid and 0\.00 USD credited"):
        book.enter(InvoiceEntry(invoice.number, Step.VOID, DAY), at=LATER)
    with pytest.raises(BookError, match="the book holds no invoice INV-000009"):
        book.enter(payment("INV-000009", usd(500), DAY), at=LATER)
    assert len(book.entries()) == 1


def test_credit_notes_are_numbered_and_chained_by_themselves(book: Book) -> None:
    book.issue([draft()], at=LATER)
    first = book.credit(goodwill(book, 100), at=LATER)
    assert book.credit(first.draft, at=LATER + ONE) == first
    second = book.credit(goodwill(book, 50, "again"), at=LATER)
    assert [note.number for note in book.credit_notes()] == ["CN-000001", "CN-000002"]
    assert (first.previous_hash, second.previous_hash) == ("series CN", first.content_hash)
    assert book.credit_notes("INV-000009") == ()
    with pytest.raises(Contradiction, match=r"was issued over 0\.50 USD and now comes to 0\.60 USD"):
        book.credit(replace(goodwill(book, 60), reference="again"), at=LATER)
    with pytest.raises(Contradiction, match=r"12\.30 USD cannot be credited, 1\.50 USD of 12\.30 USD was credited"):
        book.credit(replace(take_back(book.invoices()[0], (), cause=Cause.VOID, reason="x")), at=LATER)


def test_a_credit_note_and_its_entry_are_one_transaction(book: Book) -> None:
    [invoice] = book.issue([draft()], at=LATER)
    accept = InvoiceEntry(invoice.number, Step.ACCEPT, DAY, line=1)
    with pytest.raises(Contradiction, match="line 1 is not on hold"):
        book.credit(goodwill(book, 100), at=LATER, entry=accept)
    assert (book.credit_notes(), book.entries()) == ((), ())
    book.enter(InvoiceEntry(invoice.number, Step.DISPUTE, DAY, usd(100), line=1), at=LATER)
    book.credit(goodwill(book, 100), at=LATER, entry=accept)
    assert [entry.step for entry in book.entries()] == [Step.DISPUTE, Step.ACCEPT]


def test_each_brand_has_its_own_numbers_and_chain(book: Book) -> None:
    eu, us = (Seller(key, key.upper(), series=key.upper(), credit_notes=f"{key.upper()}CN") for key in ("eu", "us"))
    papers = [draft("a", seller=eu), draft("b", seller=us), draft("c", seller=eu), draft("d")]
    numbers = [invoice.number for invoice in book.issue(papers, at=LATER)]
    assert numbers == ["EU-000001", "US-000001", "EU-000002", "INV-000001"]
    assert [invoice.previous_hash[:9] for invoice in book.invoices()][:2] == ["series EU", "series US"]
    assert [invoice.number for invoice in book.issue([draft("e", seller=us)], at=LATER)] == ["US-000002"]


def test_what_is_billed_together_is_billed(book: Book) -> None:
    pair = together([draft("a"), draft("b")], "Holding")
    [issued] = book.issue([pair], at=LATER)
    assert book.issue([pair], at=LATER) == (issued,)
    assert book.invoices(consumer="b") == (issued,)
    assert {draft("a").key, draft("b").key} <= book.issued()
    for other in (draft("b"), together([draft("b"), draft("c")], "Holding")):
        with pytest.raises(Overtaken, match=r"b/pro/2026-08-01.* was billed meanwhile, by invoice INV-000001"):
            book.issue([draft("z"), other], at=LATER)
    assert len(book.invoices()) == 1


def test_an_invoice_takes_the_place_of_one_that_was_taken_back_once(book: Book) -> None:
    [old] = book.issue([draft()], at=LATER)
    again = replace(draft(), replaces=old.number)
    with pytest.raises(Contradiction, match=r"INV-000001 is issued and 0\.00 USD of 12\.30 USD is credited"):
        book.issue([again], at=LATER)
    book.enter(InvoiceEntry(old.number, Step.VOID, DAY), at=LATER)
    [new] = book.issue([again], at=LATER)
    assert (new.number, book.issue([again], at=LATER)) == ("INV-000002", (new,))
    with pytest.raises(Contradiction, match="nothing of it can be credited"):
        book.credit(credit(old, {1: usd(1)}, (), cause=Cause.MANUAL, reason="x"), at=LATER)


def test_usage_that_was_corrected_since_it_was_read_is_not_issued(book: Book) -> None:
    """An adjustment between another process's draft and its issue: the invoice would not agree with its windows."""
    book.close(closing(), meter_digest="m", at=LATER)
    known = book.latest_adjustment()
    assert known == 0
    book.adjust(Adjustment("search", window(0), 1, (Usage("c42", ("/search",), 3),), "late", "me"), at=NOON)
    with pytest.raises(Overtaken, match="usage of c42 was corrected while its invoice was drafted"):
        book.issue([draft("a"), draft("c42")], at=LATER, known=known)
    assert book.invoices() == ()
    assert len(book.issue([draft("a")], at=LATER, known=known)) == 1
    assert len(book.issue([draft("c42")], at=LATER, known=book.latest_adjustment())) == 1


def test_an_item_stands_on_one_invoice_that_stands(book: Book) -> None:
    item = Item("c42/pro/2026-08-01", "Setup", Fraction(99), DAY)
    assert book.add_item(item, at=LATER)
    assert not book.add_item(replace(item, author="bob"), at=LATER)
    with pytest.raises(Contradiction, match="was kept as 'Setup' over 99 and is now 'Setup' over 98"):
        book.add_item(replace(item, amount=Fraction(98)), at=LATER)
    assert book.items() == (item,)
    line = LineItem(LineKind.ITEM, item.key, "Setup", AUGUST, Fraction(99), usd(9900))
    book.issue([draft("a", lines=(line,))], at=LATER)
    with pytest.raises(Overtaken, match="stands meanwhile on invoice INV-000001"):
        book.issue([draft("b", lines=(line,))], at=LATER)
    book.enter(InvoiceEntry("INV-000001", Step.VOID, DAY), at=LATER)
    assert len(book.issue([draft("b", lines=(line,))], at=LATER)) == 1


def test_pauses_follow_each_other(book: Book) -> None:
    days = [NOON + timedelta(days=number) for number in range(5)]
    assert book.pause("s", start=days[0], at=LATER)
    assert not book.pause("s", start=days[0], at=LATER)
    with pytest.raises(Contradiction, match="which is not resumed"):
        book.pause("s", start=days[1], at=LATER)
    with pytest.raises(Contradiction, match="cannot be resumed before"):
        book.resume("s", end=days[0], at=LATER)
    assert book.resume("s", end=days[2], at=LATER)
    assert not book.resume("s", end=days[2], at=LATER)
    with pytest.raises(Contradiction, match="is not paused since it was resumed"):
        book.resume("s", end=days[3], at=LATER)
    with pytest.raises(Contradiction, match="lasts until"):
        book.pause("s", start=days[1], at=LATER)
    assert book.pause("s", start=days[4], at=LATER)
    assert book.pauses() == {"s": (Pause(days[0], days[2]), Pause(days[4]))}


def test_a_wallet_has_back_what_is_credited_or_void(book: Book) -> None:
    book.fund(Grant("Größenwahn AG", "P1", usd(2000)), at=LATER)
    [invoice] = book.issue([draft()], at=LATER)
    worth = lambda: book.wallets()[0].worth(LATER + ONE).minor  # noqa: E731
    assert worth() == 2000 - 1230
    book.credit(goodwill(book, 230), at=LATER + ONE)
    assert worth() == 1000
    [other] = book.issue([draft("z", cents=1100)], at=LATER + ONE)
    assert worth() == 0
    book.enter(InvoiceEntry(other.number, Step.VOID, DAY), at=LATER + 2 * ONE)
    assert (worth(), book.entries(invoice.number)) == (1000, ())


def test_eight_threads_cannot_pay_what_is_not_there_to_pay(book: Book) -> None:
    """Refunds of a paid invoice: whoever is faster, never more goes back than was paid."""
    [invoice] = book.issue([draft()], at=LATER)
    book.enter(payment(invoice.number, usd(500), DAY), at=LATER)
    refused: list[Exception] = []

    def give_back(number: int) -> None:
        try:
            book.enter(InvoiceEntry(invoice.number, Step.REFUND, DAY, usd(100), reference=str(number)), at=LATER)
        except Contradiction as error:
            refused.append(error)

    threads = [threading.Thread(target=give_back, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), len(book.entries())) == (3, 6)
