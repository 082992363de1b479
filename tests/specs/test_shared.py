"""Fees, pools, rollover, bundles, shares of partners, other currencies: the values they become, and what cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import jsonschema
import pytest
import yaml

from rating.core.bends import compare
from rating.core.money import Currency
from rating.core.plans import Fee, FeeDue, Pool
from rating.core.pricetables import agreements, fee_rows, pool_agreements
from rating.core.ratecards import RevenueShare
from rating.core.subscriptions import Exchange
from rating.errors import PricingError
from rating.specs.changes import changes
from rating.specs.compile import compile_catalogue, examine
from rating.specs.editors import schema_text

SHARED = (Path(__file__).parent / "golden" / "shared.yaml").read_text()
CATALOGUE = compile_catalogue([("shared.yaml", SHARED)])
BASE, SEARCH, SUITE = (CATALOGUE.plans[key] for key in ("base", "search", "suite"))


def test_what_one_plan_says() -> None:
    assert BASE.fees == (
        Fee("setup", "Setup", Fraction(99), FeeDue.ONCE),
        Fee("support", "Support", Fraction(10), FeeDue.ADVANCE),
        Fee("archive", "archive", Fraction(5), FeeDue.ARREARS),
    )
    assert BASE.pools == (Pool("both", "Calls and lookups", Fraction(50), ("calls", "lookups")),)
    calls, lookups = BASE.cards
    assert (calls.rollover, lookups.usage_discount) == (1, 10)
    assert lookups.revenue_share == RevenueShare("Maps Ltd", Fraction(20))
    assert CATALOGUE.subscriptions[1].exchange == Exchange(Currency("JPY"), Fraction("151.5"))


def test_a_bundle_has_what_its_plans_have_after_its_own() -> None:
    assert SUITE.cards == BASE.cards + SEARCH.cards
    assert SUITE.pools == BASE.pools
    assert [(fee.key, fee.title, fee.amount) for fee in SUITE.all_fees] == [
        ("", "Suite fee", 100),
        ("base", "Base fee", 20),
        ("setup", "Setup", 99),
        ("support", "Support", 10),
        ("archive", "archive", 5),
        ("search", "search fee", 7),
    ]


def test_a_bundle_of_bundles_is_whole_and_its_pools_may_span_it() -> None:
    text = SHARED.replace(
        "subscriptions:",
        "  all:\n    bundle: [outer]\n  outer:\n    bundle: [suite, extra]\n"
        "    pools: [{key: wide, included: 5, charges: [tiles]}]\n"
        '  extra: {charges: [{meter: calls, key: tiles, unit_price: "1"}]}\nsubscriptions:',
    )
    plans = compile_catalogue([("c.yaml", text)]).plans
    assert [card.key for card in plans["all"].cards] == ["calls", "lookups", "searches", "tiles"]
    assert [pool.key for pool in plans["all"].pools] == ["wide", "both"]


def test_it_survives_its_canonical_text() -> None:
    assert compile_catalogue([("again.yaml", CATALOGUE.text)]) == CATALOGUE


def test_the_schema_knows_it() -> None:
    jsonschema.validate(yaml.safe_load(SHARED.replace("2026-10-01", "'2026-10-01'")), json.loads(schema_text()))


def test_plans_show_says_it() -> None:
    assert [row.what for row in fee_rows(BASE)] == ["Setup, once", "Support, in advance", "archive"]
    assert pool_agreements(BASE) == [("both", "50 requests included for calls and lookups together")]
    assert agreements(BASE.cards[0]) == ["what is left of the included units is kept for 1 more period"]
    assert agreements(BASE.cards[1]) == ["10 more units are given away", "20% of it is owed to Maps Ltd"]


def test_a_changed_fee_is_one_change_by_its_name() -> None:
    after = compile_catalogue([("c.yaml", SHARED.replace('"10.00"', "12").replace("included: 50", "included: 60"))])
    assert [(one.what, one.before, one.after) for one in changes(CATALOGUE, after)] == [
        ("plan base, fee support, amount", "10", "12"),
        ("plan base, pool both, included", "50", "60"),
    ]


# what is changed -> what is said, all of it
MISTAKES = {
    "a fee twice": (
        "key: archive",
        "key: setup",
        'shared.yaml:14: plan "base", fee 3, key: fee "setup" is given twice; give each its own key',
    ),
    "a fee at another time": (
        "due: advance",
        "due: advanced",
        'shared.yaml:13: plan "base", fee 2, due: "advanced" is not one of arrears, advance, once; '
        'did you mean "advance"?',
    ),
    "a fee that pays the customer": (
        "amount: 5}",
        "amount: -5}",
        'shared.yaml:14: plan "base", fee 3, amount: -5 is negative; write zero or more',
    ),
    "a fee of half a cent": (
        "amount: 5}",
        'amount: "0.005"}',
        'shared.yaml:14: plan "base", fee 3, amount: 0.005 USD has more than the 2 decimals of its currency; '
        "it is rounded on every invoice (warning)",
    ),
    "a pool of a charge that is not there": (
        "[calls, lookups]",
        "[calls, lookup]",
        'shared.yaml:22: plan "base", pool 1, charge 2: this plan has no charge "lookup"; did you mean "lookups"?',
    ),
    "a pool of two units": (
        "lookups_total, consumer: consumer_id, window: 1d",
        "lookups_total, consumer: consumer_id, window: 1d, unit: tile",
        'shared.yaml:22: plan "base", pool 1, charge 2: "lookups" counts tiles and "calls" requests; '
        "a pool holds one unit; make a pool for each",
    ),
    "a charge in two pools": (
        "charges: [calls, lookups]}",
        "charges: [calls, lookups]}\n      - {key: more, included: 5, charges: [lookups]}",
        'shared.yaml:23: plan "base", pool 2, charge 1: charge "lookups" is in pool "both" already; '
        "keep it in one of them",
    ),
    "a pool of nothing whole": (
        "included: 50",
        'included: "0.5"',
        'shared.yaml:22: plan "base", pool 1, included: 0.5 is finer than the 0 decimals of a request that are '
        'counted; round it, or give the meter a finer "resolution"',
    ),
    "a pool of converted units": (
        "        usage_discount: 10\n",
        "        conversion: {per: 10}\n",
        'shared.yaml:22: plan "base", pool 1, charge 2: "lookups" is priced in converted units, the pool holds '
        "counted ones; leave it out, or price it in the meter's own unit",
    ),
    "a pool of a price by the hour": (
        '        unit_price: "0.07"\n',
        "        times:\n          bands: [{name: dear, weekdays: [monday], unit_price: 2}]\n"
        "          otherwise: {unit_price: 1}\n",
        'shared.yaml:24: plan "base", pool 1, charge 2: the price of "lookups" depends on what its units are or when '
        "they were used, so which of them the pool pays for would change the bill; "
        "leave it out, or give it included units of its own",
    ),
    "shared by nobody known": (
        "included: 50,",
        "included: 50, shared_by: customers,",
        'shared.yaml:22: plan "base", pool 1, shared_by: "customers" is not one of subscription, customer; '
        'did you mean "customer"?',
    ),
    "a rollover of nothing": (
        "included: 100, rollover",
        "rollover",
        'shared.yaml:16: plan "base", meter "calls", rollover: no units are included, so none are ever left; '
        'add "included", or remove rollover',
    ),
    "a rollover of converted units": (
        "usage_discount: 2,",
        "included: 5, rollover: 2,",
        'shared.yaml:26: plan "search", meter "searches", rollover: what is left of converted units cannot be carried '
        "over; write included and the price in the meter's own unit, without a conversion",
    ),
    "a discount of half a unit": (
        "usage_discount: 10",
        'usage_discount: "0.5"',
        'shared.yaml:18: plan "base", meter "lookups", usage_discount: 0.5 is finer than the meter\'s 0 decimals of a '
        'request; round it, or give the meter a finer "resolution"',
    ),
    "more than all of it for a partner": (
        "percent: 20%",
        "percent: 120%",
        'shared.yaml:20: plan "base", meter "lookups", share, percent: 120% is more than there is; write up to 100%',
    ),
    "a bundle of a plan nobody wrote": (
        "[base, search]",
        "[base, serch]",
        'shared.yaml:30: plan "suite", bundled plan 2: no plan is called "serch"; did you mean "search"?',
    ),
    "a bundle twice of one plan": (
        "[base, search]",
        "[search, search]",
        'shared.yaml:30: plan "suite", bundled plan 2: plan "search" is named twice; keep one of them',
    ),
    "a bundle in a circle": (
        '    fee: "7"\n',
        '    fee: "7"\n    bundle: [suite]\n',
        'shared.yaml:25: plan "search", bundle: the bundles lead in a circle, search to suite to search; '
        "remove one of these steps",
    ),
    "a bundle of another period": (
        '    fee: "7"\n',
        '    fee: "7"\n    period: week\n',
        'shared.yaml:31: plan "suite", bundled plan 2: plan "search" is billed each week and this one each month; '
        "bundle plans of one period",
    ),
    "a bundle of another currency": (
        '    fee: "7"\n',
        '    fee: "7"\n    currency: EUR\n',
        'shared.yaml:31: plan "suite", bundled plan 2: plan "search" is in EUR and this one in USD; '
        "bundle plans of one currency",
    ),
    "a bundle whose charges clash": (
        "{meter: searches, conv",
        "{meter: searches, key: calls, conv",
        'shared.yaml:30: plan "suite", bundled plan 2: charge "calls" comes from plan "base" and from plan "search"; '
        "give one of them another key, or bundle one plan less",
    ),
    "a bundle whose fees clash": (
        "key: archive",
        "key: search",
        'shared.yaml:30: plan "suite", bundled plan 2: fee "search" comes from plan "base" and from plan "search"; '
        "give one of them another key, or bundle one plan less",
    ),
    "an exchange into the plan's own currency": (
        "currency: JPY",
        "currency: USD",
        'shared.yaml:33: subscription of "berlin", exchange, currency: plan "suite" is in USD itself; '
        "name another currency, or remove the exchange",
    ),
    "an exchange for nothing": (
        '"151.5"',
        "0",
        'shared.yaml:33: subscription of "berlin", exchange, rate: 0 would make every amount nothing; '
        "write a rate above 0",
    ),
    "an override that leaves the pool's unit": (
        "plan: base, start: 2026-10-01",
        "plan: base, start: 2026-10-01, overrides: [{meter: lookups, conversion: {per: 5}, unit_price: 1}]",
        'shared.yaml:32: subscription of "acme", override 1: "lookups" is priced in converted units, the pool holds '
        "counted ones; leave it out, or price it in the meter's own unit",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_mistake_is_one_finding(mistake: str) -> None:
    old, new, sentence = MISTAKES[mistake]
    assert SHARED.count(old) == 1
    findings = examine([("shared.yaml", SHARED.replace(old, new))]).findings
    assert [str(finding) for finding in findings] == [sentence]


def test_plans_compare_by_all_their_recurring_fees_and_a_pool_is_not_compared() -> None:
    text = SHARED.replace("key: both", "key: pool").partition("    pools:")
    without = compile_catalogue([("c.yaml", text[0] + "subscriptions: []\n")]).plans["base"]
    bare = replace(without, cards=(replace(without.cards[0], rollover=0),))
    other = replace(bare, key="other", fee=Fraction(34), fees=(), cards=(replace(bare.cards[0], included=Fraction(0)),))
    # 20 + 10 + 5 with 100 calls included, against 34 with none: the first pays off after the tenth call.
    first, meet, after = compare(bare, other, bare.cards[0].meter, {}).stretches
    assert (first.end, meet.start, after.start) == (9, 10, 11)
    with pytest.raises(PricingError, match='plan "base" has a pool, so what one meter costs depends on the others'):
        compare(BASE, other, bare.cards[0].meter, {})
    with pytest.raises(PricingError, match='charge "lookups" has a conversion'):
        compare(without, without, without.cards[1].meter, {})
