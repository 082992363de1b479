"""Accrue: usage and money to date, over arrays, equal to what the invoice would say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rating.adapters.memory_book import MemoryBook
from rating.core.subscriptions import Subscription
from rating.jobs.accrue import accrue, rows, show
from rating.jobs.bill import bill
from tests.stories import ACME, DAY, OCTOBER, close_days, contracts

MID_OCTOBER = OCTOBER.start + 15 * DAY + timedelta(hours=1)


def test_fifteen_days_of_ten_calls() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(15))
    [group] = accrue(book, contracts(ACME), now=MID_OCTOBER).plans
    [calls] = group.cards
    assert calls.rated.quantity.fractions() == [150]
    assert calls.rated.overage.fractions() == [50]
    assert calls.rated.amount.fractions() == [Fraction("0.75")]
    assert group.fee == 49


def test_consumers_nobody_subscribed_are_listed_not_dropped() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 1, "stranger": 7, "zorro": 1}, days=range(2))
    accrued = accrue(book, contracts(ACME), now=OCTOBER.start + 2 * DAY)
    assert accrued.unbilled == {"api_calls": {"stranger": 14, "zorro": 2}}
    assert accrued.through == {"api_calls": OCTOBER.start + 2 * DAY}


def test_a_subscription_that_has_not_begun_or_has_ended_accrues_nothing() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 1}, days=range(3))
    later = replace(ACME, start=MID_OCTOBER + DAY)
    ended = replace(ACME, consumer="gone", end=OCTOBER.start)
    assert accrue(book, contracts(later, ended), now=MID_OCTOBER).plans == ()


def test_subscriptions_with_different_parts_of_the_month_have_their_own_allowance() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10, "globex": 10}, days=range(16))
    half = Subscription("globex", "pro", OCTOBER.start + 10 * DAY)
    groups = accrue(book, contracts(ACME, half), now=MID_OCTOBER).plans
    allowances = {group.subscriptions[0].consumer: group.cards[0].card.included for group in groups}
    assert allowances == {"acme": 100, "globex": 68}, "21 of 31 days: 67.74, in whole requests"
    used = {group.subscriptions[0].consumer: group.cards[0].rated.quantity.fractions() for group in groups}
    assert used == {"acme": [160], "globex": [60]}


def test_what_is_shown_replaces_what_was_shown() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(15))
    show(book, accrue(book, contracts(ACME), now=MID_OCTOBER))
    show(book, accrue(book, contracts(ACME), now=MID_OCTOBER))
    assert [(row.card, row.quantity, Fraction(row.amount)) for row in book.accruals()] == [
        ("", 0, Fraction(49)),
        ("api_calls", 150, Fraction("0.75")),
    ]


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(0, 10**9), min_size=1))
def test_at_the_end_of_the_month_the_accrual_is_the_invoice_before_rounding(daily: dict[str, int]) -> None:
    book = MemoryBook()
    close_days(book, daily)
    subscribed = contracts(*(Subscription(consumer, "pro", OCTOBER.start) for consumer in sorted(daily)))
    accrued = accrue(book, subscribed, now=OCTOBER.end - timedelta(seconds=1))
    shown = {(row.subscription, row.card): Fraction(row.amount) for row in rows(accrued)}
    billed = bill(book, subscribed, now=OCTOBER.end, dry_run=True)
    lines = {(draft.subscription, line.card): line.exact for draft in billed.drafts for line in draft.lines}
    assert shown == lines
