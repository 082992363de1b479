"""Everything that stands at Stripe, read page by page for the comparison with our book. Changes nothing there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rating.adapters.stripe.amounts import from_stripe
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.facts import CUSTOMER, INVOICE, NOTE, money, ours, paid, payment_of
from rating.core.money import Currency, Money
from rating.core.periods import Period
from rating.core.remotepapers import (
    RemoteCharge,
    RemoteCustomer,
    RemoteNote,
    RemotePaper,
    RemotePayment,
    RemoteRefund,
    Stand,
)
from rating.core.signals import Paid
from rating.errors import EdgeDisagrees

PAGE = 100
_HOUR = 3600
LINE = "rating_line"
PERIOD = "rating_period"
"""In the metadata of an item: which billing period of ours it corrects."""

Listing = Callable[[Any], Any]


class StripeReading:
    """Keeps the promises of `ports.Reconcilable`. Under the account's pace, page by page."""

    def __init__(self, account: StripeAccount) -> None:
        self._account = account
        self._api = account.client.v1

    @property
    def name(self) -> str:
        return self._account.name

    def papers(self, since: datetime) -> Iterator[RemotePaper]:
        for told in self._pages("invoices", self._api.invoices.list, since):
            yield self._paper(told)

    def payments(self, since: datetime) -> Iterator[RemotePayment]:
        for told in self._pages("payments", self._api.invoice_payments.list, since, status="paid"):
            fact = paid(told)
            if isinstance(fact, Paid):
                yield RemotePayment(fact.reference, fact.invoice, fact.amount, fact.outside)

    def refunds(self, since: datetime) -> Iterator[RemoteRefund]:
        for told in self._pages("refunds", self._api.refunds.list, since):
            status = told.get("status")
            if status not in ("succeeded", "pending", "failed") or not (
                told.get("payment_intent") or told.get("charge")
            ):
                continue
            yield RemoteRefund(str(told["id"]), payment_of(told), money(told, "amount"), status == "failed")

    def notes(self, since: datetime) -> Iterator[RemoteNote]:
        for told in self._pages("credit notes", self._api.credit_notes.list, since):
            if told.get("status") == "void":
                continue
            invoice = told.get("invoice")
            name = invoice["id"] if isinstance(invoice, dict) else str(invoice)
            yield RemoteNote(str(told["id"]), ours(told, NOTE), name, money(told, "total"))

    def customers(self) -> Iterator[RemoteCustomer]:
        for told in self._pages("customers", self._api.customers.list, None):
            key = ours(told, CUSTOMER)
            if key:
                yield RemoteCustomer(str(told["id"]), key, str(told.get("email") or ""), str(told.get("name") or ""))

    def corrections(self) -> Iterator[RemoteCharge]:
        for told in self._pages("pending items", self._api.invoice_items.list, None, pending=True):
            if ours(told, PERIOD):
                yield self._correction(told)

    def usage(self, meter: str, customer: str, span: Period) -> Iterator[tuple[datetime, int]]:
        listing = self._api.billing.meters.event_summaries.list
        start, end = (int(one.timestamp()) for one in (span.start, span.end))
        # Their hours are whole ones.
        about = {"customer": customer, "start_time": start - start % _HOUR, "end_time": end + -end % _HOUR}
        what = f"usage of {customer}"
        grouped = self._pages(what, lambda params: listing(meter, params), None, value_grouping_window="hour", **about)
        for told in grouped:
            value, begin = told.get("aggregated_value"), told.get("start_time")
            if not isinstance(value, int | float) or value != int(value) or not isinstance(begin, int):
                raise EdgeDisagrees(
                    f"meter {meter} at Stripe counts {value!r} for {customer}, which is no whole number"
                )
            yield datetime.fromtimestamp(begin, UTC), int(value)

    def _paper(self, told: Mapping[str, Any]) -> RemotePaper:
        name = str(told["id"])
        try:
            stand = Stand(str(told.get("status")))
            unit = Currency(str(told.get("currency")).upper())
        except ValueError as error:
            raise EdgeDisagrees(f"invoice {name} at Stripe: {error}") from error
        lines = told.get("lines") or {}
        data = list(lines.get("data") or ())
        if lines.get("has_more"):
            listing = self._api.invoices.line_items.list
            data = list(self._pages(f"lines of {name}", lambda params: listing(name, params), None))
        made_there = bool((told.get("parent") or {}).get("subscription_details")) and not ours(told, INVOICE)
        return RemotePaper(
            name,
            ours(told, INVOICE),
            money(told, "total"),
            stand,
            tuple((ours(line, LINE), from_stripe(line.get("amount"), unit)) for line in data),
            made_there,
            tuple(self._charges(name, data)) if made_there else (),
        )

    def _charges(self, name: str, lines: Iterable[Mapping[str, Any]]) -> Iterator[RemoteCharge]:
        for told in lines:
            details = (told.get("parent") or {}).get("subscription_item_details")
            if ours(told, PERIOD):
                yield self._correction(told)
            elif isinstance(details, dict):
                subscription, start = details.get("subscription"), (told.get("period") or {}).get("start")
                if not isinstance(subscription, str) or not isinstance(start, int):
                    raise EdgeDisagrees(f"invoice {name} at Stripe has a line of a subscription without name or period")
                yield RemoteCharge(subscription, datetime.fromtimestamp(start, UTC), _net(told))

    def _correction(self, told: Mapping[str, Any]) -> RemoteCharge:
        start = int((told.get("period") or {}).get("start") or 0)
        return RemoteCharge("", datetime.fromtimestamp(start, UTC), _net(told), ours(told, PERIOD))

    def _pages(self, what: str, listing: Listing, since: datetime | None, **about: Any) -> Iterator[Mapping[str, Any]]:
        if since is not None:
            about["created"] = {"gte": int(since.timestamp())}
        after: dict[str, Any] = {}
        while True:
            params = {**about, "limit": PAGE, **after}
            page = self._account.asked(f"list {what}", lambda params=params: listing(params))  # type: ignore[misc]
            for one in page.data:
                yield one.to_dict()
            if not page.has_more or not page.data:
                return
            after = {"starting_after": page.data[-1].id}


def _net(told: Mapping[str, Any]) -> Money:
    """The amount of a line or an item, less the discounts that Stripe gives on it."""
    taken_off = sum(int(one.get("amount") or 0) for one in told.get("discount_amounts") or ())
    return from_stripe(int(told["amount"]) - taken_off, Currency(str(told.get("currency")).upper()))
