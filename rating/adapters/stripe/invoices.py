"""An issued invoice at Stripe: drafted, filled, compared, finalised, and sent or charged.

Nothing is finalised unless Stripe's total is ours to the unit. What a wallet paid goes through the customer's balance,
which holds nothing before and nothing after: it would pay invoices of which the book knows nothing.
"""

from __future__ import annotations

from typing import Any

from rating.adapters.stripe.amounts import from_stripe, to_stripe
from rating.adapters.stripe.client import metadata, told
from rating.adapters.stripe.lines import AT_ONCE, LINE, invoice_lines
from rating.adapters.stripe.papers import BALANCE, HASH, INVOICE, Desk, instant, is_ours, key_of, once
from rating.core.invoices import Invoice
from rating.core.money import Money
from rating.core.publications import InvoiceDispatch
from rating.errors import EdgeDisagrees, EdgeRefused
from rating.ports import Trail

DRAFT, OPEN = "draft", "open"
"""Words of Stripe's for where an invoice stands; `paid`, `void` and `uncollectible` are the others."""


def carry(desk: Desk, dispatch: InvoiceDispatch, customer: str, trail: Trail) -> str:
    """Bring the invoice to where Stripe collects it. Returns what was done."""
    invoice = dispatch.invoice
    lines = invoice_lines(invoice, desk.documents)
    to_stripe(dispatch.prepaid)
    name, answer = once(
        trail,
        "",
        lambda: desk.account.asked(
            f"list invoices of {customer}",
            lambda: list(desk.client.v1.invoices.list({"customer": customer, "limit": 100}).auto_paging_iter()),
        ),
        {INVOICE: invoice.number},
        lambda: _created(desk, dispatch, customer, trail),
    )
    fresh = answer is not None and trail.begun_at is None
    if answer is None:
        answer = retrieved(desk, name, invoice)
    is_ours(answer, invoice)
    if told(answer, "status", str) == DRAFT:
        answer = _filled(desk, invoice, name, answer, lines, fresh, trail)
        _equal(desk, invoice, answer)
        _balance_is_ours(desk, dispatch, customer, answer, trail, fresh)
        answer = desk.account.asked(
            f"finalise {invoice.number}",
            lambda: desk.client.v1.invoices.finalize_invoice(
                name,
                {"auto_advance": not desk.sends},
                key_of(trail, invoice.number, invoice.content_hash, "finalise"),
            ),
        )
    return _finalised(desk, dispatch, customer, name, answer, trail)


def retrieved(desk: Desk, name: str, invoice: Invoice) -> Any:
    """The invoice as it stands there."""
    return desk.account.asked(f"read {invoice.number}", lambda: desk.client.v1.invoices.retrieve(name))


def money(answer: Any, field: str, invoice: Invoice) -> Money:
    """An amount of an answer about the invoice.

    Raises:
        EdgeDisagrees: it is in another currency, or no amount.
    """
    currency = told(answer, "currency", str).upper()
    if currency != invoice.draft.currency.code:
        raise EdgeDisagrees(f"{invoice.number} is in {invoice.draft.currency} and in {currency} at Stripe")
    return from_stripe(told(answer, field, int), invoice.draft.currency)


def _created(desk: Desk, dispatch: InvoiceDispatch, customer: str, trail: Trail) -> Any:
    invoice = dispatch.invoice
    params: dict[str, Any] = {
        "customer": customer,
        "currency": invoice.draft.currency.code.lower(),
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "automatic_tax": {"enabled": False},
        # Discounts of the customer's would change our total.
        "discounts": "",
        "collection_method": "send_invoice" if desk.sends else "charge_automatically",
        "effective_at": instant(invoice.issued_at),
        "number": invoice.number,
        "metadata": {INVOICE: invoice.number, HASH: invoice.content_hash},
    }
    if desk.sends:
        # Counted from the day of issue, so that a repetition says the same.
        due = invoice.due_on
        params["days_until_due"] = desk.days_until_due if due is None else max(0, (due - invoice.issued_on).days)
    if desk.documents:
        params["footer"] = desk.documents.replace("{number}", invoice.number)
    options = key_of(trail, invoice.number, invoice.content_hash, "create")
    try:
        return desk.account.asked(
            f"create {invoice.number}",
            lambda: desk.client.v1.invoices.create(params, options),  # type: ignore[arg-type]
        )
    except EdgeRefused as error:
        if not desk.sends or "email" not in str(error).lower():
            raise
        raise EdgeRefused(
            f"{error}; write an email on {customer} at Stripe, then `rating stripe retry`. The `email` of "
            f"{invoice.draft.customer} in the catalogue reaches Stripe with the invoices that are issued from then on"
        ) from error


def _filled(
    desk: Desk, invoice: Invoice, name: str, answer: Any, lines: list[dict[str, Any]], fresh: bool, trail: Trail
) -> Any:
    """The draft with all its lines. What an earlier attempt added is found by its metadata."""
    there: set[str] = set()
    if not fresh:
        found = desk.account.asked(
            f"list lines of {invoice.number}",
            lambda: list(desk.client.v1.invoices.line_items.list(name, {"limit": 100}).auto_paging_iter()),
        )
        there = {metadata(line).get(LINE, "") for line in found}
    for number, begin in enumerate(range(0, len(lines), AT_ONCE)):
        batch = lines[begin : begin + AT_ONCE]
        missing = [line for line in batch if line["metadata"][LINE] not in there]
        if not missing:
            continue
        if len(missing) < len(batch):
            raise EdgeDisagrees(
                f"{invoice.number}: {len(missing)} of {len(batch)} lines of a part are missing at Stripe, which adds "
                f"all or none; was the draft {name} edited? delete it, then try again"
            )
        params: Any = {"lines": missing}
        options = key_of(trail, invoice.number, invoice.content_hash, f"lines-{number}")
        answer = desk.account.asked(
            f"add lines to {invoice.number}",
            lambda params=params, options=options: desk.client.v1.invoices.add_lines(name, params, options),  # type: ignore[misc]
        )
    return answer if fresh else retrieved(desk, name, invoice)


def _equal(desk: Desk, invoice: Invoice, answer: Any) -> None:
    theirs = money(answer, "total", invoice)
    if theirs != invoice.total:
        raise EdgeDisagrees(
            f"{invoice.number} is {invoice.total} and would be {theirs} at Stripe; the draft {told(answer, 'id', str)} "
            "is not finalised: look at its lines there, delete it, then try again"
        )


def _balance_is_ours(
    desk: Desk, dispatch: InvoiceDispatch, customer: str, answer: Any, trail: Trail, fresh: bool
) -> None:
    """See that the customer's balance holds what our wallet paid, and nothing else."""
    invoice, prepaid = dispatch.invoice, dispatch.prepaid
    made = trail.name("prepaid") is not None
    if not made:
        mine = None if fresh or not prepaid.minor else _moved(desk, customer, invoice, "prepaid")
        if mine is not None:
            trail.keep(mine, "prepaid")
            made = True
    if fresh:
        before = told(answer, "starting_balance", int)
    else:
        before = _balance(desk, customer)
    expected = -to_stripe(prepaid) if made else 0
    if before != expected:
        raise EdgeDisagrees(
            f"{invoice.number}: customer {customer} has a balance of {before} at Stripe and {expected} is ours; it "
            "would change what is due: bring it to that by a balance adjustment there, then try again"
        )
    if prepaid.minor and not made:
        move(desk, customer, invoice, "prepaid", -to_stripe(prepaid), trail)


def _balance(desk: Desk, customer: str) -> int:
    answer = desk.account.asked(f"read {customer}", lambda: desk.client.v1.customers.retrieve(customer))
    return told(answer, "balance", int)


def _moved(desk: Desk, customer: str, invoice: Invoice, why: str) -> str | None:
    """Our movement of the customer's balance, if an earlier attempt made it."""
    found = desk.account.asked(
        f"list balance of {customer}",
        lambda: list(desk.client.v1.customers.balance_transactions.list(customer, {"limit": 100}).auto_paging_iter()),
    )
    mine = {INVOICE: invoice.number, BALANCE: why}.items()
    return next((told(one, "id", str) for one in found if mine <= metadata(one).items()), None)


def move(desk: Desk, customer: str, invoice: Invoice, why: str, amount: int, trail: Trail) -> None:
    """Move the customer's balance once; negative is credit."""
    params: Any = {
        "amount": amount,
        "currency": invoice.draft.currency.code.lower(),
        "description": f"{why} of {invoice.number}",
        "metadata": {INVOICE: invoice.number, BALANCE: why},
    }
    answer = desk.account.asked(
        f"move the balance of {customer} for {invoice.number}",
        lambda: desk.client.v1.customers.balance_transactions.create(
            customer, params, key_of(trail, invoice.number, invoice.content_hash, why)
        ),
    )
    trail.keep(told(answer, "id", str), why)


def evened(desk: Desk, customer: str, invoice: Invoice, amount: int, why: str, trail: Trail) -> None:
    """Take out of the customer's balance what Stripe put there by itself, once."""
    if not amount or trail.name(why) is not None:
        return
    found = None if trail.begun_at is None else _moved(desk, customer, invoice, why)
    if found is not None:
        trail.keep(found, why)
    else:
        move(desk, customer, invoice, why, -amount, trail)


def _finalised(desk: Desk, dispatch: InvoiceDispatch, customer: str, name: str, answer: Any, trail: Trail) -> str:
    invoice = dispatch.invoice
    _equal(desk, invoice, answer)
    status = told(answer, "status", str)
    if status not in (OPEN, "paid"):
        return f"{name} is {status}"
    left = getattr(answer, "ending_balance", None) or 0
    expected = invoice.total - dispatch.prepaid
    due = money(answer, "amount_due", invoice)
    if left:
        # A negative total, or one below what Stripe charges: it would settle with the next invoice there.
        evened(desk, customer, invoice, left, "evened", trail)
        if from_stripe(left, invoice.draft.currency) + due != expected:
            raise EdgeDisagrees(_differs(invoice, name, expected, due, left))
        return f"{name} stands at {invoice.total}; {expected} is not collected there and stays open with us"
    if due != expected and not _lowered(answer):
        raise EdgeDisagrees(_differs(invoice, name, expected, due, left))
    if status == OPEN and desk.sends and trail.name("sent") is None:
        desk.account.asked(
            f"send {invoice.number}",
            lambda: desk.client.v1.invoices.send_invoice(
                name, {}, key_of(trail, invoice.number, invoice.content_hash, "send")
            ),
        )
        trail.keep(name, "sent")
    return f"{name} is {status}, {due} due"


def _lowered(answer: Any) -> bool:
    """Was a credit note issued on it meanwhile, by our own hand or another?"""
    return bool(getattr(answer, "pre_payment_credit_notes_amount", 0))


def _differs(invoice: Invoice, name: str, expected: Money, due: Money, left: int) -> str:
    return (
        f"{invoice.number}: {expected} is due and {due} would be collected at Stripe ({name}, {left} went to the "
        "customer's balance); it is finalised: void it there, or settle the difference by hand"
    )


def refuse_unless_known(name: str | None, number: str) -> str:
    """The invoice's name there.

    Raises:
        EdgeRefused: it was never carried.
    """
    if name is None:
        raise EdgeRefused(f"{number} is not known at the gateway: carry the invoice first")
    return name
