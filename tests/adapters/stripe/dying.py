"""One round of publishing in a process that dies by SIGKILL before a statement of the book or a request to Stripe."""

from __future__ import annotations

import os
import signal
from typing import Any

import stripe
from sqlalchemy import Engine, event

from rating.adapters.store import open_book
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.gateway import StripeInvoices

from .months import carry


def run(database: str, url: str, key: str, kill_at: int, hours: int) -> None:
    """Publish what the book of that database holds; die at the moment of that number, if there is one."""
    seen = 0

    def moment(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    request = stripe.RequestsClient.request

    def asked(*arguments: Any, **named: Any) -> Any:
        moment()
        found = request(*arguments, **named)
        moment()
        return found

    with open_book(database) as book:
        event.listen(Engine, "before_cursor_execute", moment)
        event.listen(Engine, "commit", moment)
        stripe.RequestsClient.request = asked  # type: ignore[method-assign]
        account = StripeAccount("main", key, url=url, requests_per_second=100_000)
        carry(book, StripeInvoices(account), hours=hours)
