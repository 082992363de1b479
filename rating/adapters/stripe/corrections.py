"""What follows on an invoice at Stripe: credit notes, and that it was paid elsewhere, voided or written off.

Each looks at how the invoice stands there before it does anything, so that done twice is done once.
"""

from __future__ import annotations

from typing import Any

from rating.adapters.stripe.amounts import to_stripe
from rating.adapters.stripe.client import told
from rating.adapters.stripe.invoices import evened, money, refuse_unless_known, retrieved
from rating.adapters.stripe.lines import credit_lines
from rating.adapters.stripe.papers import HASH, INVOICE, NOTE, Desk, instant, key_of, once
from rating.core.canonical import digest
from rating.core.lifecycle import Step
from rating.core.money import Money
from rating.core.publications import CreditNoteDispatch, StepDispatch, invoice_subject
from rating.errors import EdgeDisagrees, EdgeRefused
from rating.ports import Trail

PAID, VOID, UNCOLLECTIBLE, OPEN = "paid", "void", "uncollectible", "open"


def credit(desk: Desk, dispatch: CreditNoteDispatch, trail: Trail) -> str:
    """Carry a credit note: what is open is lowered by it; what was paid was given back by us, outside of Stripe."""
    note, invoice = dispatch.note, dispatch.invoice
    name = refuse_unless_known(trail.name("", invoice_subject(invoice.number)), invoice.number)

    def make() -> Any:
        answer = retrieved(desk, name, invoice)
        left = money(answer, "amount_remaining", invoice)
        outside = Money(max(0, note.total.minor - max(0, left.minor)), note.total.currency)
        if outside != dispatch.settled:
            raise EdgeDisagrees(
                f"{note.number} over {note.total}: by our book {dispatch.settled} of it was given back, by Stripe's "
                f"{name} {left} is still open there and {outside} would be; see that both know the same payments"
            )
        params: dict[str, Any] = {
            "invoice": name,
            "lines": credit_lines(note),
            "effective_at": instant(note.issued_at),
            "memo": f"{note.number}: {note.draft.reason}"[:500],
            "metadata": {NOTE: note.number, INVOICE: invoice.number, HASH: note.content_hash},
        }
        if outside.minor:
            # Into our wallet or by our bank: the balance at Stripe would pay an invoice that the book thinks unpaid.
            params["out_of_band_amount"] = to_stripe(outside)
        return desk.account.asked(
            f"credit {note.number}",
            lambda: desk.client.v1.credit_notes.create(params, key_of(trail, note.number, note.content_hash, "credit")),  # type: ignore[arg-type]
        )

    made, answer = once(
        trail,
        "",
        lambda: desk.account.asked(
            f"list credit notes of {name}",
            lambda: list(desk.client.v1.credit_notes.list({"invoice": name, "limit": 100}).auto_paging_iter()),
        ),
        {NOTE: note.number},
        make,
    )
    if answer is not None and told(answer, "total", int) != to_stripe(note.total):
        raise EdgeDisagrees(
            f"{note.number} is {note.total} and {made} at Stripe is {told(answer, 'total', int)} of its units; void it "
            "there, then try again"
        )
    return f"{made} on {name}"


def take(desk: Desk, dispatch: StepDispatch, customer: str, trail: Trail) -> str:
    """Carry a step of an invoice's life."""
    invoice = dispatch.invoice
    name = refuse_unless_known(trail.name("", invoice_subject(invoice.number)), invoice.number)
    answer = retrieved(desk, name, invoice)
    match dispatch.entry.step:
        case Step.PAY:
            return _paid(desk, dispatch, name, answer, trail)
        case Step.VOID:
            return _voided(desk, dispatch, customer, name, answer, trail)
        case Step.WRITE_OFF:
            return _written_off(desk, dispatch, name, answer, trail)
    raise EdgeRefused(f"{dispatch.subject}: {dispatch.entry.step} is not a step that Stripe knows")


def _paid(desk: Desk, dispatch: StepDispatch, name: str, answer: Any, trail: Trail) -> str:
    entry, invoice = dispatch.entry, dispatch.invoice
    paid = dispatch.elsewhere or entry.amount
    assert paid is not None
    left = money(answer, "amount_remaining", invoice)
    outside = getattr(answer, "amount_paid_off_stripe", None) or 0
    if paid.minor <= 0:
        return f"{name}: what was paid elsewhere was given back there"
    if outside:
        return f"{name} was paid outside"
    if not left.minor:
        raise EdgeDisagrees(
            f"{paid} of {invoice.number} was paid elsewhere and nothing of {name} is open at Stripe: it was paid "
            "twice, give one payment back"
        )
    # More than is left is too much, and that is between us and the customer.
    if paid.minor < left.minor:
        # `pay` settles all that is left, and a credit note would say that less was charged.
        raise EdgeRefused(
            f"{paid} of {invoice.number} was paid elsewhere and {left} is open at Stripe ({name}), which takes a "
            "payment from outside only over all of it: see that nobody is asked for all of it there, and once the rest "
            f"is paid, `rating stripe retry '{dispatch.subject}'`"
        )
    options = key_of(trail, invoice.number, invoice.content_hash, f"paid:{digest(entry.key)[:16]}")
    desk.account.asked(
        f"pay {invoice.number} outside",
        lambda: desk.client.v1.invoices.pay(name, {"paid_out_of_band": True}, options),
    )
    return f"{name} is paid outside, {paid} by {entry.source}"


def _voided(desk: Desk, dispatch: StepDispatch, customer: str, name: str, answer: Any, trail: Trail) -> str:
    invoice = dispatch.invoice
    status = told(answer, "status", str)
    if status == PAID:
        return _taken_back(desk, dispatch, name, answer, trail)
    applied = (getattr(answer, "ending_balance", None) or 0) - (getattr(answer, "starting_balance", None) or 0)
    if status != VOID:
        desk.account.asked(
            f"void {invoice.number}",
            lambda: desk.client.v1.invoices.void_invoice(
                name, {}, key_of(trail, invoice.number, invoice.content_hash, "void")
            ),
        )
    # Stripe gives the wallet's part back to the customer's balance; ours went back to the wallet.
    evened(desk, customer, invoice, -applied, "unapplied", trail)
    return f"{name} is void"


def _taken_back(desk: Desk, dispatch: StepDispatch, name: str, answer: Any, trail: Trail) -> str:
    """A paid invoice is not voided at Stripe: a credit note over all of it says the same."""
    invoice = dispatch.invoice
    if invoice.total.minor <= 0:
        return f"{name} over {invoice.total} is left as it is: nothing was collected by it"
    if getattr(answer, "amount_paid", 0) and not getattr(answer, "amount_paid_off_stripe", 0):
        raise EdgeDisagrees(f"{invoice.number} is void in our book and {name} was paid at Stripe; refund it there")
    total = to_stripe(invoice.total)
    made, _ = once(
        trail,
        "",
        lambda: desk.account.asked(
            f"list credit notes of {name}",
            lambda: list(desk.client.v1.credit_notes.list({"invoice": name, "limit": 100}).auto_paging_iter()),
        ),
        {NOTE: f"void {invoice.number}"},
        lambda: desk.account.asked(
            f"take back {invoice.number}",
            lambda: desk.client.v1.credit_notes.create(
                {
                    "invoice": name,
                    "amount": total,
                    "out_of_band_amount": total,
                    "metadata": {NOTE: f"void {invoice.number}", INVOICE: invoice.number},
                },
                key_of(trail, invoice.number, invoice.content_hash, "take-back"),
            ),
        ),
    )
    return f"{name} was paid from the wallet and is taken back by {made}"


def _written_off(desk: Desk, dispatch: StepDispatch, name: str, answer: Any, trail: Trail) -> str:
    invoice = dispatch.invoice
    status = told(answer, "status", str)
    if status == OPEN:
        desk.account.asked(
            f"write off {invoice.number}",
            lambda: desk.client.v1.invoices.mark_uncollectible(
                name, {}, key_of(trail, invoice.number, invoice.content_hash, "write-off")
            ),
        )
    elif status != UNCOLLECTIBLE:
        raise EdgeDisagrees(f"{invoice.number} is written off in our book and {name} is {status} at Stripe")
    return f"{name} is uncollectible"
