"""Parts: versions of a card, a consumer's own prices, trials and days meet in one billing period without overlap."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from rating.core.adjustments import Adjustments, Commitment
from rating.core.drafts import MeteredUsage, draft
from rating.core.parts import parts
from rating.core.periods import Period
from rating.core.plans import Prorate, Versions
from rating.core.prices.matrix import Cell, Matrix
from rating.core.prices.per_unit import PerUnit
from rating.core.ratecards import RateCard
from tests.stories import ACME, CALLS, DAY, OCTOBER, PRO

CARD = RateCard("calls", "Calls", CALLS, PerUnit(Fraction(1)), Fraction(310))


def october(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 10, day, hour, tzinfo=UTC)


def test_a_period_that_spans_two_versions_is_split_with_its_share_of_the_allowance() -> None:
    dearer = replace(CARD, price=PerUnit(Fraction(2)), since=october(11))
    plan = replace(PRO, fee=Fraction(0), cards=(CARD, dearer))
    before, after = parts(ACME, plan, OCTOBER)
    assert (before.span, before.card.included) == (Period(OCTOBER.start, october(11)), 100)
    assert (after.span, after.card.included) == (Period(october(11), OCTOBER.end), 210)
    usage = {
        ("api_calls", before.span): MeteredUsage(150),
        ("api_calls", after.span): MeteredUsage(250),
    }
    assert [line.exact for line in draft(ACME, plan, OCTOBER, usage, "c").lines] == [50, 80]


def test_earlier_subscriptions_keep_their_version_where_the_plan_says_so() -> None:
    dearer = replace(CARD, price=PerUnit(Fraction(2)), since=october(11))
    plan = replace(PRO, cards=(CARD, dearer), versions=Versions.NEW)
    [kept] = parts(ACME, plan, OCTOBER)
    assert (kept.card.price, kept.span) == (CARD.price, OCTOBER)
    [new] = parts(replace(ACME, start=october(20)), plan, OCTOBER)
    assert new.card.price == dearer.price


def test_a_consumers_own_card_stands_in_place_of_the_plans() -> None:
    own = replace(CARD, price=PerUnit(Fraction("0.5")))
    [part] = parts(replace(ACME, overrides=(own,)), replace(PRO, cards=(CARD,)), OCTOBER)
    assert part.card.price == own.price


def test_a_trial_is_not_billed_and_what_follows_is_a_part() -> None:
    plan = replace(PRO, cards=(CARD,))
    trial = replace(ACME, trial_end=october(1) + 10 * DAY)
    [part] = parts(trial, plan, OCTOBER)
    assert (part.span, part.card.included) == (Period(october(11), OCTOBER.end), 210)
    assert parts(replace(ACME, trial_end=OCTOBER.end), plan, OCTOBER) == ()


def test_by_day_the_day_of_the_change_belongs_to_what_begins_on_it() -> None:
    plan = replace(PRO, cards=(CARD,), prorate=Prorate.DAY)
    [before] = parts(replace(ACME, end=october(11, 18)), plan, OCTOBER)
    [after] = parts(replace(ACME, start=october(11, 18)), plan, OCTOBER)
    assert (before.share, after.share) == (Fraction(10, 31), Fraction(21, 31))
    kolkata = replace(ACME, start=october(11, 18), zone=ZoneInfo("Asia/Kolkata"))
    local = Period(datetime(2026, 9, 30, 18, 30, tzinfo=UTC), datetime(2026, 10, 31, 18, 30, tzinfo=UTC))
    assert parts(kolkata, plan, local)[0].share == Fraction(21, 31), "18:00 UTC is 23:30 on the 11th there"


def test_commitment_cap_and_minimum_are_promised_for_a_whole_period() -> None:
    card = replace(
        CARD,
        commitment=Commitment(amount=Fraction(310), true_up=True),
        adjustments=Adjustments(maximum=Fraction(620), minimum=Fraction(31)),
    )
    [part] = parts(replace(ACME, start=october(22)), replace(PRO, cards=(card,)), OCTOBER)
    assert part.card.commitment is not None
    assert part.card.commitment.amount == 100
    assert (part.card.adjustments.maximum, part.card.adjustments.minimum) == (200, 10)


def test_a_matrix_prices_each_kind_and_the_allowance_is_used_up_in_their_order() -> None:
    cells = (Cell({"endpoint": "/a"}, PerUnit(Fraction(1))), Cell({"endpoint": "/b"}, PerUnit(Fraction(10))))
    card = RateCard("calls", "Calls", CALLS, Matrix(("endpoint",), cells, PerUnit(Fraction(100))), Fraction(5))
    plan = replace(PRO, fee=Fraction(0), cards=(card,))
    mix = {(OCTOBER.start, ("/a",)): 3, (OCTOBER.start, ("/b",)): 4, (OCTOBER.start + DAY, ("/c",)): 1}
    [line] = draft(ACME, plan, OCTOBER, {("api_calls", OCTOBER): MeteredUsage(8, mix=mix)}, "c").lines
    assert line.quantity == 8
    assert [(step.what, step.quantity, step.amount) for step in line.portions] == [
        ("included", 5, 0),
        ("/b: per unit", 2, 20),
        ("/c: per unit", 1, 100),
    ]
    assert line.exact == 120


@given(st.lists(st.integers(1, 30), max_size=4, unique=True), st.integers(0, 400), st.integers(0, 700))
def test_parts_of_one_card_tile_what_is_billed(changes: list[int], trial_hours: int, end_hours: int) -> None:
    versions = tuple(replace(CARD, since=october(day)) for day in sorted(changes))
    subscription = replace(
        ACME,
        trial_end=OCTOBER.start + trial_hours * DAY / 24,
        end=OCTOBER.start + (end_hours + 1) * DAY / 24,
    )
    found = parts(subscription, replace(PRO, cards=(CARD, *versions)), OCTOBER)
    billed = subscription.billed(OCTOBER)
    if billed is None:
        assert found == ()
        return
    assert found[0].span.start == billed.start
    assert found[-1].span.end == billed.end
    assert all(one.span.end == other.span.start for one, other in pairwise(found))
    assert sum(part.share for part in found) == billed.share_of(OCTOBER)
