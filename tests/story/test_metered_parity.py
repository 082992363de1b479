"""What Stripe charges for each billing period beside what our rating comes to, to the cent and in both directions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rating.adapters.stripe.reading import StripeReading
from rating.adapters.stripe.signals import StripeSignals
from rating.core.collection import Collection
from rating.core.parity import Difference, Differs
from rating.core.periods import Period
from rating.jobs.reconcile import compare
from rating.specs.compile import compile_catalogue
from tests.story.metered import HOUR, NOVEMBER, Metered
from tests.story.test_metered import COARSE, DAY, adjust, at, begun, close_small

if TYPE_CHECKING:
    from tests.stripe_peer.peer import StripePeer

FINAL = NOVEMBER.start + DAY + 2 * HOUR
ADA = "ada/daily/2026-11-01/2026-11-01T00:00:00Z"


def billed(peer: StripePeer, text: str = COARSE) -> Metered:
    """One day of two customers, told in time and final at Stripe."""
    there = begun(peer, text)
    close_small(there.book, there.catalogue, NOVEMBER.start, NOVEMBER.start + DAY)
    there.report(at(peer, NOVEMBER.start + DAY + timedelta(minutes=10)))
    at(peer, FINAL)
    return there


def differing(there: Metered, **options: Any) -> list[Differs]:
    who = Collection("stripe")
    now = options.pop("now", FINAL)
    reading, reader = StripeReading(there.account), StripeSignals(there.account)
    found = compare(there.book, there.contracts(now), reading, reader, who, now=now, usage=there.gateway, **options)
    return [one for one in found.differs if one.kind.startswith("period_")]


def of(peer: StripePeer, customer: str, thing: str = "invoices") -> dict[str, Any]:
    state = peer.state()
    name = next(one["id"] for one in state["customers"] if one["name"] == customer)
    return next(one for one in state[thing] if one["customer"] == name)


def test_the_same_to_the_cent_is_no_difference_before_and_after_our_invoice(stripe_peer: StripePeer) -> None:
    there = billed(stripe_peer)
    assert differing(there) == []
    there.billed(FINAL)
    assert differing(there) == []


def test_what_was_corrected_after_it_was_final_is_a_difference_until_it_is_charged(stripe_peer: StripePeer) -> None:
    there = billed(stripe_peer)
    there.billed(FINAL)
    adjust(there.book, NOVEMBER.start + 12 * HOUR, 1, ("ada", 600), ("bob", -95))
    there.report(FINAL)
    more, less = differing(there)
    assert {more.kind, less.kind} == {Difference.PERIOD_AMOUNT}
    # 100 are free: 694 at 0.01 with one fee, and by now 1,000 at 0.01 and 294 at 0.0075, which is 12.205.
    assert str(more.finding).endswith(
        "comes to 13.21 USD by our rating and stripe charges 7.94 USD: 5.27 USD too "
        f"little; add an item over 5.27 USD to the customer there, with metadata rating_period {ADA}"
    )
    assert "0.95 USD too much" in str(less.finding)
    assert "credit 0.95 USD there by a credit note" in str(less.finding)

    client = stripe_peer.client()
    customer, invoice = of(stripe_peer, "ada")["customer"], of(stripe_peer, "bob")["id"]
    item: Any = {"customer": customer, "amount": 527, "currency": "usd", "metadata": {"rating_period": ADA}}
    client.v1.invoice_items.create(item)
    client.v1.credit_notes.create({"invoice": invoice, "amount": 95})
    assert differing(there) == [], "the item waits for the customer's next invoice"
    there.report(at(stripe_peer, NOVEMBER.start + 2 * DAY + timedelta(minutes=10)))
    later = at(stripe_peer, NOVEMBER.start + 2 * DAY + 2 * HOUR)
    assert differing(there, now=later) == [], "by then it stands on it, and corrects the first day all the same"


def test_what_somebody_changed_there_is_a_difference(stripe_peer: StripePeer) -> None:
    there = billed(stripe_peer)
    client = stripe_peer.client()
    client.v1.invoices.void_invoice(of(stripe_peer, "ada")["id"])
    client.v1.credit_notes.create({"invoice": of(stripe_peer, "bob")["id"], "amount": 100})
    missing, less = differing(there)
    assert missing.kind is Difference.PERIOD_MISSING_THERE
    assert "has no invoice at stripe" in missing.finding.what
    assert (less.kind, "1.00 USD too little" in less.finding.what) == (Difference.PERIOD_AMOUNT, True)
    # Of another time nothing is said.
    assert differing(there, period=Period(NOVEMBER.start - 30 * DAY, NOVEMBER.start)) == []


def test_what_is_charged_for_a_time_that_we_do_not_bill_is_a_difference(stripe_peer: StripePeer) -> None:
    there = billed(stripe_peer)
    ended = COARSE.replace(
        "  - {consumer: ada, plan: daily, start: 2026-11-01}\n",
        "  - {consumer: ada, plan: daily, start: 2026-11-01, end: 2026-11-02}\n",
    )
    there.catalogue = compile_catalogue([("small.yaml", ended)])
    # Stripe is told of the end too late: the second day's fee is there, and somebody told it 200 calls.
    meter = next(one for one in stripe_peer.state()["meters"] if one["event_name"] == "rating.calls")
    payload = {"stripe_customer_id": of(stripe_peer, "ada")["customer"], "value": "200"}
    stamp = int((NOVEMBER.start + DAY + HOUR).timestamp())
    stripe_peer.client().v1.billing.meter_events.create(
        {"event_name": meter["event_name"], "timestamp": stamp, "payload": payload}
    )
    later = at(stripe_peer, NOVEMBER.start + 2 * DAY + 2 * HOUR)
    found = [one for one in differing(there, now=later) if one.kind is Difference.PERIOD_MISSING_HERE]
    assert [one.finding.what for one in found] == [
        "charges 2.00 USD at stripe from 2026-11-02 00:00 on, which we do not bill"
    ]
