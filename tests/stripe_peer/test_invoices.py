"""A month's invoice from draft to money and back, and the rules on the way."""

from __future__ import annotations

import pytest
import stripe

from tests.stripe_peer.peer import StripePeer


@pytest.fixture
def client(stripe_peer: StripePeer) -> stripe.StripeClient:
    return stripe_peer.client()


@pytest.fixture
def customer(client: stripe.StripeClient) -> str:
    return client.v1.customers.create({"name": "Acme", "email": "billing@acme.example", "metadata": {"id": "acme"}}).id


def draft(client: stripe.StripeClient, customer: str, *amounts: int, **about: object) -> stripe.Invoice:
    params = {"customer": customer, "currency": "usd", "collection_method": "send_invoice", "days_until_due": 30}
    invoice = client.v1.invoices.create({**params, **about})
    if not amounts:
        return invoice
    lines = [{"amount": amount, "description": f"line {number}"} for number, amount in enumerate(amounts)]
    return client.v1.invoices.add_lines(invoice.id, {"lines": lines})


def test_an_invoice_is_filled_finalised_sent_and_paid(stripe_peer: StripePeer, client, customer) -> None:
    invoice = draft(client, customer, 1_000, -100)
    assert (invoice.status, invoice.total, invoice.number) == ("draft", 900, None)
    invoice = client.v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    assert (invoice.status, invoice.amount_due, invoice.number) == ("open", 900, "P0000001-0001")
    client.v1.invoices.send_invoice(invoice.id)
    stripe_peer.pay(invoice.id)
    invoice = client.v1.invoices.retrieve(invoice.id)
    assert (invoice.status, invoice.amount_paid, invoice.amount_remaining) == ("paid", 900, 0)
    kinds = [event["type"] for event in stripe_peer.state()["events"]]
    said = [kind for kind in kinds if kind.startswith("invoice.") and kind != "invoice.updated"]
    assert said == [
        "invoice.created", "invoice.finalized", "invoice.sent", "invoice.paid", "invoice.payment_succeeded",
    ]  # fmt: skip


def test_an_answer_shows_ten_lines_and_the_rest_is_paged(client, customer) -> None:
    invoice = draft(client, customer, *range(1, 26))
    assert (len(invoice.lines.data), invoice.lines.has_more, invoice.total) == (10, True, 325)
    amounts = [line.amount for line in client.v1.invoices.line_items.list(invoice.id).auto_paging_iter()]
    assert amounts == list(range(1, 26))


REFUSED = {
    "half a cent": ("lines[0][amount]", {"amount": 12.5}),
    "an unknown name": ("lines[0][amout]", {"amout": 12}),
    "a period without its end": ("lines[0][period][end]", {"amount": 1, "period": {"start": 1}}),
    "a period that ends first": ("lines[0][period]", {"amount": 1, "period": {"start": 2, "end": 1}}),
    "metadata of 501 characters": ("lines[0][metadata][k]", {"amount": 1, "metadata": {"k": "x" * 501}}),
    "51 metadata keys": ("lines[0][metadata]", {"amount": 1, "metadata": {str(n): "x" for n in range(51)}}),
    "an amount and a quantity": ("lines[0][quantity]", {"amount": 1, "quantity": 2}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_line_is_refused_for(what: str, client, customer) -> None:
    param, line = REFUSED[what]
    invoice = draft(client, customer)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.invoices.add_lines(invoice.id, {"lines": [line]})
    assert refused.value.param == param
    assert client.v1.invoices.retrieve(invoice.id).total == 0


def test_an_invoice_has_at_most_250_lines(client, customer) -> None:
    invoice = draft(client, customer, *([1] * 250))
    assert invoice.total == 250
    with pytest.raises(stripe.InvalidRequestError, match="250"):
        client.v1.invoices.add_lines(invoice.id, {"lines": [{"amount": 1}]})


@pytest.mark.parametrize(
    ("currency", "good", "bad"), [("kwd", 1_230, 1_234), ("isk", 500, 550), ("ugx", 700, 770), ("jpy", 123, None)]
)
def test_amounts_follow_stripes_own_exponents(currency: str, good: int, bad: int | None, client, customer) -> None:
    invoice = draft(client, customer, currency=currency)
    assert client.v1.invoices.add_lines(invoice.id, {"lines": [{"amount": good}]}).total == good
    if bad is not None:
        with pytest.raises(stripe.InvalidRequestError, match="divisible"):
            client.v1.invoices.add_lines(invoice.id, {"lines": [{"amount": bad}]})


def test_a_customer_has_one_currency(client, customer) -> None:
    draft(client, customer, 100)
    with pytest.raises(stripe.InvalidRequestError, match="usd"):
        draft(client, customer, currency="eur")
    with pytest.raises(stripe.InvalidRequestError, match="Invalid currency"):
        draft(client, customer, currency="xyz")


def test_what_is_finalised_cannot_be_changed(client, customer) -> None:
    invoice = client.v1.invoices.finalize_invoice(draft(client, customer, 500).id)
    for change in (
        lambda: client.v1.invoices.add_lines(invoice.id, {"lines": [{"amount": 1}]}),
        lambda: client.v1.invoices.update(invoice.id, {"description": "late"}),
        lambda: client.v1.invoices.delete(invoice.id),
        lambda: client.v1.invoices.finalize_invoice(invoice.id),
        lambda: client.v1.invoice_items.create({"customer": customer, "invoice": invoice.id, "amount": 1}),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            change()
    assert client.v1.invoices.update(invoice.id, {"metadata": {"a": "b"}}).metadata["a"] == "b"


def test_open_invoices_are_voided_given_up_or_paid_outside(client, customer) -> None:
    first, second, third = (client.v1.invoices.finalize_invoice(draft(client, customer, 500).id) for _ in range(3))
    assert client.v1.invoices.void_invoice(first.id).status == "void"
    assert client.v1.invoices.mark_uncollectible(second.id).status == "uncollectible"
    paid = client.v1.invoices.pay(third.id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid_off_stripe) == ("paid", 500)
    for again in (lambda: client.v1.invoices.void_invoice(third.id), lambda: client.v1.invoices.pay(first.id)):
        with pytest.raises(stripe.InvalidRequestError):
            again()
    found = {status: len(client.v1.invoices.list({"status": status}).data) for status in ("void", "paid", "open")}
    assert found == {"void": 1, "paid": 1, "open": 0}


def test_a_balance_pays_first_and_too_little_waits_for_the_next_invoice(client, customer) -> None:
    client.v1.customers.balance_transactions.create(customer, {"amount": -600, "currency": "usd"})
    covered = client.v1.invoices.finalize_invoice(draft(client, customer, 500).id)
    assert (covered.status, covered.amount_due, covered.ending_balance) == ("paid", 0, -100)
    partly = client.v1.invoices.finalize_invoice(draft(client, customer, 500).id)
    assert (partly.status, partly.amount_due) == ("open", 400)
    small = client.v1.invoices.finalize_invoice(draft(client, customer, 49).id)
    assert (small.status, small.amount_due, small.ending_balance) == ("paid", 0, 49)
    assert client.v1.customers.retrieve(customer).balance == 49
    kinds = [one.type for one in client.v1.customers.balance_transactions.list(customer).data]
    assert kinds == ["invoice_too_small", "applied_to_invoice", "applied_to_invoice", "adjustment"]
    client.v1.invoices.void_invoice(partly.id)
    assert client.v1.customers.retrieve(customer).balance == -51


def test_pending_items_come_in_when_they_are_included(client, customer) -> None:
    client.v1.invoice_items.create({"customer": customer, "amount": 300, "currency": "usd"})
    assert draft(client, customer).total == 0
    assert draft(client, customer, pending_invoice_items_behavior="include").total == 300


def test_a_credit_note_lowers_what_is_due_or_must_say_where_the_money_goes(stripe_peer, client, customer) -> None:
    invoice = client.v1.invoices.finalize_invoice(draft(client, customer, 700, 300).id)
    line = invoice.lines.data[0].id
    note = client.v1.credit_notes.create(
        {"invoice": invoice.id, "lines": [{"type": "invoice_line_item", "invoice_line_item": line, "amount": 200}]}
    )
    assert (note.number, note.type, note.total) == ("P0000001-0001-CN-01", "pre_payment", 200)
    assert client.v1.invoices.retrieve(invoice.id).amount_remaining == 800
    stripe_peer.pay(invoice.id)
    with pytest.raises(stripe.InvalidRequestError, match="must equal"):
        client.v1.credit_notes.create({"invoice": invoice.id, "amount": 100})
    client.v1.credit_notes.create({"invoice": invoice.id, "amount": 100, "refund_amount": 60, "credit_amount": 40})
    assert client.v1.customers.retrieve(customer).balance == -40
    assert [refund.amount for refund in client.v1.refunds.list().data] == [60]
    with pytest.raises(stripe.InvalidRequestError, match="700"):
        client.v1.credit_notes.create({"invoice": invoice.id, "amount": 701, "out_of_band_amount": 701})
    assert client.v1.credit_notes.preview({"invoice": invoice.id, "amount": 5, "credit_amount": 5}).total == 5
    assert len(client.v1.credit_notes.list({"invoice": invoice.id}).data) == 2


def test_a_draft_that_advances_finalises_itself_after_an_hour(stripe_peer: StripePeer, client, customer) -> None:
    invoice = draft(client, customer, 500, auto_advance=True)
    stripe_peer.advance(3_599)
    assert client.v1.invoices.retrieve(invoice.id).status == "draft"
    stripe_peer.advance(1)
    assert client.v1.invoices.retrieve(invoice.id).status == "open"


def test_a_declined_card_fails_the_invoice_and_a_good_one_pays_it(stripe_peer: StripePeer, client, customer) -> None:
    invoice = client.v1.invoices.create({"customer": customer, "currency": "usd"})
    client.v1.invoices.add_lines(invoice.id, {"lines": [{"amount": 500}]})
    with pytest.raises(stripe.InvalidRequestError, match="default_payment_method"):
        client.v1.invoices.pay(invoice.id)
    stripe_peer.give_card(customer, "pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError) as declined:
        client.v1.invoices.pay(invoice.id)
    assert declined.value.code == "card_declined"
    stripe_peer.give_card(customer)
    assert client.v1.invoices.pay(invoice.id).status == "paid"
    kinds = {event["type"] for event in stripe_peer.state()["events"]}
    assert {"invoice.payment_failed", "charge.failed", "charge.succeeded", "invoice.paid"} <= kinds


def test_what_was_paid_is_given_back_from_outside(stripe_peer: StripePeer, client, customer) -> None:
    invoice = draft(client, customer, 500)
    stripe_peer.pay(invoice.id)
    assert stripe_peer.refund(invoice.id, 200)["amount"] == 200
    with pytest.raises(ValueError, match="greater than unrefunded amount"):
        stripe_peer.refund(invoice.id, 301)
    assert stripe_peer.refund(invoice.id)["amount"] == 300
    charge = client.v1.charges.list({"customer": customer}).data[0]
    assert (charge.refunded, charge.amount_refunded) == (True, 500)
    told = [event["type"] for event in stripe_peer.state()["events"]]
    assert (told.count("charge.refunded"), told.count("refund.created")) == (2, 2)


def test_payments_show_only_where_they_are_expanded(stripe_peer: StripePeer, client, customer) -> None:
    invoice = draft(client, customer, 500)
    stripe_peer.pay(invoice.id)
    assert "payments" not in client.v1.invoices.retrieve(invoice.id)
    whole = client.v1.invoices.retrieve(invoice.id, {"expand": ["payments"]})
    intent = client.v1.payment_intents.retrieve(whole.payments.data[0].payment.payment_intent)
    assert (intent.amount_received, intent.status) == (500, "succeeded")


def test_a_draft_of_a_customer_who_is_gone_stays_a_draft(stripe_peer: StripePeer, client, customer) -> None:
    invoice = draft(client, customer, 500, auto_advance=True)
    client.v1.customers.delete(customer)
    stripe_peer.advance(3_600)
    assert client.v1.invoices.retrieve(invoice.id).status == "draft"


def test_a_dispute_opens_and_closes(stripe_peer: StripePeer, client, customer) -> None:
    invoice = draft(client, customer, 500)
    stripe_peer.pay(invoice.id)
    dispute = stripe_peer.dispute(invoice.id)
    assert dispute["amount"] == 500
    assert stripe_peer.close_dispute(dispute["id"], "lost")["status"] == "lost"
    kinds = [event.type for event in client.v1.events.list({"types": ["charge.dispute.closed"]}).data]
    assert kinds == ["charge.dispute.closed"]
