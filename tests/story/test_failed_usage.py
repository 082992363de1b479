"""Usage that Stripe took in a stream and could not count: told by thin events, parked one by one, told again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import stripe

from rating.adapters.stripe.signals import StripeDoor, StripeSignals
from rating.core.publications import Outcome, Signal
from rating.core.settling import Verdict
from rating.core.usageevents import INSIDE, Bucket, UsageEvent, event_name
from rating.jobs.publish import retry
from rating.jobs.settle import Settled, settle
from tests.story.metered import HOUR, NOVEMBER, Metered
from tests.story.test_metered import DAY, at, begun, close_small, used

if TYPE_CHECKING:
    from tests.stripe_peer.peer import StripePeer

NOW = NOVEMBER.start + DAY + timedelta(minutes=10)
NOON = NOVEMBER.start + 12 * HOUR
CALLS = "usage/calls/2026-11-01T12:00:00Z/0"
SECRET = "whsec_thin"


@pytest.fixture
def there(stripe_peer: StripePeer) -> Metered:
    """A day was told in a stream while the meter of calls was switched off; by now it is on again."""
    found = begun(stripe_peer, stream_above=1)
    close_small(found.book, found.catalogue, NOVEMBER.start, NOVEMBER.start + DAY)
    for price in stripe_peer.state()["prices"]:
        stripe_peer.client().v1.prices.update(price["id"], {"active": False})
    now = at(stripe_peer, NOW)
    with switched_off(stripe_peer):
        found.report(now)
    return found


@contextmanager
def switched_off(peer: StripePeer) -> Iterator[None]:
    meters = peer.client().v1.billing.meters
    meter = next(one["id"] for one in peer.state()["meters"] if one["event_name"] == "rating.calls")
    meters.deactivate(meter)
    yield
    meters.reactivate(meter)


def delivered(there: Metered, peer: StripePeer) -> list[Signal]:
    """The thin events as they come to our door: without what they say, which has to be fetched."""
    door = StripeDoor(there.account, [SECRET], live=False)
    found = []
    for event in peer.state()["thin_events"]:
        if "data" not in event:
            continue
        text = json.dumps({name: said for name, said in event.items() if name != "data"})
        signed = stripe.WebhookSignature.generate_signature_header(text, SECRET)
        signal = door.admitted(text.encode(), {"stripe-signature": signed})
        assert isinstance(signal, Signal)
        found.append(signal)
    return found


def settled(there: Metered, signals: Sequence[Signal], now: datetime, **options: Any) -> Settled:
    for signal in signals:
        there.book.signal(signal, at=now)
    return settle(
        there.book,
        there.contracts(now),
        [StripeSignals(there.account)],
        now=now,
        wanted=lambda gateway: there.wanted(now),
        **options,
    )


def parked(there: Metered) -> list[str]:
    return [one.progress.subject for one in there.book.parked("stripe")]


def test_what_failed_is_parked_by_name_and_told_again(there: Metered, stripe_peer: StripePeer) -> None:
    signals = delivered(there, stripe_peer)
    dry = settled(there, signals, NOW, dry_run=True)
    assert (list(dry.count()), parked(there)) == ([Verdict.ENTERED], [])
    done = settled(there, signals, NOW)
    assert list(done.count()) == [Verdict.ENTERED]
    assert parked(there) == [f"{CALLS}/ada", f"{CALLS}/bob"]
    assert "no_meter: No active meter found" in there.book.parked("stripe")[0].progress.said
    assert "2 parked under their own names" in done.settlements[0].said
    retry(there.book, ["stripe"], None, now=NOW)
    assert len(there.report(NOW + timedelta(minutes=5)).events) == 2
    assert used(stripe_peer) == {"ada": 794, "bob": 795}
    assert parked(there) == []


def test_told_twice_late_or_in_another_order_it_is_parked_once(there: Metered, stripe_peer: StripePeer) -> None:
    names = {f"customer/{one['name']}": one["id"] for one in stripe_peer.state()["customers"]}
    bucket = Bucket("calls", NOON, NOON, 1, 0)
    events = [
        UsageEvent("rating.calls", name, NOON, NOON + INSIDE, 1, event_name("rating.calls", name, bucket))
        for name in ("bob", "ada")
    ]
    with switched_off(stripe_peer):
        for _ in range(2):
            there.gateway.report(events, lambda subject, part="": names.get(subject))
    first, again, late = delivered(there, stripe_peer)
    assert list(settled(there, [again], NOW).count()) == [Verdict.ENTERED]
    assert list(settled(there, [first], NOW).count()) == [Verdict.KNOWN]
    retry(there.book, ["stripe"], None, now=NOW)
    old = settled(there, [late], NOW)
    assert list(old.count()) == [Verdict.KNOWN], "it says nothing of the event that is told next"
    assert "2 parked or told again before" in old.settlements[0].said
    there.report(NOW + timedelta(minutes=5))
    assert used(stripe_peer) == {"ada": 794, "bob": 795}
    entries = there.book.progressed("stripe", f"{CALLS}/ada")
    assert [one.progress.outcome for one in entries] == [Outcome.REFUSED, Outcome.REVIVED, Outcome.DONE]


def test_what_fails_again_is_parked_again(there: Metered, stripe_peer: StripePeer) -> None:
    settled(there, delivered(there, stripe_peer), NOW)
    retry(there.book, ["stripe"], None, now=NOW)
    with switched_off(stripe_peer):
        there.report(NOW + timedelta(minutes=5))
    assert parked(there) == []
    later = NOW + timedelta(minutes=6)
    settled(there, delivered(there, stripe_peer), later)
    assert parked(there) == [f"{CALLS}/ada", f"{CALLS}/bob"]
    assert ":0.1:" in there.book.parked("stripe")[0].progress.said


def test_what_is_not_ours_or_not_named_waits_with_its_report(there: Metered, stripe_peer: StripePeer) -> None:
    session = stripe_peer.client().v2.billing.meter_event_session.create().authentication_token
    stranger = {
        "event_name": "nothing",
        "payload": {"stripe_customer_id": "cus_none", "value": "1"},
    }
    some = [{**stranger, "identifier": f"theirs:{number}"} for number in range(9)]
    stripe_peer.client(session).v2.billing.meter_event_stream.create({"events": some})  # type: ignore[typeddict-item]
    done = settled(there, delivered(there, stripe_peer), NOW)
    assert done.count() == {Verdict.ENTERED: 1, Verdict.PARKED: 1}
    (said,) = [one.said for one in done.settlements if one.verdict is Verdict.PARKED]
    assert "5 not known to be ours, the first of them theirs:0" in said
    assert "4 not named: `rating stripe reconcile` finds the hours" in said
    assert len(parked(there)) == 3


def test_while_usage_is_told_it_waits(there: Metered, stripe_peer: StripePeer) -> None:
    signals = delivered(there, stripe_peer)
    with there.book.claim("usage/stripe") as free:
        assert free
        assert list(settled(there, signals, NOW).count()) == [Verdict.WAITS]
    assert parked(there) == []
    assert list(settled(there, (), NOW + HOUR).count()) == [Verdict.ENTERED]
