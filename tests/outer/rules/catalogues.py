"""Small catalogues by hand, for the tests of rules and boards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from rating.core.catalogue import Catalogue
from rating.core.meters import Matcher, Meter
from rating.core.money import Currency
from rating.core.periods import Cadence
from rating.core.plans import Plan, Upsell
from rating.core.prices.flat import Flat
from rating.core.ratecards import RateCard

USD = Currency("USD")
CALLS = Meter("api_calls", "api_requests_total", "consumer_id", ("endpoint",), where=(Matcher("status", "2.."),))
TOKENS = Meter("tokens", "api_tokens_total", "consumer", ("country",), unit="token")


def plan(key: str, included: Mapping[str, int], meters: Mapping[str, Meter], upsell: Upsell | None = None) -> Plan:
    """A plan that prices nothing (rules do not read prices) and includes so many units of each meter."""
    price = Flat(Fraction(0))
    cards = tuple(RateCard(name, name, meters[name], price, Fraction(units)) for name, units in included.items())
    return Plan(key, key.title(), USD, Cadence.MONTH, cards=cards, upsell=upsell)


def catalogue() -> Catalogue:
    """Two meters, three plans: two share the thresholds 80 and 100 %, the last has nowhere to go, the first a limit."""
    meters = {"api_calls": CALLS, "tokens": TOKENS}
    at = (Fraction(80, 100), Fraction(1))
    free = plan("free", {"api_calls": 10_000}, meters, Upsell("pro", at))
    plans = (
        replace(free, cards=tuple(replace(card, limit=Fraction(20_000)) for card in free.cards)),
        plan("pro", {"api_calls": 100_000, "tokens": 1_000_000}, meters, Upsell("scale", at)),
        plan("scale", {"tokens": 5_000_000}, meters),
    )
    return Catalogue(USD, meters, {one.key: one for one in plans})


def with_meter(meter: Meter) -> Catalogue:
    """The same plans over another definition of one meter."""
    given = catalogue()
    meters = {**given.meters, meter.name: meter}
    plans = {
        one.key: replace(one, cards=tuple(replace(card, meter=meters[card.meter.name]) for card in one.cards))
        for one in given.plans.values()
    }
    return replace(given, meters=meters, plans=plans)
