"""What Stripe charges for each billing period beside what our rating comes to, to the cent and in both directions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rating.adapters.stripe.reading import StripeReading
from rating.adapters.stripe.signals import StripeSignals
from rating.core.collection import Collection
from rating.core.parity import Difference, Differs
from rating.core.periods import Period
from rating.errors import Overtaken
from rating.jobs.correct_periods import correct
from rating.jobs.reconcile import compare
from rating.specs.compile import compile_catalogue
from tests.story.metered import HOUR, NOVEMBER, Metered, engine
from tests.story.test_metered import COARSE, DAY, Cut, adjust, at, begun, close_small

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
        "little; `rating stripe correct` where it is late usage; else add an item over 5.27 USD to the customer there, "
        f"with metadata rating_period {ADA}"
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


def corrected(there: Metered, now: datetime = FINAL, **options: Any) -> list[tuple[str, str, str]]:
    reading = StripeReading(there.account)
    done = correct(
        there.book, there.contracts(now), there.gateway, reading, takes=lambda customer: True, now=now, **options
    )
    return [(one.correction.customer, str(one.correction.amount), one.why_not) for one in done]


def late(peer: StripePeer) -> Metered:
    """Usage of the first day is corrected after its invoice was final."""
    there = billed(peer)
    adjust(there.book, NOVEMBER.start + 12 * HOUR, 1, ("ada", 600), ("bob", -95))
    there.report(FINAL)
    return there


def items(peer: StripePeer) -> list[tuple[int, str]]:
    return sorted((one["amount"], one["metadata"]["rating_period"]) for one in peer.state()["items"])


CORRECTED = [("ada", "5.27 USD", ""), ("bob", "-0.95 USD", "")]
STANDS = [(-95, ADA.replace("ada", "bob")), (527, ADA)]


def test_late_usage_is_charged_and_credited_with_the_next_invoice_once(stripe_peer: StripePeer) -> None:
    there = late(stripe_peer)
    assert len(there.book.parked("stripe")) == 2
    assert corrected(there, dry_run=True) == CORRECTED
    assert items(stripe_peer) == []
    assert corrected(there) == CORRECTED
    assert items(stripe_peer) == STANDS
    assert (there.book.parked("stripe"), differing(there), corrected(there)) == ((), [], [])
    # More of it later: only what is more.
    adjust(there.book, NOVEMBER.start + 12 * HOUR, 2, ("ada", 100))
    there.report(FINAL)
    assert corrected(there) == [("ada", "0.75 USD", "")]
    assert [amount for amount, _ in items(stripe_peer)] == [-95, 75, 527]
    there.report(at(stripe_peer, NOVEMBER.start + 2 * DAY + timedelta(minutes=10)))
    later = at(stripe_peer, NOVEMBER.start + 2 * DAY + 2 * HOUR)
    assert {one["invoice"] is None for one in stripe_peer.state()["items"]} == {False}
    assert (corrected(there, later), differing(there, now=later)) == ([], [])


def test_while_usage_is_told_nothing_is_corrected_and_it_says_so(stripe_peer: StripePeer) -> None:
    there = late(stripe_peer)
    with there.book.claim("usage/stripe") as free:
        assert free
        with pytest.raises(Overtaken, match="run it again in a minute"):
            corrected(there)
    assert items(stripe_peer) == []


def test_cut_off_after_any_call_a_correction_stands_there_once(stripe_peer: StripePeer) -> None:
    there = late(stripe_peer)
    for _ in range(2):
        http: Any = there.account._http
        request = http.request

        def cut(method: str, url: str, *rest: Any, request: Any = request, **options: Any) -> Any:
            answer = request(method, url, *rest, **options)
            if (method.lower(), url.rpartition("/")[2]) == ("post", "invoiceitems"):
                raise Cut
            return answer

        http.request = cut
        with pytest.raises(Cut):
            corrected(there)
        there = engine(stripe_peer.url, stripe_peer.key, there.book, there.catalogue)
    assert corrected(there) == []
    assert (items(stripe_peer), there.book.parked("stripe")) == (STANDS, ())


def test_what_late_usage_does_not_explain_or_no_invoice_would_carry_is_a_persons(stripe_peer: StripePeer) -> None:
    there = late(stripe_peer)
    stripe_peer.client().v1.invoices.void_invoice(of(stripe_peer, "ada")["id"])
    assert corrected(there)[0][2] == "it has no invoice there"
    stripe_peer.client().v1.credit_notes.create({"invoice": of(stripe_peer, "bob")["id"], "amount": 100})
    assert corrected(there)[1:] == [
        ("bob", "1.00 USD", "no usage of it is parked that would explain the difference: look at its lines there")
    ]
    ended = COARSE.replace(
        "bob, plan: daily, start: 2026-11-01}", "bob, plan: daily, start: 2026-11-01, end: 2026-11-02}"
    )
    there.catalogue = compile_catalogue([("small.yaml", ended)])
    adjust(there.book, NOVEMBER.start + 12 * HOUR, 2, ("bob", 50))
    there.report(FINAL)
    assert "the subscription has ended" in corrected(there)[1][2]
    assert items(stripe_peer) == STANDS[:1]


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
