"""Windows told to the local Stripe: events, batches and requests, time here, and at Stripe's published limits."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from rating.adapters.stripe.catalogue import StripeCatalogue
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.meters import BATCH, EVENTS_PER_SECOND, StripeMeters
from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.offers import Offer, contract_of, plan_offer
from rating.core.periods import Cadence
from rating.core.plans import Plan
from rating.core.prices.per_unit import PerUnit
from rating.core.provisions import Act, Provision, Thing
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Subscription
from rating.core.usageevents import Counted, buckets, events
from rating.core.windows import Usage
from tests.stripe_peer.peer import StripePeer

TITLE = "Metered mode: usage windows of a quarter of an hour told to Stripe's meters, against the local server"
STREAMS_PER_SECOND = 10_000
"""Requests of the v2 stream a second; single events (v1) are `EVENTS_PER_SECOND`."""
WINDOW = timedelta(minutes=15)
FIRST = datetime(2026, 11, 1, tzinfo=UTC)


class _Trail:
    begun_at = None

    def name(self, part: str = "", subject: str | None = None) -> str | None:
        return None

    def keep(self, name: str, part: str = "", subject: str | None = None) -> None:
        return None


def rows(quick: bool) -> list[tuple[str, str]]:
    consumers, hours = (100, 100) if quick else (500, 500)
    meter = Meter("calls", "calls_total", "consumer", window=WINDOW)
    card = RateCard("calls", "Calls", meter, PerUnit(Fraction("0.01")))
    plan = Plan("p", "P", Currency("USD"), Cadence.YEAR, cards=(card,))
    offer = plan_offer(plan, FIRST, 2)
    assert isinstance(offer, Offer)
    names = [f"c{number}" for number in range(consumers)]
    now = FIRST + timedelta(hours=hours)
    counted = Counted(contract_of(Subscription(name, "p", FIRST), plan, offer, now) for name in names)
    starts = [FIRST + number * WINDOW for number in range(hours * 4)]
    begun = time.perf_counter()
    told = []
    for bucket in buckets("calls", starts, ()):
        quarters = [bucket.hour + number * WINDOW for number in range(4)]
        usage = ((start, Usage(name, (), 7 + place)) for start in quarters for place, name in enumerate(names))
        told += events(bucket, usage, counted, (), known=False)
    added = time.perf_counter() - begun
    with StripePeer(now=int(now.timestamp()), standing=True, record_events=False) as peer:
        account = StripeAccount("bench", peer.key, url=peer.url, requests_per_second=1_000_000)
        (remote,) = offer.meters
        StripeCatalogue(account).provide(
            Provision(Act.CREATE, Thing.METER, remote.key, remote.title, meter=remote), _Trail()
        )
        customers = {name: account.client.v1.customers.create({"name": name}).id for name in names}
        meters = StripeMeters(account, workers=4, stream_above=0)
        before, begun = account.calls, time.perf_counter()
        assert not meters.report(told, customers)
        wall, calls = time.perf_counter() - begun, account.calls - before
    return [
        ("usage windows", f"{consumers * hours * 4:,}: {consumers:,} customers, {hours:,} hours, four windows an hour"),
        ("events after adding up", f"{len(told):,}, in {added:.1f} s"),
        ("batches and requests", f"{meters.batches:,} of {BATCH}, {calls:,} requests with their sessions"),
        ("wall time here, client and server on this machine", f"{wall:.0f} s, {len(told) / wall:,.0f} events/s"),
        ("at the published limits, stream (10,000 requests/s)", f"{calls / STREAMS_PER_SECOND:.1f} s"),
        ("at the published limits, one by one (1,000 events/s)", f"{len(told) / EVENTS_PER_SECOND:,.0f} s"),
        ("in a sandbox (25 requests/s), stream and one by one", f"{calls / 25:,.0f} s and {len(told) / 25:,.0f} s"),
    ]
