"""Contracts in the book: catalogues by digest, subscriptions by key, each kept once; and the accruals shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rating.core.subscriptions import Subscription
from rating.errors import BookError, Contradiction
from rating.ports import Accrual, Book, KeptCatalogue

from .books import LATER

AUGUST_1 = datetime(2026, 8, 1, tzinfo=UTC)
OCTOBER_1 = datetime(2026, 10, 1, tzinfo=UTC)
ACME = Subscription(
    consumer="acme",
    plan="pro",
    start=AUGUST_1,
    customer="Acme Holding",
    anchor=date(2026, 1, 31),
    zone=ZoneInfo("Europe/Berlin"),
)
AT = LATER.replace(microsecond=123000)


def test_a_catalogue_is_kept_once_for_each_day_it_is_in_force_from(book: Book) -> None:
    assert book.keep_catalogue("d1", "currency: USD\n", in_force_from=OCTOBER_1, at=LATER)
    assert not book.keep_catalogue("d1", "currency: USD\n", in_force_from=OCTOBER_1, at=LATER)
    assert book.keep_catalogue("d2", "currency: EUR\n", in_force_from=AUGUST_1, at=LATER)
    assert book.keep_catalogue("d2", "currency: EUR\n", in_force_from=OCTOBER_1, at=LATER + timedelta(hours=1))
    assert book.catalogues() == (
        KeptCatalogue("d2", "currency: EUR\n", AUGUST_1, AT),
        KeptCatalogue("d1", "currency: USD\n", OCTOBER_1, AT),
        KeptCatalogue("d2", "currency: EUR\n", OCTOBER_1, AT + timedelta(hours=1)),
    )


def test_a_digest_names_one_text(book: Book) -> None:
    book.keep_catalogue("d1", "currency: USD\n", in_force_from=AUGUST_1, at=LATER)
    with pytest.raises(Contradiction, match="catalogue d1 was kept with 14 characters"):
        book.keep_catalogue("d1", "currency: EUR\n", in_force_from=OCTOBER_1, at=LATER)
    assert [kept.text for kept in book.catalogues()] == ["currency: USD\n"]


def test_a_subscription_comes_back_as_it_was_made(book: Book) -> None:
    later = replace(ACME, consumer="zeta", start=OCTOBER_1, end=OCTOBER_1 + timedelta(days=40))
    assert book.subscribe(later, at=LATER)
    assert book.subscribe(ACME, at=LATER)
    assert not book.subscribe(ACME, at=LATER + timedelta(days=1))
    assert book.subscriptions() == (ACME, later)


def test_a_key_with_another_customer_is_a_contradiction(book: Book) -> None:
    book.subscribe(ACME, at=LATER)
    with pytest.raises(Contradiction, match=r"acme/pro/2026-08-01 was kept as .*Acme Holding.* and is now .*Beta"):
        book.subscribe(replace(ACME, customer="Beta"), at=LATER)
    assert book.subscriptions() == (ACME,)


def test_a_cancelled_subscription_ends(book: Book) -> None:
    book.subscribe(ACME, at=LATER)
    book.cancel(ACME.key, end=OCTOBER_1, at=LATER)
    book.cancel(ACME.key, end=OCTOBER_1, at=LATER + timedelta(days=1))
    assert book.subscriptions() == (replace(ACME, end=OCTOBER_1),)
    with pytest.raises(Contradiction, match="cancelled for 2026-10-01 00:00 and is now cancelled for 2026-10-02 00:00"):
        book.cancel(ACME.key, end=OCTOBER_1 + timedelta(days=1), at=LATER)
    assert book.subscriptions() == (replace(ACME, end=OCTOBER_1),)
    # Subscribing again with the content it was made with is still nothing.
    assert not book.subscribe(ACME, at=LATER)


def test_nothing_is_cancelled_that_is_not_there_or_before_it_starts(book: Book) -> None:
    with pytest.raises(BookError, match="there is no subscription acme/pro/2026-08-01"):
        book.cancel(ACME.key, end=OCTOBER_1, at=LATER)
    book.subscribe(ACME, at=LATER)
    with pytest.raises(BookError, match="starts 2026-08-01 00:00 and cannot end before it, 2026-07-31 00:00"):
        book.cancel(ACME.key, end=AUGUST_1 - timedelta(days=1), at=LATER)
    assert book.subscriptions() == (ACME,)


def test_accruals_shown_replace_those_before(book: Book) -> None:
    first = [Accrual("b", "api", AUGUST_1, 118, "59/10"), Accrual("a", "api", AUGUST_1, 5, "1/4")]
    book.show_accruals(first, at=LATER)
    assert book.accruals() == (first[1], first[0])
    second = [Accrual("a", "", AUGUST_1, 0, "49/1"), Accrual("a", "api", AUGUST_1, 2**63 - 1, "10/3")]
    book.show_accruals(second, at=LATER)
    assert book.accruals() == tuple(second)
    book.show_accruals([], at=LATER)
    assert book.accruals() == ()


def test_an_accrual_beyond_64_bits_leaves_those_shown(book: Book) -> None:
    shown = Accrual("a", "api", AUGUST_1, 5, "1/4")
    book.show_accruals([shown], at=LATER)
    with pytest.raises(BookError, match="beyond 9223372036854775807"):
        book.show_accruals([shown, shown._replace(quantity=2**63)], at=LATER)
    assert book.accruals() == (shown,)


def test_many_accruals_are_shown_at_once(book: Book) -> None:
    many = [Accrual(f"consumer-{number:06d}", "api", AUGUST_1, number, f"{number}/3") for number in range(120_000)]
    book.show_accruals(many, at=LATER)
    assert book.accruals() == tuple(many)


def test_a_job_is_claimed_by_one_at_a_time(book: Book) -> None:
    with book.claim("collect") as first, book.claim("collect") as second, book.claim("bill") as other:
        assert (first, second, other) == (True, False, True)
    with book.claim("collect") as again:
        assert again


def test_a_claim_ends_with_its_context_even_when_the_job_fails(book: Book) -> None:
    with pytest.raises(ZeroDivisionError), book.claim("collect"):
        raise ZeroDivisionError
    with book.claim("collect") as again:
        assert again
