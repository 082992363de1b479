"""Contracts of the catalogue and of the book together: no usage is billed under two of them."""

from __future__ import annotations

from datetime import UTC, datetime

from rating.adapters.memory_book import MemoryBook
from rating.core.subscriptions import Subscription
from rating.jobs import contracts
from rating.specs.compile import compile_catalogue

TEXT = """
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: consumer_id}
plans:
  pro: {charges: [{meter: calls, unit_price: "0.01"}]}
  scale: {charges: [{meter: calls, unit_price: "0.005"}]}
"""
OCTOBER, NOVEMBER = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
COMMANDED = Subscription("acme", "pro", OCTOBER)


def book() -> MemoryBook:
    kept = MemoryBook()
    kept.subscribe(COMMANDED, at=OCTOBER)
    return kept


def test_a_subscription_made_by_command_is_billed() -> None:
    known = contracts.gather(book(), compile_catalogue([("c.yaml", TEXT)]), now=NOVEMBER)
    assert (known.subscriptions, known.findings) == ((COMMANDED,), ())


def test_the_same_consumer_written_into_the_catalogue_later_is_billed_there_from_then_on() -> None:
    text = TEXT + "subscriptions: [{consumer: acme, plan: scale, start: 2026-11-01}]\n"
    known = contracts.gather(book(), compile_catalogue([("c.yaml", text)]), now=NOVEMBER)
    assert [(one.key, one.end) for one in known.subscriptions] == [
        ("acme/pro/2026-10-01", NOVEMBER),
        ("acme/scale/2026-11-01", None),
    ]
    assert [str(finding) for finding in known.findings] == [
        'subscription acme/pro/2026-10-01: would bill meter "calls" twice from 2026-11-01 00:00, together with '
        "acme/scale/2026-11-01; cancel one of them"
    ]


def test_a_plan_that_left_the_catalogue_still_holds_for_who_was_put_on_it() -> None:
    kept = book()
    contracts.keep(kept, compile_catalogue([("c.yaml", TEXT)]), now=OCTOBER)
    without = compile_catalogue([("c.yaml", TEXT.replace("  pro: {", "  other: {"))])
    contracts.keep(kept, without, now=NOVEMBER)
    known = contracts.gather(kept, without, now=NOVEMBER)
    assert known.subscriptions == (COMMANDED,)
    assert known.plan("pro", OCTOBER)[0].key == "pro"
