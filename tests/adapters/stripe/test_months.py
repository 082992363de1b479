"""A month published to the local Stripe: equal to the unit, what becomes of each paper, and what stops one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.core.creditnotes import Cause, take_back
from rating.core.lifecycle import InvoiceEntry, Step, payment
from rating.core.money import Currency
from rating.core.publications import Outcome
from rating.core.wallets import Grant
from rating.jobs.publish import retry
from tests.promises.gateways.papers import draft
from tests.stripe_peer.peer import StripePeer

from .months import NOW, carry, gateway, happenings, month, there, usd

LINES = [(1_000, "/1"), (2_345, "/2"), (-334, "/3"), (602, "/4")]


def lines(number: int) -> list[tuple[int, str]]:
    return [(amount, f"INV-{number:06d}{place}") for amount, place in LINES]


def test_a_month_with_everything_in_it(stripe_peer: StripePeer) -> None:
    book, to = month(), gateway(stripe_peer)
    assert {one.outcome for one in carry(book, to, workers=4).entries} == {Outcome.DONE}
    happenings(book)
    done = carry(book, to, workers=4)
    assert [one.said for one in done.entries if one.outcome is not Outcome.DONE] == []
    assert there(stripe_peer) == {
        "customer plain": 0,
        "customer wallet": 0,
        "customer wired": 0,
        "customer noted": 0,
        "customer returned": 0,
        "customer void": 0,
        "customer lost": 0,
        "plain INV-000001": [("open", 3_613, 3_613, 3_613, 0, lines(1))],
        "wallet INV-000002": [("open", 3_613, 613, 613, 0, lines(2))],
        "wired INV-000003": [("paid", 3_613, 3_613, 0, 3_613, lines(3))],
        "noted INV-000004": [("open", 3_613, 3_073, 3_073, 0, lines(4))],
        "returned INV-000005": [("paid", 3_613, 3_613, 0, 3_613, lines(5))],
        "void INV-000006": [("void", 3_613, 3_613, 3_613, 0, lines(6))],
        "lost INV-000007": [("uncollectible", 3_613, 3_613, 3_613, 0, lines(7))],
        "noted CN-000001": [(540, 540, None, [540])],
        "returned CN-000002": [(540, 0, 540, [540])],
    }
    calls = to.calls
    assert carry(book, to, hours=30).entries == ()
    assert to.calls == calls


def test_what_the_customer_sees_and_what_we_find_it_by(stripe_peer: StripePeer) -> None:
    book = month()
    carry(book, gateway(stripe_peer, documents="https://billing.example/invoices/{number}"))
    invoice = book.invoices()[0]
    one = next(one for one in stripe_peer.state()["invoices"] if one["number"] == "INV-000001")
    assert one["metadata"] == {"rating_invoice": "INV-000001", "rating_hash": invoice.content_hash}
    assert one["effective_at"] == int(NOW.timestamp())
    assert one["due_date"] == int(NOW.timestamp()) + 30 * 86_400
    assert one["footer"] == "https://billing.example/invoices/INV-000001"
    assert one["lines"][1]["description"] == "API calls: 12 call"
    customer = next(one for one in stripe_peer.state()["customers"] if one["metadata"]["rating_customer"] == "plain")
    assert (customer["name"], customer["email"]) == ("plain AG", "it@acme.example")
    assert customer["address"]["line1"] == "Hauptstraße 1"
    assert customer["invoice_settings"]["custom_fields"] == [{"name": "Tax ID", "value": "ATU12345678"}]
    assert stripe_peer.requests()[-1]["path"].endswith("/send")


def test_charged_by_stripe_instead_of_sent(stripe_peer: StripePeer) -> None:
    carry(month(), gateway(stripe_peer, collection="charge_automatically"))
    one = stripe_peer.state()["invoices"][0]
    assert (one["collection_method"], one["auto_advance"], one["due_date"]) == ("charge_automatically", True, None)
    assert not [call for call in stripe_peer.requests() if call["path"].endswith("/send")]


def test_a_customer_that_is_there_already_is_taken(stripe_peer: StripePeer) -> None:
    there_before = stripe_peer.client().v1.customers.create({"name": "Old", "metadata": {"rating_customer": "plain"}})
    book = month()
    carry(book, gateway(stripe_peer))
    kept = book.remote_names("main", "customer/plain")
    assert [one.name for one in kept if not one.part] == [there_before.id]


def test_two_customers_with_one_key_stop_it(stripe_peer: StripePeer) -> None:
    for _ in range(2):
        stripe_peer.client().v1.customers.create({"name": "Twin", "metadata": {"rating_customer": "acme"}})
    book = issued(4_200)
    [entry] = carry(book, gateway(stripe_peer)).entries
    assert (entry.outcome, "both say rating_customer acme" in entry.said) == (Outcome.REFUSED, True)


def issued(*amounts: int, currency: str = "USD") -> MemoryBook:
    book = MemoryBook()
    book.issue([draft("acme", *amounts, currency=Currency(currency))], at=NOW)
    return book


def test_more_lines_than_stripe_takes_are_one_line_with_their_sum(stripe_peer: StripePeer) -> None:
    amounts = [1_000 + place for place in range(400)]
    book = issued(*amounts)
    [entry] = carry(book, gateway(stripe_peer, documents="https://billing.example/{number}")).entries
    assert entry.outcome is Outcome.DONE
    [one] = stripe_peer.state()["invoices"]
    shown = one["lines"]
    assert (one["total"], len(shown)) == (sum(amounts), 250)
    assert [line["amount"] for line in shown[:249]] == amounts[151:]
    assert shown[249]["amount"] == sum(amounts[:151])
    assert shown[249]["description"] == "151 further lines; see https://billing.example/INV-000001"
    assert shown[249]["metadata"] == {"rating_line": "INV-000001/rest", "rating_lines": "151"}


@pytest.mark.parametrize(
    ("amounts", "status", "said"),
    [
        ([0], "paid", "0.00 USD due"),
        ([5_000, -5_000], "paid", "0.00 USD due"),
        ([1_000, -3_000], "paid", "-20.00 USD is not collected there and stays open with us"),
        ([30], "paid", "0.30 USD is not collected there and stays open with us"),
    ],
    ids=["nothing", "credit that covers it", "more credit than charges", "less than Stripe charges"],
)
def test_totals_that_stripe_does_not_collect(
    stripe_peer: StripePeer, amounts: list[int], status: str, said: str
) -> None:
    """Stripe would settle them with the next invoice by the customer's balance, of which our book knows nothing."""
    book = issued(*amounts)
    [entry] = carry(book, gateway(stripe_peer)).entries
    assert entry.outcome is Outcome.DONE
    assert said in entry.said
    [one] = stripe_peer.state()["invoices"]
    assert (one["status"], one["total"]) == (status, sum(amounts))
    assert stripe_peer.state()["customers"][0]["balance"] == 0


@pytest.mark.parametrize(
    ("currency", "minor", "units"), [("JPY", 1_200, 1_200), ("ISK", 1_200, 120_000), ("KWD", 12_340, 12_340)]
)
def test_other_currencies_in_stripes_own_units(stripe_peer: StripePeer, currency: str, minor: int, units: int) -> None:
    book = issued(minor, currency=currency)
    [entry] = carry(book, gateway(stripe_peer)).entries
    assert entry.outcome is Outcome.DONE, entry.said
    assert stripe_peer.state()["invoices"][0]["total"] == units


def test_what_cannot_be_said_makes_no_call(stripe_peer: StripePeer) -> None:
    [entry] = carry(issued(12_345, currency="KWD"), gateway(stripe_peer)).entries
    assert (entry.outcome, stripe_peer.requests()) == (Outcome.REFUSED, [])
    assert "12.345 KWD cannot be said to Stripe" in entry.said


def test_a_total_that_differs_is_never_finalised(stripe_peer: StripePeer) -> None:
    """Somebody adds a line to our draft between two attempts."""
    book, to = issued(4_200), gateway(stripe_peer)
    stripe_peer.fail(path="/v1/invoices/*/finalize", status=429)
    carry(book, to)
    [invoice] = stripe_peer.state()["invoices"]
    stripe_peer.client().v1.invoices.add_lines(
        invoice["id"], {"lines": [{"amount": 1, "description": "x", "metadata": {"rating_line": "x"}}]}
    )
    [entry] = carry(book, to, hours=1).entries
    assert entry.outcome is Outcome.REFUSED
    assert "INV-000001 is 42.00 USD and would be 42.01 USD at Stripe" in entry.said
    assert stripe_peer.state()["invoices"][0]["status"] == "draft"
    stripe_peer.client().v1.invoices.remove_lines(
        invoice["id"],
        {"lines": [{"id": stripe_peer.state()["invoices"][0]["lines"][1]["id"], "behavior": "delete"}]},
    )
    retry(book, ["main"], "invoice/INV-000001", now=NOW)
    assert [one.outcome for one in carry(book, to, hours=2).entries] == [Outcome.DONE]


@pytest.mark.parametrize("topped_up", [0, 1_000])
def test_a_balance_that_is_not_ours_stops_it_before_finalising(stripe_peer: StripePeer, topped_up: int) -> None:
    customer = stripe_peer.client().v1.customers.create(
        {"name": "A", "email": "a@acme.example", "metadata": {"rating_customer": "acme"}}
    )
    stripe_peer.client().v1.customers.balance_transactions.create(customer.id, {"amount": -700, "currency": "usd"})
    book = MemoryBook()
    if topped_up:
        book.fund(Grant("acme", "top-up", usd(topped_up)), at=NOW)
    book.issue([draft("acme", 4_200)], at=NOW)
    [entry] = carry(book, gateway(stripe_peer)).entries
    assert entry.outcome is Outcome.REFUSED
    assert "has a balance of -700 at Stripe and 0 is ours" in entry.said
    assert stripe_peer.state()["invoices"][0]["status"] == "draft"
    assert stripe_peer.state()["customers"][0]["balance"] == -700


def test_a_wallet_that_paid_all_of_it_and_is_taken_back(stripe_peer: StripePeer) -> None:
    book, to = MemoryBook(), gateway(stripe_peer)
    book.fund(Grant("acme", "top-up", usd(9_000)), at=NOW)
    book.issue([draft("acme", 4_200)], at=NOW)
    carry(book, to)
    [one] = stripe_peer.state()["invoices"]
    assert (one["status"], one["total"], one["amount_due"]) == ("paid", 4_200, 0)
    book.enter(InvoiceEntry("INV-000001", Step.VOID, date(2026, 11, 2), reason="wrong"), at=NOW)
    [entry] = carry(book, to).entries
    assert "was paid from the wallet and is taken back by" in entry.said
    [note] = stripe_peer.state()["credit_notes"]
    assert (note["total"], note["out_of_band_amount"]) == (4_200, 4_200)
    assert stripe_peer.state()["customers"][0]["balance"] == 0


def test_a_void_invoice_whose_part_the_wallet_paid_leaves_no_balance(stripe_peer: StripePeer) -> None:
    book, to = MemoryBook(), gateway(stripe_peer)
    book.fund(Grant("acme", "top-up", usd(1_000)), at=NOW)
    book.issue([draft("acme", 4_200)], at=NOW)
    carry(book, to)
    book.enter(InvoiceEntry("INV-000001", Step.VOID, date(2026, 11, 2), reason="wrong"), at=NOW)
    carry(book, to)
    assert stripe_peer.state()["invoices"][0]["status"] == "void"
    assert stripe_peer.state()["customers"][0]["balance"] == 0


def test_a_note_over_what_the_wallet_paid(stripe_peer: StripePeer) -> None:
    book, to = MemoryBook(), gateway(stripe_peer)
    book.fund(Grant("acme", "top-up", usd(1_000)), at=NOW)
    [invoice] = book.issue([draft("acme", 4_200)], at=NOW)
    carry(book, to)
    book.credit(take_back(invoice, (), cause=Cause.MANUAL, reason="all of it"), at=NOW)
    [entry] = carry(book, to).entries
    assert entry.outcome is Outcome.DONE, entry.said
    [note] = stripe_peer.state()["credit_notes"]
    assert (note["pre_payment_amount"], note["out_of_band_amount"]) == (3_200, 1_000)


def test_part_of_it_paid_elsewhere_waits_for_the_rest(stripe_peer: StripePeer) -> None:
    """Stripe cannot be told of a part; a person sees that the customer is not asked for all of it meanwhile."""
    book, to = issued(4_200), gateway(stripe_peer)
    carry(book, to)
    book.enter(payment("INV-000001", usd(1_000), date(2026, 11, 2), reference="wire 1"), at=NOW)
    [entry] = carry(book, to).entries
    assert entry.outcome is Outcome.REFUSED
    assert "10.00 USD of INV-000001 was paid elsewhere and 42.00 USD is open at Stripe" in entry.said
    book.enter(payment("INV-000001", usd(3_200), date(2026, 11, 9), reference="wire 2"), at=NOW)
    retry(book, ["main"], entry.subject, now=NOW)
    assert [one.outcome for one in carry(book, to).entries] == [Outcome.DONE, Outcome.DONE]
    [one] = stripe_peer.state()["invoices"]
    assert (one["status"], one["amount_paid_off_stripe"]) == ("paid", 4_200)


def test_a_customer_without_an_email_waits_for_one(stripe_peer: StripePeer) -> None:
    """Stripe sends to nobody else; whoever has no email yet is given one there."""
    book, to = MemoryBook(), gateway(stripe_peer)
    paper = draft("acme", 4_200)
    assert paper.buyer is not None
    book.issue([replace(paper, buyer=replace(paper.buyer, email=""))], at=NOW)
    [entry] = carry(book, to).entries
    assert (entry.outcome, "the customer must have a valid email" in entry.said) == (Outcome.REFUSED, True)
    [customer] = stripe_peer.state()["customers"]
    assert f"write an email on {customer['id']} at Stripe, then `rating stripe retry`" in entry.said
    stripe_peer.client().v1.customers.update(customer["id"], {"email": "ada@acme.example"})
    retry(book, ["main"], None, now=NOW)
    assert [one.outcome for one in carry(book, to).entries] == [Outcome.DONE]


def test_a_key_that_may_not_is_no_reason_to_park(stripe_peer: StripePeer) -> None:
    stripe_peer.keys(rk_test_x={"customers": "write"})
    book, to = issued(4_200), gateway(stripe_peer)
    stripe_peer.key = "rk_test_x"
    done = carry(book, gateway(stripe_peer))
    assert (done.entries[0].outcome, done.parked) == (Outcome.FAILED, 0)
    assert "write a key that may do this into the file of RATING_GATEWAYS" in done.entries[0].said
    assert [one.outcome for one in carry(book, to, hours=1).entries] == [Outcome.DONE]


def test_another_book_on_the_same_account_is_noticed(stripe_peer: StripePeer) -> None:
    carry(issued(4_200), gateway(stripe_peer))
    [entry] = carry(issued(4_300), gateway(stripe_peer)).entries
    assert entry.outcome is Outcome.REFUSED
    assert "INV-000001 is already used" in entry.said
