"""Good values to start a story from: a meter, a plan, a book with October's windows in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from rating.core.catalogue import Catalogue
from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.periods import EPOCH, Cadence, Period
from rating.core.plans import Plan, Upsell
from rating.core.prices.graduated import Graduated
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Subscription
from rating.core.tiers import Tier, Tiers
from rating.core.windows import Closing, Completeness, Evidence, Usage
from rating.jobs.contracts import Contracts
from rating.ports import Book

USD = Currency("USD")
OCTOBER = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
DAY = timedelta(days=1)

CALLS = Meter(
    name="api_calls", metric="api_requests_total", consumer="consumer_id", dimensions=("endpoint",), window=DAY
)
PRO = Plan(
    key="pro",
    title="Pro",
    currency=USD,
    cadence=Cadence.MONTH,
    fee=Fraction(49),
    cards=(
        RateCard(
            key="api_calls",
            title="API calls",
            meter=CALLS,
            included=Fraction(100),
            price=Graduated(
                Tiers((Tier(Fraction(200), unit_price=Fraction("0.015")), Tier(None, unit_price=Fraction("0.0101"))))
            ),
        ),
    ),
    upsell=Upsell("scale", (Fraction(8, 10), Fraction(1))),
)
ACME = Subscription("acme", "pro", OCTOBER.start)


def contracts(*subscriptions: Subscription, plan: Plan = PRO) -> Contracts:
    meters = {card.meter.name: card.meter for card in plan.cards}
    catalogue = Catalogue(USD, meters, {plan.key: plan}, subscriptions, text="a story", digest="a story's digest")
    return Contracts(((EPOCH, catalogue),), subscriptions)


def close_days(
    book: Book,
    usage: Mapping[str, int],
    *,
    days: range = range(31),
    meter: Meter = CALLS,
    completeness: Completeness = Completeness.COMPLETE,
) -> None:
    """Close daily windows of October; `usage` is what each consumer called on each of these days, on one endpoint."""
    for day in days:
        window = Period(OCTOBER.start + day * DAY, OCTOBER.start + (day + 1) * DAY)
        rows = tuple(Usage(consumer, ("/search",), count) for consumer, count in sorted(usage.items()) if count)
        evidence = Evidence(identities=len(rows), scrapes_seen=5760, scrapes_expected=5760)
        closing = Closing(meter.name, window, completeness, rows, evidence)
        book.close(closing, meter_digest="story", at=window.end)
