"""Real test sites, where a key to one is given: a small month is carried to it, twice, and is there once.

    CHARGEBEE_TEST_SITE=acme-test CHARGEBEE_TEST_KEY=test_... pytest tests/promises/gateways/test_sandboxes.py
    RECURLY_TEST_KEY=... pytest tests/promises/gateways/test_sandboxes.py
    CHARGEBEE_TEST_USAGE=SUBSCRIPTION/ITEM_PRICE, RECURLY_TEST_USAGE=SUBSCRIPTION/ADD_ON_CODE beside them: usage as well
    STRIPE_TEST_KEY=sk_test_... pytest tests/promises/gateways/test_sandboxes.py

What is made there stays there, usage apart, which is told to be none in the end. Customers and numbers are those of one
run, so that it may be asked again.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rating.adapters.chargebee import ChargebeeGateway, ChargebeeUsage
from rating.adapters.chargebee.site import Site
from rating.adapters.memory_book import MemoryBook
from rating.adapters.recurly import RecurlyGateway, RecurlyUsage
from rating.adapters.recurly.account import Account
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.gateway import StripeInvoices
from rating.core.money import Money
from rating.core.publications import CreditNoteDispatch, Dispatch, InvoiceDispatch, StepDispatch
from rating.core.usageevents import Share, UsageEvent
from rating.ports import InvoiceGateway, UsageGateway

from .papers import NOW, USD, BookTrail, draft, month

NOTHING = Money(0, USD)


def dispatches(book: MemoryBook, now: datetime) -> list[InvoiceDispatch]:
    run = f"{now:%Y%m%d%H%M%S}"
    papers = book.issue([draft(f"rating-{run}-a", 1000, 230), draft(f"rating-{run}-b", 99_900, 1, 5)], at=now)
    return [InvoiceDispatch(replace(paper, number=f"T{run}-{paper.number}"), NOTHING) for paper in papers]


def carried_twice(gateway: InvoiceGateway, name: str) -> list[tuple[InvoiceDispatch, str]]:
    """Each paper with its name there: the second time nothing is known of the first but that it was begun."""
    now = datetime.now(UTC).replace(microsecond=0)
    book = MemoryBook()
    found = []
    for one in dispatches(book, now):
        names = []
        for at in (f"{name}-1", f"{name}-2"):
            for _ in range(2):
                trail: Any = BookTrail(book, at, one.subject, now)
                gateway.publish(one, trail, now=now)
            names.append(trail.name())
        assert names[0] == names[1], "it was made twice"
        found.append((one, str(names[0])))
    return found


@pytest.mark.skipif(
    not os.environ.get("CHARGEBEE_TEST_KEY", "").startswith("test_"),
    reason="no test site of Chargebee's: set CHARGEBEE_TEST_SITE and CHARGEBEE_TEST_KEY",
)
def test_a_month_at_a_test_site_of_chargebee() -> None:
    site = Site(os.environ["CHARGEBEE_TEST_SITE"], os.environ["CHARGEBEE_TEST_KEY"])
    for one, name in carried_twice(ChargebeeGateway("chargebee", site), "chargebee"):
        there: Any = site.ask("look", site.client.Invoice.retrieve, name)
        assert (there.invoice.id, there.invoice.total) == (one.invoice.number, one.invoice.total.minor)


@pytest.mark.skipif(not os.environ.get("RECURLY_TEST_KEY"), reason="no test site of Recurly's: set RECURLY_TEST_KEY")
def test_a_month_at_a_test_site_of_recurly() -> None:
    account = Account(os.environ["RECURLY_TEST_KEY"], region=os.environ.get("RECURLY_TEST_REGION", "us"))
    for one, name in carried_twice(RecurlyGateway("recurly", account), "recurly"):
        there: Any = account.ask("look", lambda site, name=name: site.get_invoice(name))
        assert (there.po_number, str(there.total)) == (one.invoice.number, str(float(one.invoice.total.digits)))


def renamed(dispatch: Dispatch, mark: str) -> Dispatch:
    """The same paper under numbers of this run."""
    invoice = replace(dispatch.invoice, number=f"{mark}{dispatch.invoice.number}")
    match dispatch:
        case InvoiceDispatch():
            return replace(dispatch, invoice=invoice)
        case CreditNoteDispatch(note=note):
            about = replace(note.draft, invoice=invoice.number)
            return replace(dispatch, invoice=invoice, note=replace(note, number=f"{mark}{note.number}", draft=about))
        case StepDispatch(entry=entry):
            return replace(dispatch, invoice=invoice, entry=replace(entry, invoice=invoice.number))


@pytest.mark.skipif(
    not os.environ.get("STRIPE_TEST_KEY", "").startswith(("sk_test_", "rk_test_")),
    reason="no test mode of Stripe's: set STRIPE_TEST_KEY (STRIPE_TEST_URL for a server in Stripe's place)",
)
def test_a_month_in_the_test_mode_of_stripe() -> None:
    """Invoices, a credit note, a payment elsewhere and a void one, each carried four times."""
    account = StripeAccount("stripe", os.environ["STRIPE_TEST_KEY"], url=os.environ.get("STRIPE_TEST_URL", ""))
    mark = f"T{datetime.now(UTC):%Y%m%d%H%M%S}-"
    told = month(mark.lower())
    names: dict[str, set[str]] = {}
    for round in ("stripe-1", "stripe-1", "stripe-2", "stripe-2"):
        gateway = StripeInvoices(account)
        for one in told.dispatches:
            named = renamed(one, mark)
            trail: Any = BookTrail(told.book, round, named.subject, NOW)
            gateway.publish(named, trail, now=datetime.now(UTC))
            if isinstance(named, InvoiceDispatch):
                names.setdefault(named.invoice.number, set()).add(str(trail.name()))
    assert {len(found) for found in names.values()} == {1}, "made twice"
    there = [account.client.v1.invoices.retrieve(name) for found in names.values() for name in found]
    assert {(one.number, one.total, one.status) for one in there} == {
        (f"{mark}INV-000001", 1_230, "open"),
        (f"{mark}INV-000002", 99_906, "open"),
        (f"{mark}INV-000003", 4_200, "paid"),
        (f"{mark}INV-000004", 700, "void"),
    }
    notes = account.client.v1.credit_notes.list({"invoice": next(one.id for one in there if one.total == 99_906)})
    assert [note.total for note in notes.data] == [1]


def told_and_corrected(gateway: UsageGateway, subscription: str, product: str) -> list[tuple[UsageEvent, bool]]:
    """A day's number told twice, corrected, and told to be none; what was declined at each step."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    names = {("subscription/sandbox", ""): subscription, ("subscription/sandbox", "start"): "0"}
    found = []
    for revision, value in enumerate((7, 7, 12, 0)):
        share = Share("sandbox", (product,), day + timedelta(hours=12), value)
        event = UsageEvent("sandbox", "sandbox", day, day, value, f"rating:sandbox:{revision}", (share,))
        declined = gateway.report([event], lambda subject, part="": names.get((subject, part)))
        found.append((event, bool(declined)))
    return found


@pytest.mark.skipif(
    "/" not in os.environ.get("CHARGEBEE_TEST_USAGE", "")
    or not os.environ.get("CHARGEBEE_TEST_KEY", "").startswith("test_"),
    reason="no subscription at a test site of Chargebee's: set CHARGEBEE_TEST_USAGE beside its key",
)
def test_usage_at_a_test_site_of_chargebee() -> None:
    subscription, item = os.environ["CHARGEBEE_TEST_USAGE"].split("/")
    site = Site(os.environ["CHARGEBEE_TEST_SITE"], os.environ["CHARGEBEE_TEST_KEY"])
    gateway = ChargebeeUsage("chargebee", site, {"p/charge/c": item}, {}, grace=timedelta(hours=1))
    assert [declined for _, declined in told_and_corrected(gateway, subscription, "p/charge/c")] == [False] * 4


@pytest.mark.skipif(
    "/" not in os.environ.get("RECURLY_TEST_USAGE", "") or not os.environ.get("RECURLY_TEST_KEY"),
    reason="no subscription at a test site of Recurly's: set RECURLY_TEST_USAGE beside its key",
)
def test_usage_at_a_test_site_of_recurly() -> None:
    subscription, code = os.environ["RECURLY_TEST_USAGE"].split("/")
    account = Account(os.environ["RECURLY_TEST_KEY"], region=os.environ.get("RECURLY_TEST_REGION", "us"))
    gateway = RecurlyUsage("recurly", account, {"p/charge/c": code}, {}, grace=timedelta(hours=1))
    assert [declined for _, declined in told_and_corrected(gateway, subscription, "p/charge/c")] == [False] * 4
