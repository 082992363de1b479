"""A plan that is changed at Stripe moves our subscription, and Stripe's goes on as the new one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rating.adapters.stripe.reading import StripeReading
from rating.adapters.stripe.signals import StripeSignals
from rating.core.keys import meter_digest
from rating.core.periods import Period
from rating.core.settling import Verdict
from rating.core.subscriptions import Subscription
from rating.core.windows import Closing, Completeness, Evidence, Usage
from rating.jobs.compare_usage import compare_usage
from rating.jobs.settle import settle, take_up
from rating.specs.compile import compile_catalogue
from tests.story.metered import Metered, engine
from tests.stripe_peer.peer import StripePeer

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
CATALOGUE = """
version: 1
currency: USD
meters:
  calls: {metric: api_requests_total, unit: call, consumer: consumer_id}
plans:
  basic: {period: month, charges: [{meter: calls, unit_price: "0.01"}]}
  pro: {period: month, charges: [{meter: calls, unit_price: "0.005"}]}
"""


def subscribed(peer: StripePeer, *consumers: str, customer: str = "") -> Metered:
    one = engine(peer.url, peer.key, found=compile_catalogue([("catalogue.yaml", CATALOGUE)]))
    for consumer in consumers:
        one.book.subscribe(Subscription(consumer, "basic", BEGIN, customer=customer), at=BEGIN)
    now = BEGIN + timedelta(minutes=10)
    one.apply(now)
    one.report(now)
    return one


def changed(peer: StripePeer, plan: str) -> str:
    """Somebody takes the other plan's price in Stripe's dashboard."""
    client, state = peer.client(), peer.state()
    (subscription,) = state["subscriptions"]
    (price,) = [one["id"] for one in state["prices"] if one["lookup_key"].startswith(f"rating:{plan}/")]
    (item,) = client.v1.subscription_items.list({"subscription": subscription["id"]}).data
    client.v1.subscription_items.update(item.id, {"price": price, "proration_behavior": "none"})
    return str(subscription["id"])


def heard(one: Metered, now: datetime) -> list[tuple[Verdict, str]]:
    reader = StripeSignals(one.account)
    take_up(one.book, reader, since=BEGIN, clock=lambda: now)
    done = settle(one.book, one.contracts(now), [reader], now=now)
    return [
        (each.verdict, each.said)
        for each in done.settlements
        if each.signal.kind == "customer.subscription.updated" and each.verdict is not Verdict.KNOWN
    ]


def test_ours_moves_and_theirs_goes_on(stripe_peer: StripePeer) -> None:
    one = subscribed(stripe_peer, "acme")
    stripe_peer.advance(5 * 86_400 + 1_800)
    name = changed(stripe_peer, "pro")
    now = BEGIN + timedelta(days=5, hours=2)
    assert [verdict for verdict, _ in heard(one, now)] == [Verdict.ENTERED]
    at = BEGIN + timedelta(days=5, hours=1)
    assert [(each.plan, each.start, each.end) for each in one.book.subscriptions()] == [
        ("basic", BEGIN, at),
        ("pro", at, None),
    ]
    for hours in (1, 30):
        one.report(now + timedelta(hours=hours))
    (there,) = stripe_peer.state()["subscriptions"]
    assert (there["id"], there["status"], there["cancel_at"]) == (name, "active", None)
    # It ends there: ours ends with the hour.
    stripe_peer.client().v1.subscriptions.cancel(name)
    reader = StripeSignals(one.account)
    take_up(one.book, reader, since=BEGIN, clock=lambda: now)
    settle(one.book, one.contracts(now), [reader], now=now)
    assert {each.plan: each.end for each in one.book.subscriptions()} == {"basic": at, "pro": at}


def test_one_that_stands_for_several_is_a_persons(stripe_peer: StripePeer) -> None:
    one = subscribed(stripe_peer, "a", "b", customer="acme")
    stripe_peer.advance(5 * 86_400)
    changed(stripe_peer, "pro")
    ((verdict, said),) = heard(one, BEGIN + timedelta(days=5, hours=2))
    assert verdict is Verdict.PARKED
    assert "stands for a, b" in said
    assert {each.plan for each in one.book.subscriptions()} == {"basic"}


def test_what_it_counts_is_compared_by_the_hour(stripe_peer: StripePeer) -> None:
    one = subscribed(stripe_peer, "acme")
    meter = one.catalogue.meters["calls"]
    stripe_peer.advance(6 * 3_600)
    now = BEGIN + timedelta(hours=6, minutes=10)
    for window in Period(BEGIN, BEGIN + timedelta(hours=4)).windows(meter.window):
        rows = (Usage("acme", (), 10),)
        closing = Closing("calls", window, Completeness.COMPLETE, rows, Evidence())
        one.book.close(closing, meter_digest=meter_digest(meter), at=window.end)
    reading = StripeReading(one.account)

    def differing() -> list[str]:
        asked = (one.book, one.contracts(now), one.gateway, reading)
        return [f"{each.finding.where} {each.finding.what}" for each in compare_usage(*asked, takes=bool, now=now)]

    assert differing() == [], "none of it was told yet"
    one.report(now)
    assert differing() == []
    # Somebody tells usage by hand, in an hour of ours and in one of nobody's.
    client, state = stripe_peer.client(), stripe_peer.state()
    (customer,), (there,) = state["customers"], state["meters"]
    for hour, value in ((1, 99), (5, 1)):
        stamp = int((BEGIN + timedelta(hours=hour, minutes=2)).timestamp())
        payload = {"stripe_customer_id": customer["id"], "value": str(value)}
        client.v1.billing.meter_events.create(
            {"event_name": there["event_name"], "timestamp": stamp, "payload": payload}
        )
    (said,) = differing()
    assert said.startswith("usage of acme, ")
    assert " 10 units by our book and 100 at stripe in 2 hours of " in said
