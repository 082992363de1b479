"""A month of papers that has everything in it, published to the local Stripe by the job, as tests need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from rating.adapters.memory_book import MemoryBook
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.gateway import StripeInvoices
from rating.core.collection import Collection
from rating.core.creditnotes import Cause, credit
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.lifecycle import InvoiceEntry, Step, payment
from rating.core.money import Money
from rating.core.wallets import Grant
from rating.jobs.publish import Published, Served, publish
from rating.ports import Book
from tests.promises.gateways.papers import AUGUST, USD, draft
from tests.stripe_peer.peer import StripePeer

NOW = datetime(2026, 11, 1, tzinfo=UTC)
"""Where the fixture's clock stands."""
WHO = Collection("main")


def usd(minor: int) -> Money:
    return Money(minor, USD)


def taxed(customer: str) -> Draft:
    """A fee, usage, a discount and a tax line: what stands on most papers."""
    kinds = (
        (LineKind.FEE, "Pro", 1_000),
        (LineKind.USAGE, "API calls", 2_345),
        (LineKind.DISCOUNT, "Launch offer", -334),
        (LineKind.TAX, "VAT 20%", 602),
    )
    lines = tuple(
        LineItem(
            kind, kind.value, title, AUGUST, Fraction(amount, 100), usd(amount), unit="call", quantity=Fraction(12)
        )
        for kind, title, amount in kinds
    )
    return replace(draft(customer, 1), lines=lines)


EVERYBODY = ("plain", "wallet", "wired", "noted", "returned", "void", "lost")


def month(book: Any = None, *, customers: Sequence[str] = EVERYBODY) -> Any:
    """One invoice for each of them, in the book given or one in memory; `wallet` has paid some in advance."""
    book = MemoryBook() if book is None else book
    book.fund(Grant("wallet", "top-up 1", usd(3_000)), at=NOW)
    book.issue([taxed(customer) for customer in customers], at=NOW)
    return book


def happenings(book: Book) -> None:
    """What becomes of that month's invoices, once they were carried."""
    papers = {invoice.draft.customer: invoice for invoice in book.invoices()}
    for customer in papers.keys() & {"wired", "returned"}:
        paid = payment(papers[customer].number, papers[customer].total, date(2026, 11, 2), reference=f"wire {customer}")
        book.enter(paid, at=NOW)
    for customer in sorted(papers.keys() & {"noted", "returned"}):
        note = credit(papers[customer], {1: usd(500)}, (), cause=Cause.MANUAL, reason="an outage")
        book.credit(note, at=NOW)
    if "void" in papers:
        book.enter(InvoiceEntry(papers["void"].number, Step.VOID, date(2026, 11, 2), reason="wrong"), at=NOW)
    if "lost" in papers:
        lost = papers["lost"]
        book.enter(InvoiceEntry(lost.number, Step.WRITE_OFF, date(2026, 11, 2), lost.total, reason="gone"), at=NOW)


def gateway(peer: StripePeer, **options: Any) -> StripeInvoices:
    """As a new process opens it; waits that it would make are not waited."""
    timeout = options.pop("timeout", 30.0)
    account = StripeAccount(
        "main", peer.key, url=peer.url, requests_per_second=100_000, timeout=timeout, sleep=lambda seconds: None
    )
    return StripeInvoices(account, **options)


def carry(book: Book, to: StripeInvoices, *, hours: int = 0, workers: int = 1) -> Published:
    return publish(book, [Served(to, workers)], WHO, now=NOW + timedelta(hours=hours))


def there(peer: StripePeer) -> dict[str, Any]:
    """What stands at Stripe, by our customers: the same twice is the same value."""
    state = peer.state()
    names = {one["id"]: one["metadata"]["rating_customer"] for one in state["customers"]}
    found: dict[str, Any] = {f"customer {name}": state_of["balance"] for name, state_of in _by(state["customers"])}
    for one in state["invoices"]:
        lines = [(line["amount"], line["metadata"]["rating_line"]) for line in one["lines"]]
        key = f"{names[one['customer']]} {one['metadata']['rating_invoice']}"
        facts = (one["status"], one["total"], one["amount_due"], one["amount_remaining"], one["amount_paid_off_stripe"])
        found.setdefault(key, []).append((*facts, lines))
    for one in state["credit_notes"]:
        key = f"{names[one['customer']]} {one['metadata']['rating_credit_note']}"
        facts = (one["total"], one["pre_payment_amount"], one["out_of_band_amount"])
        found.setdefault(key, []).append((*facts, [line["amount"] for line in one["lines"]]))
    return found


def _by(customers: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    names = [one["metadata"]["rating_customer"] for one in customers]
    assert len(set(names)) == len(names), f"a customer was made twice: {sorted(names)}"
    return list(zip(names, customers, strict=True))
