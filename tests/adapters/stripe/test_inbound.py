"""What Stripe tells us, end to end: signed deliveries at the door, entries in the book, and parity with Stripe."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import stripe
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from rating.adapters.memory_book import MemoryBook
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.reading import StripeReading
from rating.adapters.stripe.signals import StripeDoor, StripeSignals
from rating.core import vocabulary as names_of
from rating.core.lifecycle import Step
from rating.core.parity import Difference
from rating.core.settling import Verdict
from rating.core.signals import Refusal
from rating.engine import Engine
from rating.errors import EdgeRefused, EdgeUnavailable
from rating.jobs.contracts import gather
from rating.jobs.dismiss import dismiss
from rating.jobs.reconcile import Compared, compare, due, last_look, look
from rating.jobs.settle import settle, take_up
from rating.settings import Settings
from rating.web import gatewayhooks
from rating.web.app import application, serving
from rating.web.metrics import EngineMetrics
from tests.stripe_peer.peer import StripePeer

from .histories import CATALOGUE, catalogue
from .months import NOW, WHO, carry, gateway, happenings, month, taxed

SECRET = "whsec_one"
LATER = NOW + timedelta(days=2)


def account(peer: StripePeer) -> StripeAccount:
    return StripeAccount("main", peer.key, url=peer.url, requests_per_second=100_000, sleep=lambda seconds: None)


@contextmanager
def door(account: StripeAccount, book: MemoryBook, *secrets: str) -> Iterator[tuple[str, Counter[Refusal]]]:
    refused: Counter[Refusal] = Counter()

    def opened(app: FastAPI) -> None:
        doors = [StripeDoor(account, secrets, live=False)]
        gatewayhooks.add(
            app, doors, lambda signal: book.signal(signal, at=NOW), lambda name, reason: refused.update([reason])
        )

    with serving(application(CollectorRegistry(), lambda: (True, {}), opened), "127.0.0.1:0") as url:
        yield f"{url}/hooks/stripe", refused


def heard(book: MemoryBook, peer: StripePeer) -> Counter[Verdict]:
    contracts = gather(book, catalogue(), now=NOW)
    reader = StripeSignals(account(peer))
    found: Counter[Verdict] = Counter()
    for hours in (0, 1, 2):
        done = settle(book, contracts, [reader], now=LATER + timedelta(hours=hours))
        found.update(one.verdict for one in done.settlements)
    return found


def compared(book: MemoryBook, peer: StripePeer) -> Compared:
    one = account(peer)
    contracts = gather(book, catalogue(), now=NOW)
    return compare(book, contracts, StripeReading(one), StripeSignals(one), WHO, now=LATER)


def names(book: MemoryBook) -> dict[str, str]:
    numbers = {one.number: one.draft.customer for one in book.invoices()}
    return {
        numbers[one.subject.removeprefix("invoice/")]: one.name
        for one in book.remote_names("main")
        if one.subject.startswith("invoice/") and not one.part
    }


def test_money_that_moves_at_stripe_is_in_our_book_once(stripe_peer: StripePeer) -> None:
    book = month()
    carry(book, gateway(stripe_peer))
    with door(account(stripe_peer), book, "whsec_old") as (url, refused):
        secret = stripe_peer.webhook(url)
    with door(account(stripe_peer), book, "whsec_old", secret) as (url, refused):
        endpoint = stripe_peer.client().v1.webhook_endpoints.list().data[0].id
        stripe_peer.client().v1.webhook_endpoints.update(endpoint, {"url": url})
        stripe_peer.hold_webhooks()
        there = names(book)
        for customer in ("plain", "wallet", "noted"):
            stripe_peer.pay(there[customer])
        stripe_peer.refund(there["plain"], 1_000)
        lost = stripe_peer.dispute(there["noted"])["id"]
        stripe_peer.close_dispute(lost, "lost")
        stripe_peer.client().v1.invoices.void_invoice(there["void"])
        stripe_peer.client().v1.invoices.mark_uncollectible(there["lost"])
        stripe_peer.client().v1.invoices.pay(there["wired"], {"paid_out_of_band": True})
        stripe_peer.release_webhooks("shuffled", seed=3, copies=2)
    assert refused == {}
    verdicts = heard(book, stripe_peer)
    assert verdicts[Verdict.PARKED] == 0
    steps = {(one.step, one.source, str(one.amount)) for one in book.entries()}
    assert steps == {
        (Step.PAY, "main", "36.13 USD"),
        (Step.PAY, "main", "6.13 USD"),
        (Step.REFUND, "main", "10.00 USD"),
        (Step.REFUND, "main", "36.13 USD"),
        (Step.VOID, "main", "None"),
        (Step.WRITE_OFF, "main", "36.13 USD"),
    }
    assert [one.notification.alert for one in book.notifications()].count("RatingPaymentDisputed") == 1
    assert compared(book, stripe_peer).differs == ()
    # What the gateway told is not told it in turn, and another round changes nothing.
    assert carry(book, gateway(stripe_peer), hours=60).entries == ()
    assert heard(book, stripe_peer) == Counter()


def test_what_we_told_them_of_does_not_come_back(stripe_peer: StripePeer) -> None:
    book = month()
    carry(book, gateway(stripe_peer))
    happenings(book)
    carry(book, gateway(stripe_peer))
    before = book.entries()
    assert take_up(book, StripeSignals(account(stripe_peer)), since=NOW, clock=lambda: NOW) > 5
    assert heard(book, stripe_peer)[Verdict.PARKED] == 0
    assert book.entries() == before
    assert compared(book, stripe_peer).differs == ()


def test_differences_are_found_in_both_directions(stripe_peer: StripePeer) -> None:
    book, client = month(), stripe_peer.client()
    carry(book, gateway(stripe_peer))
    there = names(book)
    stripe_peer.pay(there["plain"])
    client.v1.invoices.void_invoice(there["void"])
    client.v1.credit_notes.create({"invoice": there["noted"], "amount": 100})
    customer = client.v1.customers.create({"email": "a@example.com", "metadata": {"rating_customer": "nobody"}})
    client.v1.invoices.create({"customer": customer.id, "collection_method": "send_invoice", "days_until_due": 3})
    by_hand = client.v1.invoices.create(
        {"customer": customer.id, "currency": "usd", "collection_method": "send_invoice", "days_until_due": 3}
    )
    client.v1.invoice_items.create({"customer": customer.id, "invoice": by_hand.id, "amount": 900, "currency": "usd"})
    client.v1.invoices.finalize_invoice(by_hand.id)
    missing = book.issue([taxed("late")], at=NOW)[0]
    found = compared(book, stripe_peer)
    assert found.counts() == {
        Difference.PAID_THERE: 1,
        Difference.PAYMENT_MISSING_HERE: 1,
        Difference.STATE: 1,
        Difference.CREDIT_NOTE_MISSING_HERE: 1,
        Difference.INVOICE_MISSING_HERE: 1,
        Difference.CUSTOMER_MISSING_HERE: 1,
    }
    assert found.under_way == 1, f"{missing.number} was not carried yet"
    # What was told brings both together; what was made by hand stays a person's.
    take_up(book, StripeSignals(account(stripe_peer)), since=NOW, clock=lambda: NOW)
    assert heard(book, stripe_peer)[Verdict.PARKED] == 1
    assert set(compared(book, stripe_peer).counts()) == {
        Difference.CREDIT_NOTE_MISSING_HERE,
        Difference.INVOICE_MISSING_HERE,
        Difference.CUSTOMER_MISSING_HERE,
    }
    (parked,) = book.parked("main")
    event = parked.progress.subject
    assert dismiss(book, "main", event, why="agreed", author="ada", now=LATER)
    assert not dismiss(book, "main", event, why="agreed", author="ada", now=LATER)
    assert book.parked("main") == ()


def test_once_a_day_and_remembered(stripe_peer: StripePeer) -> None:
    book, one = month(), account(stripe_peer)
    carry(book, gateway(stripe_peer))
    # Nobody delivers what happens there: it is asked for.
    stripe_peer.pay(names(book)["plain"])
    stripe_peer.client().v1.credit_notes.create({"invoice": names(book)["noted"], "amount": 100})
    contracts = gather(book, catalogue(), now=NOW)
    asked = (book, contracts, StripeReading(one), StripeSignals(one), WHO)
    assert last_look(book, "main") is None
    found = look(*asked, now=LATER)
    assert found is not None
    assert found.taken_up >= 2
    calls = one.calls
    assert look(*asked, now=LATER + timedelta(hours=5)) is None
    assert one.calls == calls
    assert due(book, "main", LATER + timedelta(days=1))
    last = last_look(book, "main")
    assert last is not None
    assert last[1] == {Difference.CREDIT_NOTE_MISSING_HERE: 1}
    assert [one.step for one in book.entries()] == [Step.PAY]
    stripe_peer.fail(path="/v1/events", status=500, times=None)
    with pytest.raises(EdgeUnavailable):
        look(*asked, now=LATER + timedelta(days=1))
    assert not due(book, "main", LATER + timedelta(days=1)), "it is left alone for a while"
    assert last_look(book, "main") == last


BODY = (
    '{"id":"evt_1","object":"event","type":"ping","created":1793491200,"livemode":false,'
    '"api_version":"2026-10-28.endive","data":{"object":{"id":"x","object":"x"}}}'
)
THIN = (
    '{"id":"evt_2","object":"v2.core.event","type":"v1.billing.meter.no_meter_found",'
    '"created":"2026-11-01T00:00:00.000Z","livemode":false}'
)


@pytest.mark.parametrize(
    ("body", "secret", "age", "status", "reason"),
    [
        (BODY, SECRET, 0, 200, None),
        (THIN, "whsec_two", 0, 200, None),
        (BODY, "whsec_forged", 0, 400, Refusal.SIGNATURE),
        (BODY, SECRET, 400, 400, Refusal.STALE),
        (BODY.replace("false", "true"), SECRET, 0, 400, Refusal.MODE),
        ("[1]", SECRET, 0, 400, Refusal.MALFORMED),
        ("[" * 100_000, SECRET, 0, 400, Refusal.MALFORMED),
        ("{" + " " * (1 << 20) + "}", SECRET, 0, 413, Refusal.OVERSIZED),
    ],
)
def test_the_door(
    body: str, secret: str, age: int, status: int, reason: Refusal | None, caplog: pytest.LogCaptureFixture
) -> None:
    book = MemoryBook()
    caplog.set_level("DEBUG")
    with door(StripeAccount("main", "sk_test_x", url="http://127.0.0.1:9"), book, SECRET, "whsec_two") as (
        url,
        refused,
    ):
        header = stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time()) - age)
        for _ in range(2):
            answer = httpx.post(url, content=body, headers={"Stripe-Signature": header}, trust_env=False)
            assert answer.status_code == status
        if reason is None:
            assert httpx.post(url, content=body, trust_env=False).status_code == 400
    assert refused == ({Refusal.SIGNATURE: 1} if reason is None else {reason: 2})
    assert len(book.signals("main")) == (reason is None)
    assert "whsec_" not in caplog.text
    assert body[:40] not in caplog.text


def test_thin_events_are_fetched_and_a_person_looks(stripe_peer: StripePeer) -> None:
    book, client = MemoryBook(), stripe_peer.client()
    stripe_peer.settings(meter_errors_later=True)
    customer = client.v1.customers.create({"email": "a@example.com"})
    client.v1.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    )
    with door(account(stripe_peer), book) as (url, _):
        secret = stripe_peer.thin_webhook(url)
    with door(account(stripe_peer), book, secret) as (url, refused):
        stripe_peer.hold_webhooks()
        event = {"event_name": "calls", "payload": {"stripe_customer_id": customer.id, "value": "1.5"}}
        client.v1.billing.meter_events.create(event)  # type: ignore[arg-type]
        held = [one["event"] for one in stripe_peer.webhooks()["waiting"]]
        for name in held:
            body = client.raw_request("get", f"/v2/core/events/{name}").body
            told = {key: value for key, value in json.loads(body).items() if key != "data"}
            text = json.dumps(told)
            header = stripe.WebhookSignature.generate_signature_header(text, secret)
            answer = httpx.post(url, content=text, headers={"Stripe-Signature": header}, trust_env=False)
            assert answer.status_code == 200
    assert refused == {}
    assert held
    assert heard(book, stripe_peer) == {Verdict.PARKED: len(held)}
    assert all("does not bill usage" in one.progress.said for one in book.parked("main"))


def test_what_is_told_in_other_words_is_read_anew(stripe_peer: StripePeer) -> None:
    """An endpoint of an older API version: its invoices have other fields."""
    book = month()
    carry(book, gateway(stripe_peer))
    there = names(book)["plain"]
    stripe_peer.pay(there)
    one = account(stripe_peer)
    for signal in StripeSignals(one).missed(NOW):
        event = json.loads(signal.content)
        old = {"id": event["data"]["object"]["id"], "object": event["data"]["object"]["object"], "paid": True}
        event = {**event, "api_version": "2020-08-27", "data": {"object": old}}
        if signal.kind.startswith(("invoice.", "invoice_payment.")):
            book.signal(replace(signal, content=json.dumps(event)), at=NOW)
    assert heard(book, stripe_peer)[Verdict.PARKED] == 0
    assert [(one.step, str(one.amount)) for one in book.entries()] == [(Step.PAY, "36.13 USD")]


def test_the_engine_settles_compares_and_shows_it(stripe_peer: StripePeer, tmp_path: Path) -> None:
    main = f"{{kind: stripe, key: {stripe_peer.key}, url: '{stripe_peer.url}', requests_per_second: 100}}"
    (tmp_path / "gateways.yaml").write_text(f"gateways:\n  main: {main}\n")
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    settings = Settings(catalog=tmp_path / "catalogue.yaml", gateways=str(tmp_path / "gateways.yaml"))
    book, metrics = month(), EngineMetrics()
    carry(book, gateway(stripe_peer))
    stripe_peer.pay(names(book)["plain"])
    stripe_peer.client().v1.credit_notes.create({"invoice": names(book)["noted"], "amount": 100})
    engine = Engine(settings, book, metrics)
    assert [one.kind for one in engine.doors] == ["stripe"]

    def shown(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"gateway": "main", **labels})

    assert shown(names_of.PARITY_DIFFERENCES, kind="amount") == 0
    engine.reconcile(LATER, lambda: False)
    engine.settle(LATER, lambda: False)
    assert [one.step for one in book.entries()] == [Step.PAY]
    assert shown(names_of.PARITY_DIFFERENCES, kind="credit_note_missing_here") == 1
    assert shown(names_of.PARITY_CHECKED) == LATER.timestamp()
    assert (shown(names_of.SIGNALS_PARKED), shown(names_of.SIGNALS_WAITING)) == (1, 0)
    assert shown(names_of.PUBLICATIONS_PARKED) == 0
    # Another process shows what the book remembers, and asks nobody.
    again = EngineMetrics()
    stripe_peer.fail(status=500, times=None)
    Engine(settings, book, again).reconcile(LATER + timedelta(hours=1), lambda: False)
    labels = {"gateway": "main", "kind": "credit_note_missing_here"}
    assert again.registry.get_sample_value(names_of.PARITY_DIFFERENCES, labels) == 1
    with pytest.raises(EdgeRefused):
        Engine(settings, book, again).reconcile(LATER + timedelta(days=1), lambda: False)


def test_what_waits_is_settled_in_the_same_round_and_not_judged_before(stripe_peer: StripePeer) -> None:
    book = month()
    carry(book, gateway(stripe_peer))
    stripe_peer.pay(names(book)["plain"])
    stripe_peer.refund(names(book)["plain"], 1_000)
    reader = StripeSignals(account(stripe_peer))
    for signal in reader.missed(NOW):
        # By the clock of whoever told it, the refund happened first.
        early = signal.kind.startswith("refund.")
        book.signal(replace(signal, occurred_at=NOW - timedelta(hours=1)) if early else signal, at=NOW)
    assert compared(book, stripe_peer).differs == ()
    assert compared(book, stripe_peer).under_way == 1
    done = settle(book, gather(book, catalogue(), now=NOW), [reader], now=LATER)
    assert Verdict.WAITS not in done.count()
    assert {one.step for one in book.entries()} == {Step.PAY, Step.REFUND}
    assert compared(book, stripe_peer).under_way == 0
