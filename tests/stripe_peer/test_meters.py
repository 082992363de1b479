"""Usage: what a meter takes, keeps and shows, and what a subscription pays for it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
import stripe

from tests.stripe_peer.peer import StripePeer
from tests.stripe_peer.receiver import Receiver

HOUR, DAY = 3_600, 86_400


class Story:
    """A customer and a meter."""

    def __init__(self, peer: StripePeer, **meter: Any) -> None:
        self.peer, self.client, self.start = peer, peer.client(), peer.now()
        self.customer = self.client.v1.customers.create({"name": "Acme"}).id
        self.meter = self.client.v1.billing.meters.create(
            {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}, **meter}
        ).id

    def send(self, value: object, at: int = 0, identifier: str | None = None, **payload: str) -> None:
        event = {
            "event_name": "calls",
            "timestamp": self.start + at,
            "payload": {"stripe_customer_id": self.customer, "value": str(value), **payload},
        }
        if identifier is not None:
            event["identifier"] = identifier
        self.client.v1.billing.meter_events.create(event)  # type: ignore[arg-type]

    def shown(self, until: int = DAY, **more: str) -> list[float]:
        span = {"customer": self.customer, "start_time": self.start, "end_time": self.start + until, **more}
        found = self.client.v1.billing.meters.event_summaries.list(self.meter, span)  # type: ignore[arg-type]
        return [summary.aggregated_value for summary in found.data][::-1]

    def subscribe(self, **price: Any) -> stripe.Subscription:
        recurring = {"interval": "month", "usage_type": "metered", "meter": self.meter}
        made = self.client.v1.prices.create(
            {"currency": "usd", "product_data": {"name": "Calls"}, "recurring": recurring, **price}  # type: ignore[typeddict-item]
        )
        return self.client.v1.subscriptions.create({"customer": self.customer, "items": [{"price": made.id}]})

    def month(self) -> stripe.Invoice:
        """To the end of November and the hour after it."""
        self.peer.advance_to(self.start + 30 * DAY + HOUR)
        return self.client.v1.invoices.list({"customer": self.customer}).data[0]


def test_raw_events_add_up_and_pre_aggregated_ones_overwrite(stripe_peer: StripePeer) -> None:
    raw = Story(stripe_peer)
    for value, at in ((5, 0), (7, 10), (100, HOUR - 1), (1, HOUR)):
        raw.send(value, at - HOUR)
    assert raw.shown() == [1]
    raw.start -= HOUR
    assert raw.shown(value_grouping_window="hour") == [112, 1]


def test_the_event_sent_last_wins_its_hour(stripe_peer: StripePeer) -> None:
    hourly = Story(stripe_peer, event_time_window="hour")
    hourly.start -= DAY
    for value, at in ((5, 30), (7, 10), (1, HOUR)):
        hourly.send(value, at)
    assert hourly.shown(value_grouping_window="hour") == [7, 1]
    assert hourly.shown() == [8]


@pytest.mark.parametrize(("formula", "shown"), [("sum", 5), ("count", 2), ("last", 2)])
def test_a_formula_decides_what_is_shown(formula: str, shown: int, stripe_peer: StripePeer) -> None:
    story = Story(stripe_peer, default_aggregation={"formula": formula})
    story.send(2, 20)
    story.send(3, 10)
    assert story.shown() == [shown]


MISTAKES: dict[str, tuple[str, dict[str, Any]]] = {
    "a fraction": ("meter_event_invalid_value", {"value": "1.5"}),
    "an exponent": ("meter_event_invalid_value", {"value": "1E+2"}),
    "sixteen digits": ("meter_event_value_too_many_digits", {"value": "1" * 16}),
    "36 days ago": ("timestamp_too_far_in_past", {"value": 1, "at": -36 * DAY}),
    "six minutes ahead": ("timestamp_in_future", {"value": 1, "at": 360}),
    "nobody": ("meter_event_customer_not_found", {"value": 1, "stripe_customer_id": "cus_none"}),
    "no customer": ("meter_event_no_customer_defined", {"value": 1, "stripe_customer_id": ""}),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_an_event_is_refused_for(what: str, stripe_peer: StripePeer) -> None:
    code, sent = MISTAKES[what]
    story = Story(stripe_peer)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        story.send(**sent)
    assert refused.value.code == code
    assert stripe_peer.state()["meter_events"] == []
    story.send(1, -35 * DAY)
    story.send(1, 300)


def test_an_identifier_counts_once_a_day_and_cancels_within_it(stripe_peer: StripePeer) -> None:
    story = Story(stripe_peer)
    story.send(5, identifier="w1")
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        story.send(5, identifier="w1")
    cancel = {"event_name": "calls", "type": "cancel", "cancel": {"identifier": "w1"}}
    assert story.client.v1.billing.meter_event_adjustments.create(cancel).status == "complete"  # type: ignore[arg-type]
    assert story.shown() == [0]
    stripe_peer.advance(DAY + 1)
    story.send(6, identifier="w1")
    assert story.shown() == [6]
    stripe_peer.advance(DAY + 1)
    with pytest.raises(stripe.InvalidRequestError, match="24 hours"):
        story.client.v1.billing.meter_event_adjustments.create(cancel)  # type: ignore[arg-type]


def test_one_call_at_a_time_for_a_customer_and_a_meter(stripe_peer: StripePeer) -> None:
    story = Story(stripe_peer)
    stripe_peer.fail(kind="held", path="/v1/billing/meter_events")
    first = threading.Thread(target=story.send, args=(1,))
    before = len(stripe_peer.requests())
    first.start()
    while len(stripe_peer.requests()) == before:
        pass
    with pytest.raises(stripe.RateLimitError, match="one call at a time"):
        story.send(1)
    stripe_peer.clear_faults()
    first.join()
    story.send(1)
    assert story.shown() == [2]


def test_a_meter_keeps_its_name_and_cannot_change(stripe_peer: StripePeer) -> None:
    story = Story(stripe_peer)
    assert story.client.v1.billing.meters.update(story.meter, {"display_name": "New"}).display_name == "New"
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        story.client.v1.billing.meters.update(story.meter, {"event_name": "other"})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        Story(stripe_peer)


def test_a_stream_takes_a_hundred_events_and_tells_of_mistakes_later(stripe_peer: StripePeer) -> None:
    story = Story(stripe_peer)
    with Receiver() as receiver:
        secret = stripe_peer.thin_webhook(receiver.url)
        token = story.client.v2.billing.meter_event_session.create().authentication_token
        stream = stripe_peer.client(token).v2.billing.meter_event_stream
        event = {"event_name": "calls", "payload": {"stripe_customer_id": story.customer, "value": "1"}}
        bad = {"event_name": "calls", "payload": {"stripe_customer_id": "cus_none", "value": "1"}, "identifier": "w9"}
        lost = {**event, "event_name": "nothing"}
        with pytest.raises(stripe.InvalidRequestError, match="100"):
            stream.create({"events": [event] * 101})  # type: ignore[typeddict-item]
        stream.create({"events": [*[event] * 98, bad, lost]})  # type: ignore[list-item]
        assert story.shown() == [98]
        stripe_peer.settle()
        assert len(receiver.received) == 2
        report = story.client.parse_event_notification(*receiver.received[0], secret)
        assert report.type == "v1.billing.meter.error_report_triggered"
        reason = report.fetch_event().data.reason  # type: ignore[union-attr]
        assert [one.code for one in reason.error_types] == ["meter_event_customer_not_found"]
        assert reason.error_types[0].sample_errors[0].request.identifier == "w9"
        assert json.loads(receiver.received[1][0])["type"] == "v1.billing.meter.no_meter_found"
        with pytest.raises(ValueError, match="thin"):
            stripe.Webhook.construct_event(*receiver.received[0], secret)
        stripe_peer.advance(900)
        with pytest.raises(stripe.TemporarySessionExpiredError):
            stream.create({"events": [event]})  # type: ignore[list-item]


def test_v2_takes_one_event_and_answers_after_looking_at_it(stripe_peer: StripePeer) -> None:
    story = Story(stripe_peer)
    event = {"event_name": "calls", "payload": {"stripe_customer_id": story.customer, "value": "3"}}
    made = story.client.v2.billing.meter_events.create({**event, "timestamp": "2026-11-01T00:00:00Z"})  # type: ignore[typeddict-item]
    assert made.timestamp == "2026-11-01T00:00:00.000Z"
    assert story.shown() == [3]
    with pytest.raises(stripe.InvalidRequestError, match="35 days"):
        story.client.v2.billing.meter_events.create({**event, "timestamp": "2026-09-01T00:00:00Z"})  # type: ignore[typeddict-item]


def test_only_so_many_requests_a_second(stripe_peer: StripePeer) -> None:
    story = Story(stripe_peer)
    stripe_peer.advance(1)
    stripe_peer.settings(requests_per_second=2)
    story.send(1)
    story.send(1)
    with pytest.raises(stripe.RateLimitError, match="2 requests a second"):
        story.send(1)
    stripe_peer.advance(1)
    story.send(1)
    assert len(stripe_peer.state()["meter_events"]) == 3


TIERS = [{"up_to": 1_000, "unit_amount": 0}, {"up_to": "inf", "unit_amount_decimal": Decimal("0.125")}]
FLAT = [
    {"up_to": 100, "flat_amount": 500},
    {"up_to": 200, "flat_amount": 700, "unit_amount": 2},
    {"up_to": "inf", "unit_amount": 1},
]
PRICES: dict[str, tuple[dict[str, Any], dict[int, int]]] = {
    "per unit": ({"unit_amount_decimal": Decimal("0.5")}, {0: 0, 1: 1, 2: 1, 3: 2, 1_001: 501}),
    "packages, rounded up": (
        {"unit_amount": 150, "transform_quantity": {"divide_by": 100, "round": "up"}},
        {0: 0, 1: 150, 100: 150, 101: 300},
    ),
    "packages, rounded down": (
        {"unit_amount": 150, "transform_quantity": {"divide_by": 100, "round": "down"}},
        {99: 0, 100: 150, 199: 150},
    ),
    "graduated": (
        {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS},
        {1_000: 0, 1_004: 1, 1_003: 0, 9_000: 1_000},
    ),
    "volume": (
        {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS},
        {1_000: 0, 1_001: 125, 1_004: 126, 9_000: 1_125},
    ),
    "graduated with flat amounts": (
        {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": FLAT},
        {0: 500, 100: 500, 101: 1_202, 200: 1_400, 201: 1_401},
    ),
    "volume with flat amounts": (
        {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": FLAT},
        {0: 500, 101: 902, 201: 201},
    ),
}


@pytest.mark.parametrize("what", PRICES)
def test_a_month_of_usage_costs(what: str, stripe_peer: StripePeer) -> None:
    price, amounts = PRICES[what]
    for used, amount in amounts.items():
        with StripePeer(now=stripe_peer.now(), standing=True) as peer:
            story = Story(peer)
            subscription = story.subscribe(**price)
            if used:
                story.send(used)
            invoice = story.month()
            assert (used, invoice.total) == (used, amount)
            assert invoice.parent.subscription_details.subscription == subscription.id  # type: ignore[union-attr]
            assert (invoice.period_start, invoice.period_end) == (story.start, story.start + 30 * DAY)
            assert invoice.lines.data[0].quantity == used


def test_a_negative_month_costs_nothing(stripe_peer: StripePeer) -> None:
    story = Story(stripe_peer)
    story.subscribe(unit_amount=100)
    story.send(-5)
    assert story.month().total == 0


def test_one_line_per_tier_rounds_each(stripe_peer: StripePeer) -> None:
    """12.5 and 0.5: together 13, each by itself 13 and 1."""
    tiers = [
        {"up_to": 100, "unit_amount_decimal": Decimal("0.125")},
        {"up_to": "inf", "unit_amount_decimal": Decimal("0.5")},
    ]
    price = {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": tiers}
    for per_tier, total in ((False, 13), (True, 14)):
        with StripePeer(now=stripe_peer.now(), standing=True, line_per_tier=per_tier) as peer:
            story = Story(peer)
            story.subscribe(**price)
            story.send(101)
            assert story.month().total == total


def test_usage_that_comes_in_the_hour_of_the_draft_still_counts_and_later_does_not(stripe_peer: StripePeer) -> None:
    story = Story(stripe_peer)
    story.subscribe(unit_amount=100)
    end = story.start + 30 * DAY
    stripe_peer.advance_to(end)
    (draft,) = story.client.v1.invoices.list({"customer": story.customer}).data
    assert (draft.status, draft.total) == ("draft", 0)
    story.send(3, 30 * DAY - 1)
    story.send(5, 30 * DAY)
    stripe_peer.advance(HOUR)
    bill = story.client.v1.invoices.retrieve(draft.id)
    assert (bill.status, bill.total) == ("open", 300)
    stripe_peer.advance_to(end + 31 * DAY + HOUR)
    assert [one.total for one in story.client.v1.invoices.list({"customer": story.customer}).data] == [500, 300]


def test_fixed_prices_are_paid_ahead_and_changes_are_told(stripe_peer: StripePeer) -> None:
    story = Story(stripe_peer)
    client = story.client
    stripe_peer.give_card(story.customer)
    fixed = [
        client.v1.prices.create(
            {
                "currency": "usd",
                "product_data": {"name": name},
                "unit_amount": amount,
                "recurring": {"interval": "month"},
            }
        ).id
        for name, amount in (("basic", 1_000), ("pro", 3_000))
    ]
    made = client.v1.subscriptions.create({"customer": story.customer, "items": [{"price": fixed[0]}]})
    assert client.v1.invoices.retrieve(str(made.latest_invoice)).total == 1_000
    item = {"id": made["items"].data[0].id, "price": fixed[1]}
    with pytest.raises(stripe.APIError, match="prorations"):
        client.v1.subscriptions.update(made.id, {"items": [item]})  # type: ignore[list-item]
    client.v1.subscriptions.update(made.id, {"items": [item], "proration_behavior": "none"})  # type: ignore[list-item]
    assert story.month().total == 3_000
    client.v1.subscriptions.update(made.id, {"cancel_at_period_end": True})
    stripe_peer.advance_to(story.start + 61 * DAY)
    assert client.v1.subscriptions.retrieve(made.id).status == "canceled"
    assert client.v1.subscriptions.list().data == []
    told = Counter(event["type"] for event in stripe_peer.state()["events"])
    assert told["customer.subscription.deleted"] == 1
    assert told["customer.subscription.updated"] >= 3


BAD_PRICES: dict[str, dict[str, Any]] = {
    "metered without a meter": {"unit_amount": 1, "recurring": {"interval": "month", "usage_type": "metered"}},
    "two ways to say it": {"unit_amount": 1, "unit_amount_decimal": Decimal(1)},
    "no way to say it": {},
    "thirteen decimal places": {"unit_amount_decimal": Decimal("0.0000000000001")},
    "tiers without an end": {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS[:1]},
    "tiers without a mode": {"billing_scheme": "tiered", "tiers": TIERS},
    "tiers that fall": {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": [FLAT[1], FLAT[0], FLAT[2]]},
    "a key that is taken": {"unit_amount": 1, "lookup_key": "taken"},
}


@pytest.mark.parametrize("what", BAD_PRICES)
def test_a_price_is_refused_for(what: str, stripe_peer: StripePeer) -> None:
    client = stripe_peer.client()
    whole = {"currency": "usd", "product_data": {"name": "Calls"}}
    client.v1.prices.create({**whole, "unit_amount": 1, "lookup_key": "taken"})  # type: ignore[typeddict-item]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.prices.create({**whole, **BAD_PRICES[what]})  # type: ignore[typeddict-item]
    assert len(client.v1.prices.list({"lookup_keys": ["taken"]}).data) == 1
    assert len(stripe_peer.state()["prices"]) == 1
