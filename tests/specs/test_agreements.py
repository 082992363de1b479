"""What is agreed beside a price: the words for it, the values they become, and what cannot be meant."""

from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from rating.core.adjustments import Adjustments, Commitment, Discount, DiscountKind, Ramp
from rating.core.balances import Credit
from rating.core.charges import rate_mixed
from rating.core.money import Rounding
from rating.core.plans import Prorate, Versions
from rating.core.prices.converted import Conversion
from rating.core.prices.graduated_percentage import GraduatedPercentage
from rating.core.settlements import Settlement
from rating.core.taxes import Tax
from rating.specs.compile import compile_catalogue, examine

AGREED = (Path(__file__).parent / "golden" / "agreed.yaml").read_text()
CATALOGUE = compile_catalogue([("agreed.yaml", AGREED)])
PLAN = CATALOGUE.plans["ai"]


def test_the_whole_plan() -> None:
    assert (PLAN.prorate, PLAN.versions) == (Prorate.DAY, Versions.NEW)
    assert PLAN.settlement == Settlement(
        discounts=(
            Discount(DiscountKind.PERCENTAGE, Fraction(10), date(2026, 1, 1), date(2027, 1, 1), "WELCOME", 3),
            Discount(DiscountKind.FIXED, Fraction(5)),
        ),
        maximum=Fraction(500),
        minimum=Fraction(10),
        taxes=(Tax("VAT", Fraction(19)),),
    )


def test_one_charge() -> None:
    card = PLAN.cards[0]
    assert card.conversion == Conversion(Fraction(1, 1000), Rounding.UP)
    assert card.commitment == Commitment(Fraction(100), None, Fraction(3, 2), True)
    assert card.adjustments == Adjustments((Discount(DiscountKind.PERCENTAGE, Fraction(5)),), None, Fraction(1))
    # Thousands of tokens, begun ones in full, 10 included: 2,000 of them at 0.06 are 120, 20 beyond the promised 100.
    # The overage costs half as much again, so 130, less 5 %.
    rated, _ = rate_mixed(card, {("large", "out"): Fraction(2_009_001)})
    assert rated.amount.fractions() == [Fraction("123.5")]


def test_a_ramp_is_one_promise_for_each_period() -> None:
    promise = 'commitment: {amount: "100", overage_factor: "1.5", true_up: true}'
    text = AGREED.replace(promise, "ramp: [{amount: 50}, {amount: 80}]")
    catalogue = compile_catalogue([("ramp.yaml", text)])
    assert catalogue.plans["ai"].cards[0].commitment == Ramp((Commitment(Fraction(50)), Commitment(Fraction(80))))
    assert compile_catalogue([("again.yaml", catalogue.text)]) == catalogue


def test_versions_stand_beside_each_other_and_begin_at_midnight_of_the_zone() -> None:
    first, second, _ = PLAN.cards
    assert (first.key, second.key) == ("tokens", "tokens")
    assert (first.since, second.since) == (None, datetime(2026, 12, 31, 23, tzinfo=UTC))


def test_one_consumer() -> None:
    [acme] = CATALOGUE.subscriptions
    assert acme.trial_end == datetime(2026, 10, 14, 22, tzinfo=UTC)
    assert acme.credits == (Credit(Fraction(50), "gift", 1, datetime(2026, 12, 31, 23, tzinfo=UTC)),)
    [own] = acme.overrides
    assert acme.own(PLAN.cards[2]) is own
    assert isinstance(own.price, GraduatedPercentage)
    assert acme.own(PLAN.cards[0]) is PLAN.cards[0]


def test_it_survives_its_canonical_text() -> None:
    assert compile_catalogue([("again.yaml", CATALOGUE.text)]) == CATALOGUE


# what is changed -> what is said, all of it
MISTAKES = {
    "a discount of both kinds": (
        '{amount: "5"}',
        '{amount: "5", percent: 5%}',
        'agreed.yaml:19: plan "ai", discount 2: a discount takes a percentage or an amount; '
        "write exactly one of percent and amount",
    ),
    "more than everything off": (
        '{amount: "5"}',
        "{percent: 150%}",
        'agreed.yaml:19: plan "ai", discount 2, percent: 150% is more than there is; write up to 100%',
    ),
    "redemptions of nothing that can be counted": (
        '{amount: "5"}',
        '{amount: "5", redemptions: 2}',
        'agreed.yaml:19: plan "ai", discount 2: redemptions are counted by the discount\'s code; add a code',
    ),
    "a cap below the minimum": (
        'maximum: "500"',
        "maximum: 5",
        'agreed.yaml:20: plan "ai", maximum: 5 is less than the minimum 10; '
        "a minimum applies after the cap, so nothing else would ever be owed",
    ),
    "a second version without a date": (
        "        from: 2027-01-01\n",
        "",
        'agreed.yaml:36: plan "ai", meter "tokens": charge 2 has the key "tokens" of charge 1, '
        'so this usage would be billed twice; remove one, give it "from" if it is the next version, '
        'or a "key" of its own if both are meant',
    ),
    "a version in the middle of a window": (
        "from: 2027-01-01",
        "from: 2027-01-01T00:30Z",
        'agreed.yaml:37: plan "ai", meter "tokens", from: 2027-01-01 00:30 UTC lies inside a window of 1h of meter '
        '"tokens"; write 2027-01-01 00:00 UTC, or shorten the window',
    ),
    "a matrix by a label the meter does not keep": (
        "by: [model, direction]",
        "by: [modl, model, direction]",
        'agreed.yaml:31: plan "ai", meter "tokens", matrix, by 1: the meter does not keep the label "modl"; '
        'did you mean "model"?',
    ),
    "a band in the middle of a window": (
        'start: "22:00"',
        'start: "22:30"',
        'agreed.yaml:40: plan "ai", meter "tokens", times, band 1, start: 22:30 in Europe/Berlin lies inside '
        'a window of 1h of meter "tokens"; shorten the window',
    ),
    "units promised of a price by dimension": (
        'commitment: {amount: "100"',
        "commitment: {quantity: 100",
        'agreed.yaml:27: plan "ai", meter "tokens", commitment, quantity: units cannot be promised where their price '
        "depends on what they are or when they were used; promise an amount of money",
    ),
    "a closed last tier inside a matrix": (
        ", beyond: refuse",
        "",
        'agreed.yaml:34: plan "ai", meter "tokens", matrix, cell 2, graduated tier 1, up_to: tier 1 ends at 10 '
        'and nothing says what more usage costs; leave its up_to out, or add "beyond": refuse, unbilled, '
        "last_tier_price",
    ),
    "an override of nothing": (
        "{meter: volume_eur, graduated_percentage",
        "{meter: volume_eur, key: volume, graduated_percentage",
        'agreed.yaml:48: subscription of "acme", override 1: plan "ai" has no charge "volume" to override; '
        'did you mean "volume_eur"?',
    ),
    "a trial that ends before it begins": (
        "trial_end: 2026-10-15",
        "trial_end: 2026-09-15",
        'agreed.yaml:47: subscription of "acme", trial_end: the trial ends 2026-09-15, not after the start 2026-10-01; '
        "trial_end is the first day that is billed",
    ),
    "a commitment and a ramp": (
        "        discounts: [{percent:",
        "        ramp: [{amount: 50}, {amount: 80}]\n        discounts: [{percent:",
        'agreed.yaml:28: plan "ai", meter "tokens", ramp: a commitment and a ramp are both written; keep one of them',
    ),
    "a conversion two ways": (
        "{per: 1_000, round",
        "{per: 1_000, times: 2, round",
        'agreed.yaml:25: plan "ai", meter "tokens", conversion: a conversion divides or multiplies; '
        "write exactly one of per and times",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_mistake_is_one_finding(mistake: str) -> None:
    old, new, sentence = MISTAKES[mistake]
    assert AGREED.count(old) == 1
    findings = examine([("agreed.yaml", AGREED.replace(old, new))]).findings
    assert [str(finding) for finding in findings] == [sentence]
