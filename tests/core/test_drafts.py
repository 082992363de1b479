"""Drafts: one subscription, one period, its usage and the contract give the lines of an invoice, to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.drafts import MeteredUsage, draft
from rating.core.money import Rounding, round_amount
from rating.core.periods import Period
from tests.stories import ACME, OCTOBER, PRO


def used(quantity: int, span: Period = OCTOBER) -> dict[tuple[str, Period], MeteredUsage]:
    return {("api_calls", span): MeteredUsage(quantity, windows=31)}


@pytest.mark.parametrize(
    ("story", "quantity", "exact", "line"),
    [
        ("nothing used", 0, "0", "0.00 USD"),
        ("the allowance exactly", 100, "0", "0.00 USD"),
        ("one beyond the allowance", 101, "0.015", "0.02 USD"),
        ("the first tier exactly: its bound counts what is beyond the allowance", 300, "3", "3.00 USD"),
        ("one into the second tier", 301, "3.0101", "3.01 USD"),
        ("a lot", 1_000_300, "10103", "10103.00 USD"),
    ],
)
def test_a_usage_line_is_rounded_once_and_keeps_what_was_rounded(
    story: str, quantity: int, exact: str, line: str
) -> None:
    usage = draft(ACME, PRO, OCTOBER, used(quantity), "c").lines[1]
    assert (usage.exact, str(usage.amount)) == (Fraction(exact), line), story
    assert sum((portion.amount for portion in usage.portions), Fraction(0)) == usage.exact


def test_the_fee_is_its_own_line_and_the_total_is_the_sum_of_rounded_lines() -> None:
    invoice = draft(ACME, PRO, OCTOBER, used(101), "c")
    assert [(line.title, str(line.amount)) for line in invoice.lines] == [
        ("Pro fee", "49.00 USD"),
        ("API calls", "0.02 USD"),
    ]
    assert str(invoice.total) == "49.02 USD"
    assert invoice.key == "acme/pro/2026-10-01/2026-10-01T00:00:00+00:00"


def test_a_part_of_a_period_has_that_part_of_fee_and_allowance() -> None:
    """Joined on 17 October at noon: 14.5 of 31 days."""
    joined = replace(ACME, start=datetime(2026, 10, 17, 12, tzinfo=UTC))
    fee, calls = draft(joined, PRO, OCTOBER, used(147, Period(joined.start, OCTOBER.end)), "c").lines
    assert fee.exact == Fraction(49) * Fraction(29, 62)
    assert (fee.title, str(fee.amount)) == ("Pro fee, 29/62 of the period", "22.92 USD")
    assert calls.included == 47, "100 * 29/62 = 46.77, in whole requests"
    assert calls.exact == 100 * Fraction("0.015")
    assert (fee.period.start, fee.period.end) == (joined.start, OCTOBER.end)


def test_half_even_is_a_choice_of_the_plan() -> None:
    plan = replace(PRO, rounding=Rounding.HALF_EVEN, fee=Fraction("48.125"))
    assert [str(line.amount) for line in draft(ACME, plan, OCTOBER, used(103), "c").lines] == ["48.12 USD", "0.04 USD"]


def test_a_subscription_outside_the_period_has_no_invoice() -> None:
    later = replace(ACME, start=OCTOBER.end)
    with pytest.raises(ValueError, match="not billed"):
        draft(later, PRO, OCTOBER, {}, "c")


@given(st.integers(0, 10**15))
def test_the_same_windows_and_contract_give_the_same_invoice_in_plain_fractions(quantity: int) -> None:
    """The slow, obvious evaluation of this one plan."""
    overage = max(0, quantity - 100)
    amount = min(overage, 200) * Fraction("0.015") + max(0, overage - 200) * Fraction("0.0101")
    [_, calls] = draft(ACME, PRO, OCTOBER, used(quantity), "c").lines
    assert calls.exact == amount
    assert calls.amount == round_amount(amount, PRO.currency)
