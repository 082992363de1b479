"""What changes of a customer in our catalogue is told to Stripe with the next paper or subscription, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.customers import StripeCustomers
from rating.adapters.stripe.meters import StripeMeters
from rating.adapters.stripe.usage_gateway import StripeUsage
from rating.core.lifecycle import InvoiceEntry, Step
from rating.core.parties import Customer
from rating.core.publications import Outcome
from rating.jobs.publish import Served, redescribed, retry, waiting
from rating.specs.compile import compile_catalogue
from tests.promises.gateways.papers import draft
from tests.story.metered import HOUR, NOVEMBER, Metered
from tests.story.test_metered import COARSE
from tests.stripe_peer.peer import StripePeer

from .months import NOW, WHO, carry, gateway

OLD = draft("acme", 1).buyer
assert OLD is not None
NEW = replace(OLD, name="Acme Holding", email="new@acme.example", address=("Ring 2",), country="DE", tax_id="")


def issue(book: MemoryBook, buyer: Customer, month: int) -> str:
    paper = replace(draft("acme", 4_200), buyer=buyer, subscription=f"acme/pro/{month}")
    return book.issue([paper], at=NOW + timedelta(days=month))[0].number


def shown(peer: StripePeer) -> dict[str, Any]:
    (customer,) = peer.state()["customers"]
    return {
        **{name: customer[name] for name in ("name", "email", "address")},
        "tax": [one["value"] for one in customer["invoice_settings"]["custom_fields"] or ()],
    }


def updates(peer: StripePeer) -> int:
    return sum(one["method"] == "POST" and one["path"].startswith("/v1/customers/cus") for one in peer.requests())


def test_new_details_are_told_with_the_next_invoice_and_once(stripe_peer: StripePeer) -> None:
    book, to = MemoryBook(), gateway(stripe_peer)
    first = issue(book, OLD, 0)
    carry(book, to)
    assert (shown(stripe_peer)["tax"], updates(stripe_peer)) == (["ATU12345678"], 0)
    issue(book, OLD, 1)
    carry(book, to, hours=24)
    assert updates(stripe_peer) == 0
    issue(book, NEW, 2)
    (left,) = waiting(book, [Served(to)], WHO)
    assert [redescribed(book, "main", link) for link in left.dispatches] == [True]
    carry(book, to, hours=48)
    assert shown(stripe_peer) == {
        "name": "Acme Holding",
        "email": "new@acme.example",
        "address": {"line1": "Ring 2", "line2": "", "country": "DE"},
        "tax": [],
    }
    # A step of the old invoice says who the customer was then, and takes nothing back.
    book.enter(InvoiceEntry(first, Step.VOID, NOW.date(), reason="wrong"), at=NOW)
    issue(book, NEW, 3)
    carry(book, to, hours=72)
    assert (shown(stripe_peer)["name"], updates(stripe_peer)) == ("Acme Holding", 1)
    # As it was before: told again.
    issue(book, OLD, 4)
    carry(book, gateway(stripe_peer), hours=96)
    assert (shown(stripe_peer)["email"], shown(stripe_peer)["tax"]) == (OLD.email, ["ATU12345678"])


def test_cut_off_between_telling_and_noting_it_is_told_again(
    stripe_peer: StripePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, to = MemoryBook(), gateway(stripe_peer)
    issue(book, OLD, 0)
    carry(book, to)
    issue(book, NEW, 1)

    class Cut(BaseException):
        pass

    told = StripeCustomers._told

    def cut(self: StripeCustomers, key: str, name: str, customer: Customer, trail: Any, as_of: Any) -> None:
        monkeypatch.setattr(type(trail), "keep", lambda *_: (_ for _ in ()).throw(Cut))
        told(self, key, name, customer, trail, as_of)

    with monkeypatch.context() as patched:
        patched.setattr(StripeCustomers, "_told", cut)
        with pytest.raises(Cut):
            carry(book, to, hours=24)
    monkeypatch.undo()
    assert [one.outcome for one in carry(book, gateway(stripe_peer), hours=48).entries] == [Outcome.DONE]
    assert (shown(stripe_peer)["email"], updates(stripe_peer)) == ("new@acme.example", 2)
    assert [one.part for one in book.remote_names("main", "customer/acme")] == ["", "told/1", "told/2"]


def test_whoever_was_there_before_keeps_its_details_until_ours_change(stripe_peer: StripePeer) -> None:
    by_hand: Any = {"name": "By hand", "email": "by@hand.example", "metadata": {"rating_customer": "acme"}}
    stripe_peer.client().v1.customers.create({**by_hand, "phone": "1"})
    book, to = MemoryBook(), gateway(stripe_peer)
    issue(book, OLD, 0)
    carry(book, to)
    assert (shown(stripe_peer)["name"], updates(stripe_peer)) == ("By hand", 0)
    issue(book, NEW, 1)
    carry(book, to, hours=24)
    assert shown(stripe_peer)["name"] == "Acme Holding"
    assert stripe_peer.state()["customers"][0]["phone"] == "1"


PAYERS = """
customers:
  ada: {name: Ada Ltd, email: ada@example.com}
  bob: {name: Bob, email: bob@example.com}
"""


def metered(peer: StripePeer, payers: str = PAYERS) -> Metered:
    account = StripeAccount("stripe", peer.key, url=peer.url, requests_per_second=10_000)
    usage = StripeUsage(account, StripeMeters(account), StripeCustomers(account))
    there = Metered(MemoryBook(), compile_catalogue([("small.yaml", COARSE + payers)]), usage, account)
    there.apply(NOVEMBER.start)
    there.report(NOVEMBER.start)
    return there


def test_a_subscription_that_was_declined_is_made_with_the_new_details_once_a_person_asks(
    stripe_peer: StripePeer,
) -> None:
    there = metered(stripe_peer, PAYERS.replace(", email: bob@example.com", ""))
    (parked,) = there.book.parked("stripe")
    assert parked.progress.subject.startswith("subscription/bob/")
    there.catalogue = compile_catalogue([("small.yaml", COARSE + PAYERS)])
    assert there.report(NOVEMBER.start + HOUR).subscribed == ()
    retry(there.book, ["stripe"], None, now=NOVEMBER.start)
    (made,) = there.report(NOVEMBER.start + 2 * HOUR).subscribed
    assert made[1].startswith("made as sub_")
    assert "bob@example.com" in {one["email"] for one in stripe_peer.state()["customers"]}


def test_of_a_metered_customer_they_are_told_though_its_subscription_stays(stripe_peer: StripePeer) -> None:
    there = metered(stripe_peer)
    assert there.report(NOVEMBER.start + HOUR).subscribed == ()
    changed = (COARSE + PAYERS).replace("Ada Ltd", "Ada Inc")
    there.catalogue = compile_catalogue([("small.yaml", changed)])
    dry = there.report(NOVEMBER.start + 2 * HOUR, dry_run=True)
    assert dry.subscribed == (("ada/daily/2026-11-01", "would tell the new details of ada"),)
    stripe_peer.fail(path="/v1/customers/*", method="POST", status=400, times=1)
    refused = there.report(NOVEMBER.start + 2 * HOUR)
    assert [one.subject.rpartition("/")[0] for one in refused.parked] == ["details/ada"]
    assert there.report(NOVEMBER.start + 2 * HOUR).subscribed == (), "it waits for a person"
    retry(there.book, ["stripe"], None, now=NOVEMBER.start)
    done = there.report(NOVEMBER.start + 3 * HOUR)
    assert done.subscribed == (("ada/daily/2026-11-01", "told the new details of ada"),)
    assert {one["name"] for one in stripe_peer.state()["customers"]} == {"Ada Inc", "Bob"}
    assert there.report(NOVEMBER.start + 4 * HOUR).subscribed == ()
    assert there.book.parked("stripe") == ()
