"""Events on their way: signed, in order, then late, twice, out of order, forged."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import stripe

from tests.stripe_peer.peer import StripePeer
from tests.stripe_peer.receiver import Receiver


def kinds(receiver: Receiver) -> list[str]:
    return [json.loads(body)["type"] for body, _ in receiver.received]


def customers(peer: StripePeer, count: int) -> None:
    for number in range(count):
        peer.client().v1.customers.create({"name": str(number)})


def test_events_arrive_signed_with_the_object_as_it_was(stripe_peer: StripePeer) -> None:
    with Receiver() as receiver:
        secret = stripe_peer.webhook(receiver.url, "customer.created", "customer.updated")
        made = stripe_peer.client().v1.customers.create({"name": "old"})
        stripe_peer.client().v1.customers.update(made.id, {"name": "new"})
        stripe_peer.client().v1.products.create({"name": "not asked for"})
        stripe_peer.settle()
        events = [stripe.Webhook.construct_event(body, sign, secret) for body, sign in receiver.received]
        assert [event.type for event in events] == ["customer.created", "customer.updated"]
        assert [event.data.object["name"] for event in events] == ["old", "new"]
        assert events[1].data.previous_attributes["name"] == "old"  # type: ignore[index]
        assert events[0].request.idempotency_key is not None  # type: ignore[union-attr]
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(*receiver.received[0], "whsec_other")


def test_what_is_not_accepted_comes_again_as_the_clock_moves(stripe_peer: StripePeer) -> None:
    with Receiver(500, 500) as receiver:
        stripe_peer.webhook(receiver.url)
        customers(stripe_peer, 1)
        stripe_peer.settle()
        assert len(receiver.received) == 1
        stripe_peer.advance(300)
        stripe_peer.settle()
        assert len(receiver.received) == 2
        stripe_peer.advance(3_600)
        stripe_peer.settle()
        assert kinds(receiver) == ["customer.created"] * 3
        assert [one["done"] for one in stripe_peer.webhooks()["log"]] == [True]


def test_held_back_shuffled_and_doubled(stripe_peer: StripePeer) -> None:
    with Receiver() as receiver:
        stripe_peer.webhook(receiver.url)
        stripe_peer.hold_webhooks()
        customers(stripe_peer, 6)
        stripe_peer.settle()
        assert receiver.received == []
        assert stripe_peer.release_webhooks("shuffled", seed=3, copies=2) == 12
        ids = [json.loads(body)["id"] for body, _ in receiver.received]
        assert set(Counter(ids).values()) == {2}
        assert ids != sorted(ids)


def test_dropped_delayed_forged_and_stale(stripe_peer: StripePeer) -> None:
    with Receiver() as receiver:
        secret = stripe_peer.webhook(receiver.url)
        for script in ({"drop": True}, {"delay": 60}, {"forged": True}, {"stale": 600}, {"copies": 2}):
            stripe_peer.fail_webhooks(type="customer.*", times=1, **script)
        customers(stripe_peer, 5)
        stripe_peer.settle()
        assert len(receiver.received) == 4
        verdicts = []
        for body, sign in receiver.received:
            try:
                stripe.Webhook.construct_event(body, sign, secret)
                verdicts.append("good")
            except stripe.SignatureVerificationError as refused:
                verdicts.append("stale" if "tolerance" in str(refused) else "forged")
        assert verdicts == ["forged", "stale", "good", "good"]
        stripe_peer.advance(60)
        stripe_peer.settle()
        assert json.loads(receiver.received[-1][0])["data"]["object"]["name"] == "1"


def test_one_event_is_sent_again_on_request(stripe_peer: StripePeer) -> None:
    with Receiver() as receiver:
        stripe_peer.webhook(receiver.url)
        customers(stripe_peer, 2)
        stripe_peer.settle()
        first = json.loads(receiver.received[0][0])["id"]
        stripe_peer.send_again(first)
        stripe_peer.settle()
        assert json.loads(receiver.received[-1][0])["id"] == first


def test_events_are_listed_for_thirty_days(stripe_peer: StripePeer) -> None:
    client = stripe_peer.client()
    customers(stripe_peer, 3)
    stripe_peer.advance(86_400)
    client.v1.products.create({"name": "later"})
    assert [event.type for event in client.v1.events.list().data] == ["product.created"] + ["customer.created"] * 3
    oldest = client.v1.events.list({"type": "customer.created"}).data[-1]
    assert client.v1.events.retrieve(oldest.id).data.object["name"] == "0"
    stripe_peer.advance(29 * 86_400 + 1)
    assert [event.type for event in client.v1.events.list().data] == ["product.created"]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.events.retrieve(oldest.id)
