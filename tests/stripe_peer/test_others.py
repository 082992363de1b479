"""Our Stripe beside other people's: the same calls, the same shapes of answers, the same customers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from rating_demo.finding import PartMissing
from tests.stripe_peer import others
from tests.stripe_peer.calls import CALLS, Made
from tests.stripe_peer.others import LocalStripe, StripeMock
from tests.stripe_peer.peer import StripePeer
from tests.stripe_peer.receiver import Receiver


def at(url: str) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_peer", base_addresses={"api": url})


def followed(client: stripe.StripeClient) -> Made:
    made: Made = {}
    for name, act in CALLS.items():
        try:
            made[name] = act(client, made)
        except stripe.StripeError as refused:
            pytest.fail(f"{name}: {refused}")
    return made


def test_our_server_takes_every_call(stripe_peer: StripePeer) -> None:
    made = followed(stripe_peer.client())
    assert made["finalize"].total == 1_650
    # The balance of -60 was used by the first invoice, and came back when it was voided.
    assert [one.amount_due for one in (made["finalize"], made["finalize it"])] == [1_590, 1_940]
    assert made["list prices"].data[0].tiers[1].flat_amount == 500


def test_stripes_own_mock_takes_every_call(stripe_mock: StripeMock) -> None:
    """Names, types and places of all parameters against the published specification."""
    followed(at(stripe_mock.url))


ELSEWHERE = {"total_count"}
"""Fields of the mock's answers that Stripe gives only where they are expanded."""


def test_our_answers_have_what_stripes_fixtures_have(stripe_peer: StripePeer, stripe_mock: StripeMock) -> None:
    ours, theirs = followed(stripe_peer.client()), followed(at(stripe_mock.url))
    for name in CALLS:
        mine, fixture = ours[name].to_dict(), theirs[name].to_dict()
        assert fixture.keys() - mine.keys() <= ELSEWHERE, name
        for field, value in fixture.items():
            if value is not None and mine.get(field) is not None:
                assert type(mine[field]) is type(value), (name, field)


def test_the_mock_notices_a_wrong_call(stripe_mock: StripeMock) -> None:
    client = at(stripe_mock.url)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.invoices.create({"custommer": "cus_1"})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.invoice_items.create({"customer": "cus_1", "amount": "much"})  # type: ignore[typeddict-item]


def customer_life(client: stripe.StripeClient) -> list[Any]:
    """What happens to a customer, in facts that any Stripe agrees on."""
    facts: list[Any] = []
    made = client.v1.customers.create({"name": "Acme", "email": "a@acme.example", "metadata": {"id": "acme"}})
    changed = client.v1.customers.update(made.id, {"name": "Acme Inc.", "metadata": {"city": "Ulm"}})
    facts += [made.object, made.name, changed.name, changed.metadata.to_dict(), changed.id == made.id]  # type: ignore[union-attr]
    for amount in (300, -100):
        item = {"customer": made.id, "amount": amount, "currency": "usd", "metadata": {"line": str(amount)}}
        one = client.v1.invoice_items.create(item)  # type: ignore[arg-type]
        facts += [one.amount, one.currency, one.invoice, one.metadata.to_dict()]  # type: ignore[union-attr]
    facts.append(sorted(one.amount for one in client.v1.invoice_items.list({"customer": made.id}).data))
    facts.append([one.id == made.id for one in client.v1.customers.list({"email": "a@acme.example"}).data])
    facts.append(client.v1.customers.delete(made.id).deleted)
    for refused in (
        lambda: client.v1.customers.retrieve("cus_none"),
        lambda: client.v1.customers.update(made.id, {"name": "x"}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as missing:
            refused()
        facts.append(missing.value.http_status)
    return facts


def test_localstripe_agrees_about_customers(stripe_peer: StripePeer, localstripe: LocalStripe) -> None:
    assert customer_life(stripe_peer.client()) == customer_life(at(localstripe.url))


def about(receiver: Receiver, customer: str, secret: str) -> list[tuple[str, str]]:
    """The three events of that customer; localstripe delivers about a second later, and late ones of others too."""
    for _ in range(600):
        events = [stripe.Webhook.construct_event(body, sign, secret) for body, sign in list(receiver.received)]
        found = [(event.type, event.data.object["name"]) for event in events if event.data.object["id"] == customer]
        if len(found) == 3:
            return sorted(found)
        time.sleep(0.1)
    pytest.fail(f"{len(found)} of 3 webhooks arrived within a minute")


def test_localstripe_sends_the_same_signed_events(stripe_peer: StripePeer, localstripe: LocalStripe) -> None:
    told = []
    with Receiver() as ours, Receiver() as theirs:
        secret = stripe_peer.webhook(ours.url, "customer.created", "customer.updated", "customer.deleted")
        where = {"url": theirs.url, "secret": secret}
        requests.post(f"{localstripe.url}/_config/webhooks/ours", json=where, timeout=30).raise_for_status()
        for client, receiver in ((stripe_peer.client(), ours), (at(localstripe.url), theirs)):
            made = client.v1.customers.create({"name": "old"})
            client.v1.customers.update(made.id, {"name": "new"})
            client.v1.customers.delete(made.id)
            told.append(about(receiver, made.id, secret))
        requests.delete(f"{localstripe.url}/_config/webhooks/ours", timeout=30)
    assert told[0] == told[1]
    assert [kind for kind, _ in told[0]] == ["customer.created", "customer.deleted", "customer.updated"]


LOCATE: dict[str, Callable[..., Path]] = {
    "stripe_mock": others.locate_stripe_mock,
    "localstripe": others.locate_localstripe,
}


@pytest.mark.parametrize("name", LOCATE)
def test_what_cannot_be_had_is_said(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(others, "TOOLS", tmp_path)
    monkeypatch.delenv(f"PART_{name.upper()}", raising=False)
    with pytest.raises(PartMissing, match=rf"nothing was to be installed; PART_{name.upper()} may name"):
        LOCATE[name]()
    monkeypatch.setattr(others, "_run", lambda command, more: f"{command[0]} failed: no network")
    with pytest.raises(PartMissing, match="no network"):
        LOCATE[name](install=True, say=lambda sentence: None)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv(f"PART_{name.upper()}", str(program))
    assert LOCATE[name]() == program
