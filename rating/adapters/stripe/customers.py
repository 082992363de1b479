"""Our customers at Stripe: found by our key in their metadata, or created with it; and told what has changed of them.

Decides that there is one for each key. Whoever has customers at Stripe already writes the key into their metadata:
their details are left as they are until ours change.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

from rating.adapters.stripe.client import StripeAccount, metadata, told
from rating.core.canonical import digest
from rating.core.details import last_told, next_told
from rating.core.parties import Customer
from rating.core.publications import customer_subject
from rating.errors import EdgeDisagrees, EdgeError
from rating.ports import Trail

CUSTOMER = "rating_customer"

_FRESH = timedelta(minutes=10)
_NOTHING: dict[str, Any] = {"invoice_settings": {"custom_fields": ""}}
"""How something is taken away that is not just left empty."""
_ADDRESS = ("line1", "line2", "country")


class StripeCustomers:
    """Safe to share between threads.

    Looked for in a list and not by a search, which lags behind by a minute. The list is read once for all customers
    that are new to the book.
    """

    def __init__(self, account: StripeAccount) -> None:
        self._account = account
        self._turn = threading.Lock()
        self._listed_at: datetime | None = None
        self._known: dict[str, set[str]] = {}

    def name(
        self, key: str, customer: Customer | None, trail: Trail, *, now: datetime, as_of: datetime | None = None
    ) -> str:
        """What Stripe calls the customer; created if need be, and told its details if they have changed since.

        `as_of` is when the customer was as described; now, if not said.

        Raises:
            EdgeDisagrees: two customers there have this key.
        """
        subject = customer_subject(key)
        kept = trail.name("", subject)
        as_of = as_of or now
        if kept is not None:
            if customer is not None:
                self._told(key, kept, customer, trail, as_of)
            return kept
        with self._turn:
            found = self._found(key, now)
        fields: tuple[str, ...] = ()
        if found is None:
            # Not in turn: one customer's papers are carried by one thread.
            found = self._created(key, customer)
            fields = tuple(described(key, customer))
        if customer is not None and last_told(lambda part: trail.name(part, subject)) is None:
            told_now = next_told(None, customer, as_of, fields)
            trail.keep(told_now.text, told_now.part, subject)
        trail.keep(found, "", subject)
        return found

    def _told(self, key: str, name: str, customer: Customer, trail: Trail, as_of: datetime) -> None:
        """Tell what has changed. Saying it twice is saying it once, so it needs no key of ours."""
        subject = customer_subject(key)
        last = last_told(lambda part: trail.name(part, subject))
        if last is not None and not last.stale(customer, as_of):
            return
        params = described(key, customer)
        said = next_told(last, customer, as_of, tuple(params))
        for field in () if last is None else last.fields:
            params.setdefault(field, _NOTHING.get(field, ""))
        if params.get("address"):
            # What is left out of an address stays as it was.
            params["address"] = dict.fromkeys(_ADDRESS, "") | params["address"]
        self._account.asked(f"update customer {key}", lambda: self._account.client.v1.customers.update(name, params))
        trail.keep(said.text, said.part, subject)

    def _found(self, key: str, now: datetime) -> str | None:
        if self._listed_at is None or now - self._listed_at > _FRESH:
            self._known = self._account.asked("list customers", self._all)
            self._listed_at = now
        names = self._known.get(key, set())
        if len(names) > 1:
            raise EdgeDisagrees(
                f"gateway {self._account.name}: customers {' and '.join(sorted(names))} both say {CUSTOMER} {key}; "
                "take it out of the metadata of one"
            )
        return next(iter(names), None)

    def _all(self) -> dict[str, set[str]]:
        known: dict[str, set[str]] = {}
        for one in self._account.client.v1.customers.list({"limit": 100}).auto_paging_iter():
            key = metadata(one).get(CUSTOMER)
            if key:
                known.setdefault(key, set()).add(told(one, "id", str))
        return known

    def _created(self, key: str, customer: Customer | None) -> str:
        params = described(key, customer)
        options: Any = {"idempotency_key": f"rating:customer:{key}:{digest(repr(params))[:16]}"}
        try:
            answer = self._account.asked(
                f"create customer {key}", lambda: self._account.client.v1.customers.create(params, options)
            )
        except EdgeError:
            # It may be there all the same: look again before the next attempt.
            with self._turn:
                self._listed_at = None
            raise
        name = told(answer, "id", str)
        with self._turn:
            self._known[key] = {name}
        return name


def described(key: str, customer: Customer | None) -> Any:
    """The parameters of a customer: what is printed of it on our paper."""
    params: dict[str, Any] = {"name": key[:256], "metadata": {CUSTOMER: key}}
    if customer is None:
        return params
    if customer.name:
        params["name"] = customer.name[:256]
    if customer.email:
        params["email"] = customer.email[:512]
    if customer.address or customer.country:
        lines = customer.address
        # Our lines are printed as they are; Stripe prints its two lines the same way.
        address = {"line1": lines[0] if lines else "", "line2": ", ".join(lines[1:]), "country": customer.country}
        params["address"] = {name: text for name, text in address.items() if text}
    if customer.locale:
        params["preferred_locales"] = [customer.locale.replace("_", "-")]
    if customer.tax_id:
        # As text on the invoice: a tax id object wants a type, which a number alone does not tell.
        params["invoice_settings"] = {"custom_fields": [{"name": "Tax ID", "value": customer.tax_id[:140]}]}
    return params
