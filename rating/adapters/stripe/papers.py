"""What all papers at Stripe have in common: the account, keys from content, and looking for what we made before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import stripe

from rating.adapters.stripe.client import StripeAccount, metadata, told
from rating.adapters.stripe.customers import StripeCustomers
from rating.core.invoices import Invoice
from rating.errors import EdgeDisagrees
from rating.ports import Trail

INVOICE, HASH, NOTE, BALANCE = "rating_invoice", "rating_hash", "rating_credit_note", "rating_balance"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the papers of one gateway are written."""

    account: StripeAccount
    customers: StripeCustomers
    sends: bool
    """Stripe sends the invoice; otherwise it charges what the customer has left there."""
    days_until_due: int = 30
    documents: str = ""

    @property
    def client(self) -> stripe.StripeClient:
        return self.account.client


def key_of(trail: Trail, number: str, content_hash: str, call: str) -> Any:
    """The options of a call that makes something: the same content, the same key.

    Stripe answers a key with its first answer for a day, a refusal included: whoever was asked by a person to try
    again takes another, and has looked for what the first one made.
    """
    again = f":{trail.revived}" if trail.revived else ""
    return {"idempotency_key": f"rating:{number}:{content_hash[:16]}:{call}{again}"}


def once(
    trail: Trail, part: str, look: Callable[[], Iterable[Any]], mine: Mapping[str, str], make: Callable[[], Any]
) -> tuple[str, Any | None]:
    """The name of a part of the subject: as it is kept, as it is found by our metadata, or as it is made now.

    It is looked for whenever an attempt was begun before: Stripe forgets keys after a day, and for a day it repeats a
    failure even where the work was done. Returns the answer as well when it was made or found by this call.

    Raises:
        EdgeDisagrees: there are two of them.
    """
    kept = trail.name(part)
    if kept is not None:
        return kept, None
    found = []
    if trail.begun_at is not None:
        found = [one for one in look() if mine.items() <= metadata(one).items()]
    if len(found) > 1:
        names = " and ".join(told(one, "id", str) for one in found)
        raise EdgeDisagrees(f"{names} both say {mine}: it was made twice; void or delete the one that is not wanted")
    answer = found[0] if found else make()
    name = told(answer, "id", str)
    trail.keep(name, part)
    return name, answer


def is_ours(answer: Any, invoice: Invoice) -> None:
    """Raises:
    EdgeDisagrees: what stands under our number is another paper.
    """
    said = metadata(answer).get(HASH, "")
    if said != invoice.content_hash:
        raise EdgeDisagrees(
            f"{told(answer, 'id', str)} says it is {invoice.number} with hash {said[:16] or 'of none'}, ours is "
            f"{invoice.content_hash[:16]}; is another book published to this account?"
        )


def instant(moment: datetime) -> int:
    return int(moment.timestamp())
