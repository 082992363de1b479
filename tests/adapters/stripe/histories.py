"""What happened at Stripe to two hundred invoices, as its own events tell it, in order; and books to settle it in."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import stripe

from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.signals import StripeSignals
from rating.core.catalogue import Catalogue
from rating.core.lifecycle import payment
from rating.core.money import Money
from rating.core.publications import RemoteName, Signal
from rating.core.signals import Paid
from rating.core.wallets import Grant
from rating.jobs.contracts import gather
from rating.jobs.lives import account_of
from rating.jobs.settle import Settled, settle
from rating.ports import Book
from rating.specs.compile import compile_catalogue
from tests.promises.gateways.papers import USD, draft

ISSUED = datetime(2026, 9, 1, 6, tzinfo=UTC)
NOW = datetime(2026, 10, 1, tzinfo=UTC)
"""When the first signal arrives: after all of it has happened."""
CATALOGUE = """
version: 1
currency: USD
meters:
  calls: {metric: api_requests_total, unit: call, consumer: consumer_id}
plans:
  basic: {period: month, fee: "9", charges: [{meter: calls, unit_price: "0.01"}]}
  pro: {period: month, fee: "29", charges: [{meter: calls, unit_price: "0.005"}]}
  scale: {period: month, fee: "99", charges: [{meter: calls, unit_price: "0.002"}]}
"""
INVOICES, SUBSCRIBERS = 200, 24


class History:
    """Events in order of what happened, and what Stripe would answer if it were asked now."""

    def __init__(self, seed: int = 1) -> None:
        self.events: list[dict[str, Any]] = []
        self.paid: dict[str, list[dict[str, Any]]] = {}
        self._second = int((ISSUED + timedelta(days=1)).timestamp())
        self._count = 0
        choice = random.Random(seed)
        for number in range(INVOICES):
            self._invoice(number, _STORIES[number % len(_STORIES)], choice)
        for number in range(SUBSCRIBERS):
            self._subscription(number)
        for number in range(8):
            self.tell("payment_intent.created", {"id": f"pi_x{number}", "object": "payment_intent"})
            self.tell(f"something.new_{number}", {"id": f"new_{number}", "object": "new"})
            self.tell("refund.created", self._refund(f"re_foreign{number}", f"pi_foreign{number}", 100))
            self.tell("invoice.paid", self._shown(f"in_foreign{number}", 500, 500, "paid", number=None))

    def tell(self, kind: str, told: dict[str, Any], previous: dict[str, Any] | None = None) -> None:
        self._count += 1
        self._second += 61
        data: dict[str, Any] = {"object": json.loads(json.dumps(told))}
        if previous is not None:
            data["previous_attributes"] = previous
        self.events.append(
            {
                "id": f"evt_{self._count:05d}",
                "object": "event",
                "api_version": stripe.api_version,
                "created": self._second,
                "data": data,
                "livemode": False,
                "type": kind,
            }
        )

    def signals(self) -> list[Signal]:
        return [
            Signal("main", one["id"], one["type"], datetime.fromtimestamp(one["created"], UTC), json.dumps(one))
            for one in self.events
        ]

    def _shown(
        self, name: str, total: int, came: int, status: str, *, number: str | None, **more: Any
    ) -> dict[str, Any]:
        return {
            "id": name,
            "object": "invoice",
            "total": total,
            "currency": "usd",
            "status": status,
            "amount_paid": came,
            "amount_remaining": total - came,
            "amount_paid_off_stripe": 0,
            "attempt_count": 1,
            "metadata": {} if number is None else {"rating_invoice": number},
            "status_transitions": {
                "finalized_at": self._second,
                "marked_uncollectible_at": None,
                "paid_at": self._second if status == "paid" else None,
                "voided_at": self._second if status == "void" else None,
            },
            **more,
        }

    def _pay(self, invoice: str, amount: int, part: int = 0) -> str:
        intent = f"pi_{invoice}_{part}"
        one = {
            "id": f"inpay_{invoice}_{part}",
            "object": "invoice_payment",
            "amount_paid": amount,
            "amount_requested": amount,
            "currency": "usd",
            "invoice": invoice,
            "payment": {"type": "payment_intent", "payment_intent": intent},
            "status": "paid",
            "status_transitions": {"canceled_at": None, "paid_at": self._second},
        }
        self.paid.setdefault(invoice, []).append(one)
        self.tell("charge.succeeded", {"id": f"ch_{invoice}_{part}", "object": "charge", "payment_intent": intent})
        self.tell("invoice_payment.paid", one)
        return intent

    def _refund(self, name: str, intent: str, amount: int, status: str = "succeeded") -> dict[str, Any]:
        about = {"amount": amount, "currency": "usd", "created": self._second, "status": status}
        return {"id": name, "object": "refund", "payment_intent": intent, "charge": None, **about}

    def _invoice(self, index: int, story: str, choice: random.Random) -> None:
        name, number = f"in_{index:03d}", f"INV-{index + 1:06d}"
        total = due_of(index)
        part = choice.randrange(2, total)

        def shown(came: int, status: str, **more: Any) -> dict[str, Any]:
            return self._shown(name, total, came, status, number=number, **more)

        def in_full() -> None:
            self.tell("invoice.paid", shown(total, "paid"))
            self.tell("invoice.payment_succeeded", shown(total, "paid"))

        words = story.split()
        if "fails" in words:
            self.tell("invoice.payment_failed", shown(0, "open", attempt_count=1))
        came = 0
        back = 0
        intents = []
        if "parts" in words or "part" in words:
            intents.append(self._pay(name, part))
            came = part
        if "parts" in words or "paid" in words:
            intents.append(self._pay(name, total - came, 1))
            came = total
            in_full()
        if "refund" in words:
            back = choice.randrange(1, part) if "parts" in words else part
            refund = self._refund(f"re_{name}", intents[0], back, "pending")
            self.tell("refund.created", refund)
            self.tell("charge.refunded", {"id": f"ch_{name}_0", "object": "charge", "amount_refunded": back})
            self.tell("refund.updated", {**refund, "status": "succeeded"})
            if "bounced" in words:
                self.tell("refund.failed", {**refund, "status": "failed"})
        if "dispute" in words:
            dispute = {
                "id": f"dp_{name}", "object": "dispute", "amount": part - back, "currency": "usd",
                "payment_intent": intents[0], "charge": None, "created": self._second, "reason": "fraudulent",
                "status": "needs_response", "evidence_details": {"due_by": self._second + 1_000_000},
            }  # fmt: skip
            status = "lost" if "lost" in words else "won"
            self.tell("charge.dispute.created", dispute)
            self.tell("charge.dispute.funds_withdrawn", dispute)
            self.tell("charge.dispute.updated", {**dispute, "status": status}, {"status": "needs_response"})
            self.tell("charge.dispute.closed", {**dispute, "status": status})
        if "void" in words:
            self.tell("invoice.voided", shown(came, "void"))
        if "given" in words:
            self.tell("invoice.marked_uncollectible", shown(came, "uncollectible"))
        if "credited" in words:
            note = {"id": f"cn_{name}", "object": "credit_note", "total": part, "currency": "usd", "invoice": name}
            self.tell("credit_note.created", {**note, "created": self._second, "metadata": {}})
        if "outside" in words:
            self.tell("invoice.paid", shown(total, "paid", amount_paid_off_stripe=total))

    def _subscription(self, index: int) -> None:
        def items(plan: str) -> dict[str, Any]:
            return {"object": "list", "data": [{"id": f"si_{index}", "price": {"lookup_key": plan, "metadata": {}}}]}

        plans = [["basic", "pro", "scale"], ["scale", "basic", "pro"], ["pro", "scale"]][index % 3]
        one: dict[str, Any] = {
            "id": f"sub_{index}", "object": "subscription", "customer": f"cus_s{index}", "status": "active",
            "metadata": {"rating_consumer": f"s{index}"}, "start_date": self._second, "cancel_at": None,
            "cancel_at_period_end": False, "ended_at": None,
        }  # fmt: skip
        self.tell("customer.subscription.created", {**one, "items": items(plans[0])})
        for before, plan in pairwise(plans):
            self._second += 40_000
            self.tell("customer.subscription.updated", {**one, "items": items(plan)}, {"items": items(before)})
        leaving = {**one, "items": items(plans[-1]), "cancel_at_period_end": True, "cancel_at": self._second + 90_000}
        self.tell("customer.subscription.updated", leaving, {"cancel_at_period_end": False, "cancel_at": None})
        if index % 2:
            self._second += 90_000
            self.tell("customer.subscription.deleted", {**leaving, "status": "canceled", "ended_at": self._second})
        else:
            self.tell(
                "customer.subscription.updated",
                {**one, "items": items(plans[-1])},
                {"cancel_at_period_end": True, "cancel_at": leaving["cancel_at"]},
            )


_STORIES = (
    "paid",
    "parts",
    "fails paid",
    "parts refund",
    "part",
    "parts refund bounced",
    "parts dispute lost",
    "parts dispute won",
    "void",
    "given",
    "part given",
    "paid credited",
    "outside",
    "outside told by us",
    "part refund void",
    "parts refund dispute lost",
)
_PREPAID = 7
"""Every so many invoices are paid in part by a wallet."""


def prepaid_of(index: int) -> int:
    return 300 if index % _PREPAID == 0 else 0


def due_of(index: int) -> int:
    """What is to be collected at Stripe: no two alike."""
    return 2_000 + index * 7 - prepaid_of(index)


class Asked(StripeSignals):
    """What a gateway answers about the history is taken from it; what it tells is translated as ever."""

    def __init__(self, history: History) -> None:
        super().__init__(StripeAccount("main", "sk_test_unused", url="http://127.0.0.1:9"))
        self._history = history

    def payments(self, invoice: str) -> tuple[Paid, ...]:
        from rating.adapters.stripe.facts import paid

        return tuple(paid(one) for one in self._history.paid.get(invoice, ()))  # type: ignore[misc]

    def invoice_of(self, payment: str) -> str | None:
        ways = {one["payment"]["payment_intent"]: name for name, all_ in self._history.paid.items() for one in all_}
        return ways.get(payment)


@cache
def catalogue() -> Catalogue:
    return compile_catalogue([("catalogue.yaml", CATALOGUE)])


def prepared(book: Book) -> Book:
    """Two hundred invoices issued and carried, some of them paid from wallets, some elsewhere."""
    customers = [f"c{index}" for index in range(INVOICES)]
    for index, customer in enumerate(customers):
        if prepaid_of(index):
            book.fund(Grant(customer, "top-up", Money(prepaid_of(index), USD)), at=ISSUED)
    invoices = book.issue(
        [draft(customer, due_of(i) + prepaid_of(i)) for i, customer in enumerate(customers)], at=ISSUED
    )
    names = [RemoteName("main", f"invoice/{one.number}", "", f"in_{i:03d}") for i, one in enumerate(invoices)]
    names += [RemoteName("main", f"customer/s{index}", "", f"cus_s{index}") for index in range(SUBSCRIBERS)]
    book.progress((), names, at=ISSUED)
    for index, invoice in enumerate(invoices):
        if _STORIES[index % len(_STORIES)] == "outside told by us":
            wired = payment(invoice.number, Money(due_of(index), USD), ISSUED.date(), reference=f"wire {index}")
            book.enter(wired, at=ISSUED)
    return book


def settled(book: Book, reader: StripeSignals, now: datetime) -> Settled:
    return settle(book, gather(book, catalogue(), now=now), [reader], now=now)


def told(book: Book, reader: StripeSignals, batches: Iterable[Sequence[Signal]]) -> None:
    """Tell batch by batch, settle after each, then until nothing waits."""
    now = NOW
    for batch in batches:
        for signal in batch:
            book.signal(signal, at=now)
        settled(book, reader, now)
        now += timedelta(minutes=3)
    while book.signals("main", waiting=True):
        now += timedelta(hours=7)
        settled(book, reader, now)


def state_of(book: Book) -> dict[str, Any]:
    """Everything that settling may change, whatever order it happened in."""
    accounts = {}
    for invoice in book.invoices():
        one = account_of(book, invoice, NOW)
        figures = (one.paid, one.prepaid, one.credited, one.written_off, one.outstanding, one.state)
        accounts[invoice.number] = figures
    return {
        "accounts": accounts,
        "entries": frozenset(book.entries()),
        "subscriptions": book.subscriptions(),
        "wallets": {
            (wallet.customer, move.kind, move.change, move.invoice)
            for wallet in book.wallets()
            for account in wallet.accounts
            for move in account.moves
        },
        "parked": {(one.progress.subject, one.progress.said) for one in book.parked("main")},
        "news": {one.notification.key for one in book.notifications()},
    }
