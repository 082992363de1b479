"""Simulate: October once more under other prices, who would pay more and who less, the book untouched."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from rating.adapters.memory_book import MemoryBook
from rating.core.money import Currency
from rating.core.periods import Cadence, Period
from rating.core.plans import Plan
from rating.core.prices.per_unit import PerUnit
from rating.core.subscriptions import Subscription
from rating.jobs.simulate import Simulation, simulate
from tests.stories import ACME, CALLS, OCTOBER, PRO, close_days, contracts

GLOBEX = Subscription("globex", "pro", OCTOBER.start, customer="Globex Corporation")
DEARER = replace(PRO, cards=(replace(PRO.cards[0], price=PerUnit(Fraction("0.02"))),))
CHEAPER_FEE = replace(DEARER, fee=Fraction(40))


def october(after: dict[str, Plan], *, moves: dict[str, str] | None = None, days: int = 31) -> Simulation:
    book = MemoryBook()
    close_days(book, {"acme": 40, "globex": 1}, days=range(days))
    now = contracts(ACME, GLOBEX)
    simulation = simulate(book, now.subscriptions, now.plan, after, span=OCTOBER, moves=moves)
    assert book.invoices() == ()
    return simulation


def test_the_same_prices_change_nothing() -> None:
    simulation = october({"pro": PRO})
    assert [(one.consumer, one.change.minor) for one in simulation.changes] == [("acme", 0), ("globex", 0)]
    assert simulation.findings == ()


def test_who_uses_much_pays_more_and_who_uses_little_pays_less() -> None:
    simulation = october({"pro": CHEAPER_FEE})
    # acme: 31 days of 40 are 1,240 calls, 1,140 beyond the allowance.
    # Before: 49 + 200 * 0.015 + 940 * 0.0101 = 61.494. After: 40 + 1,140 * 0.02 = 62.80.
    acme, globex = simulation.changes
    assert (acme.before.digits, acme.after.digits, acme.change.digits) == ("61.49", "62.80", "1.31")
    assert (globex.customer, globex.change.digits) == ("Globex Corporation", "-9.00")
    [(before, after)] = simulation.revenue.values()
    assert (before.digits, after.digits) == ("110.49", "102.80")


def test_subscribers_can_be_moved_to_another_plan() -> None:
    other = replace(PRO, key="scale", fee=Fraction(10))
    simulation = october({"scale": other}, moves={"pro": "scale"})
    assert {one.plan for one in simulation.changes} == {"pro > scale"}
    assert {one.change.digits for one in simulation.changes} == {"-39.00"}


def test_what_cannot_be_compared_is_said_and_left_out() -> None:
    for other, sentence in (
        ({}, 'plan "pro": is not in the other catalogue; say where its consumers go: --move pro=PLAN (warning)'),
        (
            {"pro": replace(PRO, currency=Currency("EUR"))},
            'plan "pro": is in USD and would be in EUR; left out (warning)',
        ),
        (
            {"pro": replace(PRO, cadence=Cadence.YEAR)},
            'plan "pro": is billed each month and would be each year; left out (warning)',
        ),
    ):
        simulation = october(other)
        assert simulation.rerated == ()
        assert [str(finding) for finding in simulation.findings] == [sentence]


def test_a_meter_nobody_measured_counts_nothing_and_is_said() -> None:
    images = replace(PRO.cards[0], key="images", meter=replace(CALLS, name="images"))
    simulation = october({"pro": replace(PRO, cards=(*PRO.cards, images))})
    assert [one.change.minor for one in simulation.changes] == [0, 0]
    assert 'meter "images" was never measured' in str(simulation.findings[0])


def test_a_finer_resolution_in_the_new_catalogue_does_not_change_what_was_counted() -> None:
    finer = replace(PRO, cards=(replace(PRO.cards[0], meter=replace(CALLS, digits=3)),))
    assert [one.change.minor for one in october({"pro": finer}).changes] == [0, 0]


def test_a_month_that_is_not_measured_to_its_end_is_rated_on_what_is_there_and_said() -> None:
    simulation = october({"pro": PRO}, days=10)
    assert not any(one.whole for one in simulation.rerated)
    assert str(simulation.findings[0]) == (
        "from 2026-10-01 00:00: 2 billing periods are not measured to their end, such as acme/pro/2026-10-01; "
        "both sides are rated on what is there (warning)"
    )


def test_only_periods_that_begin_inside_the_span_are_rated() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 1})
    now = contracts(ACME)
    span = Period(datetime(2026, 10, 2, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    simulation = simulate(book, now.subscriptions, now.plan, {"pro": PRO}, span=span)
    assert [one.period.start.month for one in simulation.rerated] == [11]
