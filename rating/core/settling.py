"""Settling: what the book makes of what a gateway told us about an invoice: an entry, a piece of news, or neither.

Decides so that the order in which things are told does not matter. What does not fit yet waits for what must have come
before it; what never fits is a person's. Entries say only what the gateway's own papers say and never when we heard of
it, so that one payment is one entry, however and whenever it is told. Subscriptions are `resubscribing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import assert_never
from zoneinfo import ZoneInfo

from rating.core.invoices import Invoice
from rating.core.lifecycle import Account, InvoiceEntry, Step, allowed, payment
from rating.core.money import Money
from rating.core.notices import Audience, Kind, Notification
from rating.core.parties import Customer
from rating.core.periods import stamp
from rating.core.publications import Progress
from rating.core.signals import (
    CreditedThere,
    CustomerChanged,
    CustomerFact,
    CustomerGone,
    Disputed,
    FailedEvent,
    GaveBack,
    GivenUpThere,
    InvoiceFact,
    Paid,
    PaidInFull,
    PaymentFact,
    PaymentFailed,
    Stage,
    UsageDeclined,
    VoidedThere,
)
from rating.core.subscriptions import Subscription
from rating.errors import Contradiction

UNDONE = "/undone"
"""Ends the reference of a payment that is a refund come back."""
OUTSIDE = "/outside"


class Verdict(StrEnum):
    """What became of a signal. Part of a metric."""

    ENTERED = "entered"
    KNOWN = "known"
    """The book says so already, or need not say it."""
    TOLD = "told"
    """News for people, nothing for the book."""
    FOREIGN = "foreign"
    """About something that is not ours."""
    UNKNOWN = "unknown"
    """Of a kind that is not known: kept, and set aside."""
    WAITS = "waits"
    """For what must have come before it."""
    PARKED = "parked"
    """A person looks."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A subscription of the book that ends."""

    key: str
    end: datetime


Action = InvoiceEntry | Subscription | Ending | Notification | Progress


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    said: str = ""
    actions: tuple[Action, ...] = ()


def known(said: str = "") -> Decision:
    return Decision(Verdict.KNOWN, said)


def waits(why: str) -> Decision:
    return Decision(Verdict.WAITS, why)


def parked(why: str) -> Decision:
    return Decision(Verdict.PARKED, why)


def about_invoice(fact: InvoiceFact, invoice: Invoice, before: Account, gateway: str) -> Decision:
    """`before` is the invoice's account, not asked for a day."""
    match fact:
        case Paid():
            return _paid(fact, invoice, before, gateway)
        case PaidInFull():
            return _in_full(fact, invoice, before, gateway)
        case VoidedThere():
            return _voided(fact, invoice, before, gateway)
        case GivenUpThere():
            return _given_up(fact, invoice, before, gateway)
        case PaymentFailed():
            mark = f"{fact.invoice}/{fact.attempt}"
            why = {"why": fact.why} if fact.why else {}
            return _told("RatingPaymentFailed", mark, fact.at, gateway, invoice, amount=str(fact.amount), **why)
        case CreditedThere():
            if fact.ours:
                return known(f"it is {fact.ours}")
            return parked(
                f"credit note {fact.note} over {fact.amount} of {invoice.number} was made at {gateway} by hand: money "
                f"moved that our book does not know; void it there, or issue ours with `rating credit-notes add "
                f"{invoice.number}` and dismiss this"
            )
    assert_never(fact)


def about_payment(fact: PaymentFact, paid: InvoiceEntry, invoice: Invoice, before: Account, gateway: str) -> Decision:
    """About a payment that the book has as the entry `paid`."""
    match fact:
        case GaveBack():
            back = _back(fact.reference, fact.amount, fact.at, invoice, gateway, "given back there")
            steps = [back]
            if fact.undone:
                reference = fact.reference + UNDONE
                steps.append(payment(invoice.number, fact.amount, back.on, source=gateway, reference=reference))
            return _entered(steps, invoice, before)
        case Disputed():
            until = {} if fact.until is None else {"until": stamp(fact.until)}
            about = {"amount": str(fact.amount), "payment": paid.reference, **({"why": fact.why} if fact.why else {})}
            mark = f"{fact.reference}/{fact.stage}"
            if fact.stage is Stage.OPEN:
                return _told("RatingPaymentDisputed", mark, fact.at, gateway, invoice, **about, **until)
            if fact.stage is Stage.WON:
                return _told("RatingDisputeWon", mark, fact.at, gateway, invoice, **about)
            news = _told("RatingDisputeLost", mark, fact.at, gateway, invoice, **about)
            back = _back(fact.reference, fact.amount, fact.at, invoice, gateway, "dispute lost")
            decided = _entered([back], invoice, before)
            if decided.verdict is not Verdict.ENTERED:
                return decided
            return Decision(decided.verdict, decided.said, (*decided.actions, *news.actions))
    assert_never(fact)


def about_customer(fact: CustomerFact, key: str, ours: Customer | None, gateway: str) -> Decision:
    """Our catalogue says who a customer is: what is said otherwise there is news."""
    match fact:
        case CustomerGone():
            return _news("RatingCustomerGone", fact.customer, fact.at, gateway, {"customer": key}, key)
        case CustomerChanged():
            mine = {} if ours is None else {"email": ours.email, "name": ours.name, "country": ours.country}
            differs = {name: said for name, said in fact.now if mine.get(name) and said != mine[name]}
            if not differs:
                return known("as the catalogue says")
            mark = f"{fact.customer}/{stamp(fact.at)}/{'/'.join(sorted(differs))}"
            about = {"customer": key, "fields": ", ".join(sorted(differs))}
            return _news("RatingCustomerChanged", mark, fact.at, gateway, about, key)
    assert_never(fact)


def about_usage(
    fact: UsageDeclined, gateway: str, fresh: Sequence[Progress], known_already: int, unknown: Sequence[FailedEvent]
) -> Decision:
    """`fresh` are the entries by which failed events of ours are parked now; of `unknown` ones it is not known whose.

    What the gateway only counts, or what is not ours, waits for a person with the signal.
    """
    said = [f"{gateway} does not bill usage that was reported as {fact.what}: {fact.why or 'it says not why'}"]
    if fresh:
        said.append(f"{len(fresh)} parked under their own names: `rating publish --parked`, `rating stripe retry`")
    if known_already:
        said.append(f"{known_already} parked or told again before")
    if unknown:
        said.append(f"{len(unknown)} not known to be ours, the first of them {unknown[0].name}: look for them there")
    unnamed = max(fact.count - len(fact.failed), 0)
    if unnamed:
        said.append(f"{unnamed} not named: `rating stripe reconcile` finds the hours")
    if unknown or unnamed or not fact.failed:
        verdict = Verdict.PARKED
    else:
        verdict = Verdict.ENTERED if fresh else Verdict.KNOWN
    return Decision(verdict, "; ".join(said), tuple(fresh))


def foreign(what: str) -> Decision:
    return Decision(Verdict.FOREIGN, f"{what} is not ours")


def _paid(fact: Paid, invoice: Invoice, before: Account, gateway: str) -> Decision:
    entry = payment(
        invoice.number,
        fact.amount,
        _day(invoice, fact.at),
        source=gateway,
        reference=fact.reference,
        author=gateway,
    )
    if fact.outside and _elsewhere(before, gateway).minor >= fact.amount.minor:
        return known("we told them of this payment")
    return _entered([entry], invoice, before)


def _in_full(fact: PaidInFull, invoice: Invoice, before: Account, gateway: str) -> Decision:
    settled = _received(before) + before.prepaid + before.credited
    if settled.minor >= before.total.minor:
        return known("all its payments are in the book")
    if fact.outside.minor > 0 and _elsewhere(before, gateway).minor < fact.outside.minor:
        reference = fact.invoice + OUTSIDE
        day = _day(invoice, fact.at)
        entry = payment(invoice.number, fact.outside, day, source=gateway, reference=reference, author=gateway)
        return _entered([entry], invoice, before)
    return waits(
        f"{invoice.number} is paid in full at {gateway} and {settled} of {before.total} is settled in our book; "
        "its payments have not been told yet"
    )


def _voided(fact: VoidedThere, invoice: Invoice, before: Account, gateway: str) -> Decision:
    if any(entry.step is Step.VOID for entry in before.steps):
        return known("it is void")
    if fact.given_up:
        return parked(
            f"{invoice.number} was voided at {gateway} after it had been written off there: our book has written it "
            "off and does not void it any more; nothing is collected either way, dismiss this"
        )
    received = _received(before, gateway)
    if received != fact.paid:
        return waits(
            f"{invoice.number} was voided at {gateway} when {fact.paid} had been paid there, and our book has "
            f"{received}; the rest has not been told yet"
        )
    entry = InvoiceEntry(
        invoice.number,
        Step.VOID,
        _day(invoice, fact.at),
        source=gateway,
        reason=f"voided at {gateway}",
        author=gateway,
    )
    return _entered([entry], invoice, before)


def _given_up(fact: GivenUpThere, invoice: Invoice, before: Account, gateway: str) -> Decision:
    if any(entry.step is Step.WRITE_OFF for entry in before.steps):
        return known("it is written off")
    received = _received(before, gateway)
    if received.minor > fact.paid.minor:
        return known(f"overtaken: {received} was paid there, {fact.paid} when it was marked as uncollectible")
    if before.outstanding != fact.left:
        return waits(
            f"{invoice.number} was marked as uncollectible at {gateway} with {fact.left} left, and "
            f"{before.outstanding} is outstanding in our book"
        )
    entry = InvoiceEntry(
        invoice.number,
        Step.WRITE_OFF,
        _day(invoice, fact.at),
        fact.left,
        source=gateway,
        reason=f"marked as uncollectible at {gateway}",
        author=gateway,
    )
    return _entered([entry], invoice, before)


def _back(reference: str, amount: Money, at: datetime, invoice: Invoice, gateway: str, why: str) -> InvoiceEntry:
    return InvoiceEntry(
        invoice.number,
        Step.REFUND,
        _day(invoice, at),
        amount,
        source=gateway,
        reference=reference,
        reason=why,
        author=gateway,
    )


def _entered(steps: Iterable[InvoiceEntry], invoice: Invoice, before: Account) -> Decision:
    """Those of the steps that are new, as far as they are allowed one after the other."""
    kept = {entry.key: entry for entry in before.steps}
    new = []
    for entry in steps:
        twin = kept.get(entry.key)
        if twin is None:
            new.append(entry)
        elif twin.amount != entry.amount:
            return parked(
                f"{entry.key} is {twin.amount} in our book and {entry.amount} there; look at both, and correct ours"
            )
    if not new:
        return known("it is in the book")
    try:
        # The one that follows on the first undoes it: what is left of it is always allowed.
        allowed(new[0], before)
    except Contradiction as refused:
        return waits(str(refused))
    said = ", ".join(f"{entry.step.replace('_', ' ')} of {entry.amount or before.total}" for entry in new)
    return Decision(Verdict.ENTERED, f"{invoice.number}: {said}", tuple(new))


def _received(before: Account, gateway: str | None = None) -> Money:
    """All that came in (at one gateway), whatever was given back since."""
    amounts = [
        entry.amount
        for entry in before.steps
        if entry.step is Step.PAY
        and entry.amount is not None
        and gateway in (None, entry.source)
        and not entry.reference.endswith(UNDONE)
    ]
    return sum(amounts, Money(0, before.total.currency))


def _elsewhere(before: Account, gateway: str) -> Money:
    return _received(before) - _received(before, gateway)


def _told(alert: str, mark: str, at: datetime, gateway: str, invoice: Invoice, **about: str) -> Decision:
    draft = invoice.draft
    labels = {"invoice": invoice.number, "customer": draft.customer, **about}
    return _news(alert, mark, at, gateway, labels, draft.customer)


def _news(alert: str, mark: str, at: datetime, gateway: str, about: dict[str, str], customer: str) -> Decision:
    """For finance; in the form in which an alert is told, as it is one."""
    one = Notification(
        Kind.ALERT,
        Audience.FINANCE,
        f"{gateway}/{alert}/{mark}",
        customer=customer,
        alert=alert,
        labels=tuple(sorted({**about, "gateway": gateway}.items())),
        since=at,
    )
    return Decision(Verdict.TOLD, f"{alert}: {', '.join(f'{name} {said}' for name, said in about.items())}", (one,))


def _day(invoice: Invoice, at: datetime) -> date:
    return at.astimezone(ZoneInfo(invoice.draft.zone)).date()
