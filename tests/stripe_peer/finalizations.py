"""From a draft to an end: finalised, sent, paid, voided, given up."""

from __future__ import annotations

from tests.stripe_peer.balances import moved
from tests.stripe_peer.currencies import smallest
from tests.stripe_peer.events import emit
from tests.stripe_peer.invoices import changed, shown
from tests.stripe_peer.payments import collect, settled
from tests.stripe_peer.refusals import Refusal, wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

_URL = "/v1/invoices"


def finalized(world: World, invoice: Thing) -> None:
    """Give it a number, take the customer's balance into account, open it; pay it where nothing is due.

    Raises:
        Refusal: it is no draft.
    """
    if invoice["status"] != "draft":
        raise wrong(
            f"This invoice is already finalized, you can't re-finalize a non-draft invoice (it is "
            f"{invoice['status']}).",
            "invoice",
        )
    customer = world.customers.get(invoice["customer"])
    if invoice["number"] is None:
        number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
        customer["next_invoice_sequence"] += 1
        invoice["number"] = number
        world.numbers[number] = invoice["id"]
    invoice.update(
        status="open",
        automatically_finalizes_at=None,
        starting_balance=customer["balance"],
        hosted_invoice_url=f"https://invoice.stripe.com/i/peer/{invoice['id']}",
        invoice_pdf=f"https://pay.stripe.com/invoice/peer/{invoice['id']}/pdf",
        effective_at=invoice["effective_at"] or world.now(),
    )
    invoice["status_transitions"] = {**invoice["status_transitions"], "finalized_at": world.now()}
    due = _with_balance(world, invoice, customer)
    invoice["amount_due"] = invoice["amount_remaining"] = due
    world.invoices.put(invoice)
    emit(world, "invoice.finalized", shown(world, invoice))
    if due == 0:
        settled(world, invoice, 0)


def _with_balance(world: World, invoice: Thing, customer: Thing) -> int:
    """What is to be collected now; the rest moves the customer's balance."""
    total, before = invoice["total"], customer["balance"]
    owed = total + before
    # Too little to charge is owed with the next invoice; a negative total is credit for it.
    small = total < 0 or 0 < owed < smallest(invoice["currency"])
    due = owed if owed > 0 < total and not small else 0
    after = owed - due
    if after != before:
        kind = "invoice_too_small" if small else "applied_to_invoice"
        moved(world, customer, after - before, kind, invoice=invoice["id"])
        emit(world, "customer.updated", customer, {"balance": before})
    invoice["ending_balance"] = after
    return due


def advanced(world: World, name: str, when: int) -> None:
    """The time of an automatically advancing draft has come."""
    if name not in world.invoices:
        return
    invoice = world.invoices.get(name)
    if invoice["status"] != "draft" or invoice["automatically_finalizes_at"] != when:
        return
    if invoice["customer"] not in world.customers:
        return
    finalized(world, invoice)
    if invoice["auto_advance"]:
        onward(world, invoice)


def onward(world: World, invoice: Thing) -> None:
    """Collect a finalised invoice in the way it says."""
    if invoice["status"] != "open":
        return
    if invoice["collection_method"] == "send_invoice":
        emit(world, "invoice.sent", shown(world, invoice))
    else:
        attempted(world, invoice["id"])


_TRIES = 4
_BETWEEN = 3 * 86_400


def attempted(world: World, name: str) -> None:
    """Try to charge, and again some days later while it fails."""
    invoice = world.invoices.get(name)
    if invoice["status"] != "open" or not invoice["auto_advance"]:
        return
    try:
        collect(world, invoice)
    except Refusal:
        if invoice["attempt_count"] < _TRIES:
            invoice["next_payment_attempt"] = world.now() + _BETWEEN
            world.later(world.now() + _BETWEEN, lambda world: attempted(world, name))
        else:
            invoice["next_payment_attempt"] = None


def _get(world: World, call: Call) -> Thing:
    return world.invoices.get(call.ids[0], "invoice")


@serves("post", _URL + "/{invoice}/finalize")
def finalize(world: World, call: Call) -> Thing:
    invoice = _get(world, call)
    if "auto_advance" in call.params and invoice["status"] == "draft":
        invoice["auto_advance"] = call.params["auto_advance"]
    finalized(world, invoice)
    if invoice["auto_advance"] and invoice["status"] == "open":
        # Stripe tries about an hour later, or at the latest then.
        name = invoice["id"]
        world.later(world.now() + world.settings.draft_seconds, lambda world: onward(world, world.invoices.get(name)))
    return shown(world, invoice)


@serves("post", _URL + "/{invoice}/pay")
def pay(world: World, call: Call) -> Thing:
    invoice = _get(world, call)
    if invoice["status"] == "draft":
        finalized(world, invoice)
        if invoice["status"] == "paid":
            return shown(world, invoice)
    if invoice["status"] not in ("open", "uncollectible"):
        word = {"paid": "already paid", "void": "voided"}[invoice["status"]]
        raise wrong(f"Invoice is {word}", "invoice")
    if call.get("paid_out_of_band"):
        left = invoice["amount_remaining"]
        invoice["amount_paid_off_stripe"] += left
        settled(world, invoice, left)
    else:
        collect(world, invoice, call.get("payment_method"))
    return shown(world, invoice)


@serves("post", _URL + "/{invoice}/send")
def send(world: World, call: Call) -> Thing:
    invoice = _get(world, call)
    if invoice["collection_method"] != "send_invoice":
        raise wrong("You can only send invoices whose collection_method is send_invoice", "invoice")
    if invoice["status"] == "draft":
        finalized(world, invoice)
    if invoice["status"] in ("void", "uncollectible"):
        raise wrong(f"You can't send an invoice that is {invoice['status']}", "invoice", "invoice_not_editable")
    emit(world, "invoice.sent", shown(world, invoice))
    return shown(world, invoice)


@serves("post", _URL + "/{invoice}/void")
def void(world: World, call: Call) -> Thing:
    invoice = _get(world, call)
    if invoice["status"] not in ("open", "uncollectible"):
        raise wrong(
            f"You can only void open or uncollectible invoices; this one is {invoice['status']}",
            "invoice",
            "invoice_not_editable",
        )
    if invoice["amount_paid"] or invoice["post_payment_credit_notes_amount"]:
        raise wrong("You can't void an invoice that is partly paid", "invoice")
    customer = world.customers.things.get(invoice["customer"])
    used = (invoice["ending_balance"] or 0) - invoice["starting_balance"]
    if used and customer is not None:
        moved(world, customer, -used, "unapplied_from_invoice", invoice=invoice["id"])
    old = {"status": invoice["status"]}
    invoice.update(status="void", auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"] = {**invoice["status_transitions"], "voided_at": world.now()}
    full = changed(world, invoice, old)
    emit(world, "invoice.voided", full)
    return full


@serves("post", _URL + "/{invoice}/mark_uncollectible")
def mark_uncollectible(world: World, call: Call) -> Thing:
    invoice = _get(world, call)
    if invoice["status"] != "open":
        raise wrong(
            f"You can only mark open invoices as uncollectible; this one is {invoice['status']}",
            "invoice",
            "invoice_not_editable",
        )
    invoice.update(status="uncollectible", auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"] = {**invoice["status_transitions"], "marked_uncollectible_at": world.now()}
    full = changed(world, invoice, {"status": "open"})
    emit(world, "invoice.marked_uncollectible", full)
    return full
