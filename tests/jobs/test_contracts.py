"""Contracts: a period is billed under the catalogue that was in force when it began."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.core.catalogue import Catalogue
from rating.errors import NoPlanInForce, SpecError
from rating.jobs import contracts
from rating.specs.compile import compile_catalogue

TEXT = """
version: 1
currency: USD
meters:
  api_calls: {metric: api_requests_total, consumer: consumer_id}
plans:
  pro: {name: Pro, period: month, fee: "%s", charges: [{meter: api_calls, unit_price: "0.01"}]}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01}
"""


def at(month: int, day: int) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def catalogue(fee: str = "49.00", more: str = "") -> Catalogue:
    return compile_catalogue([("plans.yaml", TEXT % fee + more)])


def test_a_price_edited_in_mid_october_reaches_november() -> None:
    book = MemoryBook()
    assert contracts.keep(book, catalogue("49.00"), now=at(10, 1))
    assert not contracts.keep(book, catalogue("49.00"), now=at(10, 2)), "nothing changed"
    assert contracts.keep(book, catalogue("59.00"), now=at(10, 15))
    known = contracts.gather(book, catalogue("59.00"), now=at(10, 16))
    assert known.plan("pro", at(10, 1))[0].fee == 49
    assert known.plan("pro", at(11, 1))[0].fee == 59


def test_the_first_catalogue_ever_kept_holds_for_the_time_before_it() -> None:
    book = MemoryBook()
    contracts.keep(book, catalogue("49.00"), now=at(11, 20))
    assert contracts.gather(book, catalogue("49.00"), now=at(11, 20)).plan("pro", at(10, 1))[0].fee == 49


def test_adopting_makes_an_edit_reach_back() -> None:
    book = MemoryBook()
    contracts.keep(book, catalogue("49.00"), now=at(9, 1))
    contracts.keep(book, catalogue("59.00"), now=at(10, 15))
    contracts.adopt(book, catalogue("59.00"), since=at(10, 1), now=at(10, 16))
    known = contracts.gather(book, catalogue("59.00"), now=at(10, 17))
    assert [known.plan("pro", at(month, 1))[0].fee for month in (9, 10, 11)] == [49, 59, 59]


def test_going_back_to_an_old_text_is_a_change_too() -> None:
    book = MemoryBook()
    contracts.keep(book, catalogue("49.00"), now=at(8, 1))
    contracts.keep(book, catalogue("59.00"), now=at(9, 15))
    contracts.keep(book, catalogue("49.00"), now=at(10, 15))
    known = contracts.gather(book, catalogue("49.00"), now=at(10, 16))
    assert [known.plan("pro", at(month, 1))[0].fee for month in (9, 10, 11)] == [49, 59, 49]


def test_a_dry_run_sees_the_edit_without_keeping_it() -> None:
    book = MemoryBook()
    contracts.keep(book, catalogue("49.00"), now=at(10, 1))
    known = contracts.gather(book, catalogue("59.00"), now=at(10, 15))
    assert known.plan("pro", at(10, 1))[0].fee == 49
    assert known.plan("pro", at(11, 1))[0].fee == 59
    assert len(book.catalogues()) == 1


def test_a_plan_written_down_later_is_taken_from_the_first_version_that_has_it() -> None:
    book = MemoryBook()
    contracts.keep(book, catalogue(), now=at(10, 1))
    text = TEXT % "49.00"
    grown = text.replace("subscriptions:", '  scale: {name: Scale, period: month, fee: "199.00"}\nsubscriptions:')
    later = compile_catalogue([("plans.yaml", grown)])
    contracts.keep(book, later, now=at(10, 5))
    known = contracts.gather(book, later, now=at(10, 6))
    assert known.plan("scale", at(10, 1))[0].fee == Fraction(199)
    with pytest.raises(NoPlanInForce, match='plan "gold" is in no catalogue'):
        known.plan("gold", at(10, 1))


def test_a_subscription_deleted_from_the_file_is_still_billed_and_said_so() -> None:
    book = MemoryBook()
    contracts.keep(book, catalogue(), now=at(10, 1))
    without = compile_catalogue([("plans.yaml", (TEXT % "49.00").partition("subscriptions:")[0])])
    known = contracts.gather(book, without, now=at(10, 20))
    assert [subscription.consumer for subscription in known.subscriptions] == ["acme"]
    assert "still billed" in str(known.findings[0])


def test_a_meter_keeps_the_resolution_that_the_book_counts_it_in() -> None:
    """Integers in the book mean nothing without their resolution: 1000 seconds would become one."""
    book = MemoryBook()
    contracts.keep(book, catalogue(), now=at(10, 1))
    text = (TEXT % "49.00").replace("consumer_id}", "consumer_id, resolution: '0.001'}")
    finer = compile_catalogue([("plans.yaml", text)])
    refused = "meter api_calls: counts with 3 decimals, and its windows in the book are counted with 0"
    for attempt in (
        lambda: contracts.keep(book, finer, now=at(10, 2)),
        lambda: contracts.adopt(book, finer, since=at(10, 1), now=at(10, 2)),
        lambda: contracts.gather(book, finer, now=at(10, 2)),
    ):
        with pytest.raises(SpecError, match=refused):
            attempt()
    assert len(book.catalogues()) == 1


def test_a_meter_is_measured_from_when_somebody_is_billed_by_it() -> None:
    book = MemoryBook()
    contracts.keep(book, catalogue(), now=at(10, 1))
    text = TEXT % "49.00"
    grown = text.replace(
        "plans:",
        "  tokens: {metric: tokens_total, consumer: consumer_id}\n  spare: {metric: spare_total, consumer: c}\nplans:",
    )
    grown = grown.replace('"0.01"}]', '"0.01"}, {meter: tokens, unit_price: "0.02"}]')
    later = compile_catalogue([("plans.yaml", grown)])
    contracts.keep(book, later, now=at(10, 15))
    known = contracts.gather(book, later, now=at(10, 16))
    assert contracts.metered_from(known) == {"api_calls": at(10, 1), "tokens": at(10, 15)}


def test_a_plan_written_down_late_is_measured_from_where_its_subscription_began() -> None:
    book = MemoryBook()
    contracts.keep(book, catalogue(), now=at(10, 1))
    more = TEXT.replace(
        "subscriptions:", "  late: {period: month, charges: [{meter: spare, unit_price: 1}]}\nsubscriptions:"
    )
    more = more.replace("plans:", "  spare: {metric: spare_total, consumer: consumer_id}\nplans:")
    later = compile_catalogue(
        [("plans.yaml", more % "49.00" + "  - {consumer: bolt, plan: late, start: 2026-10-02}\n")]
    )
    contracts.keep(book, later, now=at(10, 5))
    known = contracts.gather(book, later, now=at(10, 6))
    assert contracts.metered_from(known) == {"api_calls": at(10, 1), "spare": at(10, 2)}
    assert known.plan("late", at(10, 1))[0].key == "late"
