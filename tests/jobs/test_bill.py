"""Bill: every invoice once, from whole usage only, and a sentence for each that waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.core.periods import Period
from rating.core.subscriptions import Subscription
from rating.core.windows import Completeness, Held
from rating.errors import Contradiction
from rating.jobs.bill import bill
from rating.jobs.explain import explain
from tests.stories import ACME, DAY, OCTOBER, close_days, contracts

AFTER = OCTOBER.end + timedelta(hours=1)
GLOBEX = Subscription("globex", "pro", OCTOBER.start)


def test_october_is_billed_once_however_often_it_is_asked_for() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10, "globex": 1})
    first = bill(book, contracts(ACME, GLOBEX), now=AFTER)
    assert [(i.number, i.draft.consumer, str(i.total)) for i in first.issued] == [
        ("INV-000001", "acme", "52.10 USD"),
        ("INV-000002", "globex", "49.00 USD"),
    ]
    again = bill(book, contracts(ACME, GLOBEX), now=AFTER)
    assert (again.issued, again.postponed) == ((), ())
    assert len(book.invoices()) == 2


def test_a_period_that_has_not_ended_is_not_due() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10})
    billed = bill(book, contracts(ACME), now=OCTOBER.end - timedelta(seconds=1))
    assert (billed.issued, billed.postponed) == ((), ())


def test_a_missing_window_postpones_the_invoice_and_says_which() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(30))
    billed = bill(book, contracts(ACME), now=AFTER)
    assert billed.issued == ()
    [waiting] = billed.postponed
    assert waiting.reasons == ("meter api_calls: 1 windows not closed, the first at 2026-10-31 00:00",)
    close_days(book, {"acme": 10}, days=range(30, 31))
    assert len(bill(book, contracts(ACME), now=AFTER).issued) == 1


def test_a_held_window_is_never_billed_around() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(5))
    close_days(book, {"acme": 10}, days=range(6, 31))
    last = OCTOBER.start + 5 * DAY
    book.hold(Held("api_calls", Period(last, last + DAY), "no answer"), at=AFTER)
    [waiting] = bill(book, contracts(ACME), now=AFTER).postponed
    assert "1 windows not closed, 1 of them held, the first at 2026-10-06" in waiting.reasons[0]


def test_zero_usage_is_billed_on_the_windows_that_prove_it() -> None:
    book = MemoryBook()
    close_days(book, {})
    [invoice] = bill(book, contracts(ACME), now=AFTER).issued
    line = invoice.draft.lines[1]
    assert (line.quantity, line.windows, str(line.amount)) == (0, 31, "0.00 USD")


def test_a_dry_run_rates_and_issues_nothing() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10})
    billed = bill(book, contracts(ACME), now=AFTER, dry_run=True)
    assert [str(draft.total) for draft in billed.drafts] == ["52.10 USD"]
    assert book.invoices() == ()


def test_consumer_and_first_day_choose() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10})
    both = contracts(ACME, GLOBEX)
    assert bill(book, both, now=AFTER, consumer="globex", dry_run=True).drafts[0].consumer == "globex"
    november = (date(2026, 11, 1), date(2026, 12, 1))
    assert bill(book, both, now=AFTER, starting=november, dry_run=True).drafts == ()
    october = (date(2026, 10, 1), date(2026, 11, 1))
    assert len(bill(book, both, now=AFTER, starting=october, dry_run=True).drafts) == 2


def test_usage_before_the_subscription_began_is_not_its() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10})
    joined = replace(ACME, start=OCTOBER.start + 30 * DAY)
    [invoice] = bill(book, contracts(joined), now=AFTER).issued
    assert invoice.draft.lines[1].quantity == 10
    assert invoice.draft.lines[1].windows == 1


def test_degraded_windows_are_counted_on_the_line() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(30))
    close_days(book, {"acme": 10}, days=range(30, 31), completeness=Completeness.DEGRADED)
    [invoice] = bill(book, contracts(ACME), now=AFTER).issued
    assert invoice.draft.lines[1].degraded == 1


def test_a_period_issued_under_other_terms_is_a_contradiction_not_a_second_invoice() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10})
    [invoice] = bill(book, contracts(ACME), now=AFTER).issued
    dearer = replace(invoice.draft, plan="scale")
    with pytest.raises(Contradiction):
        book.issue([dearer], at=AFTER)


def test_every_line_is_explained_by_the_windows_in_the_book() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10, "globex": 3})
    [invoice] = bill(book, contracts(ACME), now=AFTER).issued
    fee, calls = explain(book, invoice)
    assert fee.agrees
    assert fee.heads == ()
    assert calls.agrees
    assert [quantity for _, _, quantity in calls.by_day(ACME.zone)] == [10] * 31
    tampered = replace(invoice.draft.lines[1], usage_digest="0" * 64)
    forged = replace(invoice, draft=replace(invoice.draft, lines=(invoice.draft.lines[0], tampered)))
    assert not explain(book, forged, [2])[0].agrees


def test_months_missed_are_billed_oldest_first() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 10}, days=range(61))
    billed = bill(book, contracts(ACME), now=datetime(2026, 12, 1, 1, tzinfo=UTC))
    assert [invoice.draft.days[0] for invoice in billed.issued] == [date(2026, 10, 1), date(2026, 11, 1)]
