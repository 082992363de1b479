"""Wallets in the book: topped up once, drawn on as invoices are issued, never below zero however many draw at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rating.core.money import Currency, Money
from rating.core.wallets import Grant, GrantKind, MoveKind
from rating.errors import BookError, Contradiction
from rating.ports import Book

from .books import LATER, USD, draft

BEFORE = LATER - timedelta(days=1)
PAYER = "Größenwahn AG"


def topup(reference: str = "pay-1", cents: int = 2000, **changed: object) -> Grant:
    return replace(Grant(PAYER, reference, Money(cents, USD)), **changed)


def moves(book: Book) -> list[tuple[str, int, int, str, str]]:
    return [
        (move.reference, move.step, move.change, move.kind.value, move.invoice)
        for wallet in book.wallets()
        for account in wallet.accounts
        for move in account.moves
    ]


def test_a_grant_comes_back_exactly(book: Book) -> None:
    gift = Grant(
        PAYER, "welcome", Money(500, USD), GrantKind.GRANT, -3, datetime(2027, 1, 1, tzinfo=UTC), "for you", "eve"
    )
    assert book.fund(gift, at=BEFORE) is True
    [wallet] = book.wallets(PAYER)
    assert (wallet.customer, wallet.currency) == (PAYER, USD)
    [account] = wallet.accounts
    assert account.grant == gift
    assert account.granted_at == BEFORE.replace(microsecond=123000)
    assert book.wallets("nobody") == ()


def test_a_topup_is_kept_once(book: Book) -> None:
    assert [book.fund(topup(), at=BEFORE), book.fund(topup(note="a second try"), at=LATER)] == [True, False]
    assert moves(book) == [("pay-1", 0, 2000, "granted", "")]
    for other in (topup(cents=2001), topup(kind=GrantKind.GRANT), topup(amount=Money(2000, Currency("EUR")))):
        with pytest.raises(Contradiction, match="one reference names one payment"):
            book.fund(other, at=LATER)
    assert moves(book) == [("pay-1", 0, 2000, "granted", "")]
    assert book.fund(replace(topup(), customer="other"), at=BEFORE), "another customer's reference is another"


def test_a_grant_that_has_expired_is_refused(book: Book) -> None:
    with pytest.raises(BookError, match="choose a later day"):
        book.fund(topup(expires=datetime(2026, 8, 1, tzinfo=UTC)), at=BEFORE)
    assert book.wallets() == ()


def test_an_invoice_is_paid_as_it_is_issued(book: Book) -> None:
    """Two grants of 10.00, two invoices of 12.30 in one batch, and a third customer without a wallet."""
    book.fund(topup("pay-1", 1000), at=BEFORE)
    book.fund(topup("gift", 1000, priority=-1), at=BEFORE)
    book.issue([draft("a"), draft("b"), draft("c", customer="somebody")], at=LATER)
    assert moves(book) == [
        ("pay-1", 0, 1000, "granted", ""),
        ("pay-1", 1, -230, "burned", "INV-000001"),
        ("pay-1", 2, -770, "burned", "INV-000002"),
        ("gift", 0, 1000, "granted", ""),
        ("gift", 1, -1000, "burned", "INV-000001"),
    ]
    [wallet] = book.wallets()
    assert wallet.paid("INV-000001") == Money(1230, USD)
    assert wallet.paid("INV-000002") == Money(770, USD)
    assert wallet.balance(LATER + timedelta(days=1)) == Money(0, USD)


def test_issuing_again_draws_nothing(book: Book) -> None:
    book.fund(topup(), at=BEFORE)
    book.issue([draft("a")], at=LATER)
    before = moves(book)
    book.issue([draft("a")], at=LATER + timedelta(days=1))
    assert moves(book) == before


def test_a_batch_that_is_refused_draws_nothing(book: Book) -> None:
    book.fund(topup(), at=BEFORE)
    book.issue([draft("a", cents=1000 + 1)], at=LATER)
    before = moves(book)
    with pytest.raises(Contradiction):
        book.issue([draft("b"), draft("a", cents=1240)], at=LATER)
    assert moves(book) == before


def test_only_money_of_the_invoices_currency_pays(book: Book) -> None:
    book.fund(topup(amount=Money(2000, Currency("EUR"))), at=BEFORE)
    book.issue([draft("a")], at=LATER)
    assert moves(book) == [("pay-1", 0, 2000, "granted", "")]


def test_moves_of_a_wallet_follow_each_other_in_time(book: Book) -> None:
    """The clock of the second writer is a day behind."""
    book.fund(topup(), at=LATER)
    book.issue([draft("a")], at=BEFORE)
    [wallet] = book.wallets()
    granted, burned = wallet.accounts[0].moves
    assert burned.at == granted.at + timedelta(milliseconds=1)
    assert wallet.balance(granted.at) == Money(2000, USD)


def test_what_is_left_of_a_grant_is_taken_out_once(book: Book) -> None:
    book.fund(topup(), at=BEFORE)
    book.issue([draft("a")], at=LATER)
    taken = book.withdraw(PAYER, "pay-1", why="account closed", at=LATER)
    assert taken is not None
    assert (taken.change, taken.kind, taken.cause) == (-770, MoveKind.WITHDRAWN, "account closed")
    assert book.withdraw(PAYER, "pay-1", why="account closed", at=LATER) is None
    assert moves(book)[-1] == ("pay-1", 2, -770, "withdrawn", "")
    with pytest.raises(BookError, match=r"has no grant 'pay-2'"):
        book.withdraw(PAYER, "pay-2", why="", at=LATER)


def test_a_low_balance_is_kept_once_per_crossing(book: Book) -> None:
    book.fund(topup(), at=BEFORE)
    assert book.warn_below(PAYER, Money(800, USD), at=BEFORE)
    assert not book.warn_below(PAYER, Money(800, USD), at=LATER)
    assert book.notice_lows(LATER) == ()
    book.issue([draft("a")], at=LATER)
    [low] = book.notice_lows(LATER + timedelta(days=1))
    assert (low.customer, low.balance, low.threshold) == (PAYER, Money(770, USD), Money(800, USD))
    assert low.at == LATER.replace(microsecond=123000)
    assert book.notice_lows(LATER + timedelta(days=2)) == ()
    book.fund(topup("pay-2", 1000), at=LATER + timedelta(days=3))
    book.issue([draft("b")], at=LATER + timedelta(days=4))
    [again] = book.notice_lows(LATER + timedelta(days=5))
    assert again.balance == Money(540, USD)
    assert book.lows() == (low, again)
    [wallet] = book.wallets(PAYER)
    assert wallet.threshold == Money(800, USD)


def test_a_threshold_of_zero_is_never_crossed(book: Book) -> None:
    assert not book.warn_below(PAYER, Money(0, USD), at=BEFORE), "nothing was said, and nothing is"
    assert book.warn_below(PAYER, Money(5, USD), at=BEFORE)
    assert book.warn_below(PAYER, Money(0, USD), at=LATER)
    [low] = book.notice_lows(LATER + timedelta(days=1))
    assert (low.at, low.threshold) == (BEFORE.replace(microsecond=123000), Money(5, USD))


def test_a_glance_is_what_the_whole_story_comes_to(book: Book) -> None:
    end = datetime(2026, 10, 1, tzinfo=UTC)
    book.fund(topup(expires=end), at=BEFORE)
    book.fund(topup("pay-2", 100), at=BEFORE)
    book.fund(replace(topup("yen"), customer="b", amount=Money(7, Currency("JPY"))), at=BEFORE)
    book.warn_below(PAYER, Money(5, USD), at=BEFORE)
    book.warn_below("c", Money(9, USD), at=BEFORE)
    book.issue([draft("a")], at=LATER)
    for at in (LATER + timedelta(days=1), end - timedelta(milliseconds=1), end):
        glances = book.glance(at)
        assert [(one.customer, one.balance, one.threshold) for one in glances] == [
            (wallet.customer, wallet.balance(at), wallet.threshold) for wallet in book.wallets()
        ]
        assert glances[0].balance == Money(870 if at < end else 100, USD)


def test_eight_threads_draw_on_one_wallet(book: Book) -> None:
    """Together they owe 984.00; the wallet holds 500.00 in ten grants and ends at nothing, every cent spent once."""
    for number in range(10):
        book.fund(topup(f"pay-{number}", 5000), at=BEFORE)
    failures: list[Exception] = []

    def issuer(thread: int) -> None:
        try:
            for month in range(1, 11):
                book.issue([draft(f"t{thread}", month=month)], at=LATER)
        except Exception as error:  # noqa: BLE001, shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=issuer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    [wallet] = book.wallets()
    assert wallet.balance(LATER + timedelta(days=1)) == Money(0, USD)
    numbers = [invoice.number for invoice in book.invoices()]
    paid = [wallet.paid(number).minor for number in numbers]
    assert sum(paid) == 50_000
    # In the order of their numbers: whole ones, then the one for which it did not last, then none.
    assert paid == [1230] * 40 + [800] + [0] * 39
