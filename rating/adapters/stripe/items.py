"""Items on a customer's next invoice at Stripe, by which a final billing period comes to our amount."""

from __future__ import annotations

from typing import Any

from rating.adapters.stripe.amounts import to_stripe
from rating.adapters.stripe.client import StripeAccount, told
from rating.adapters.stripe.reading import PERIOD
from rating.core.canonical import digest
from rating.core.periodparity import Correction
from rating.core.periods import seconds


def corrected(account: StripeAccount, correction: Correction, customer: str) -> str:
    """The name of the item: pending until the customer's next invoice, also where it is below zero."""
    about = f"{correction.name}:{correction.charged}:{correction.amount}"
    params: Any = {
        "customer": customer,
        "amount": to_stripe(correction.amount),
        "currency": str(correction.amount.currency).lower(),
        "description": f"Usage known later, {correction.period}",
        "period": {"start": seconds(correction.period.start), "end": seconds(correction.period.end)},
        "metadata": {PERIOD: correction.name},
    }
    options: Any = {"idempotency_key": f"rating:correction:{digest(about)[:32]}"}
    answer = account.asked(
        f"correct {correction.name}", lambda: account.client.v1.invoice_items.create(params, options)
    )
    return told(answer, "id", str)
