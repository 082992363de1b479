"""Chargebee and Recurly as the promises meet them: small sites of their own, reached by the official libraries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import recurly
from chargebee import http_request

from rating.adapters.chargebee import ChargebeeGateway
from rating.adapters.chargebee.site import Site
from rating.adapters.recurly import RecurlyGateway
from rating.adapters.recurly.account import Account

from .chargebee_site import KEY, ChargebeeSite
from .peers import Turns
from .recurly_site import KEY as RECURLY_KEY
from .recurly_site import RecurlySite

CLIENT = httpx.Client


class ChargebeePeer:
    """A site of Chargebee's, reached by its own library."""

    def __init__(self, site: ChargebeeSite, patch: pytest.MonkeyPatch) -> None:
        self.site, self.patch = site, patch
        # The library makes a client for each call, and reads all certificates of the machine for it.
        patch.setattr(http_request.httpx, "Client", lambda verify: CLIENT(verify=False))

    def empty(self) -> None:
        self.site.clear()

    def gateway(self) -> ChargebeeGateway:
        return ChargebeeGateway("chargebee", Site("acme-test", KEY, url=self.site.url))

    @contextmanager
    def dying(self, call: int, *, after: bool) -> Iterator[None]:
        with self.patch.context() as patch:
            asked = Turns(call, after=after).deadly(http_request._make_request)
            patch.setattr(http_request, "_make_request", asked)
            yield

    def forget_keys(self) -> None:
        self.site.forget_keys()

    def held(self) -> Counter[tuple[str, str, int]]:
        found: Counter[tuple[str, str, int]] = Counter()
        for number, invoice in self.site.invoices.items():
            found["invoice", number, invoice["total"]] += 1
            found["void", number, 0] += invoice["status"] == "voided"
            for one in self.site.payments.get(number, ()):
                found["pay", number, one["amount"]] += 1
        for number, note in self.site.notes.items():
            found["credit_note", number, -note["total"]] += 1
        return +found


class RecurlyPeer:
    """A site of Recurly's, reached by its own library."""

    def __init__(self, site: RecurlySite, patch: pytest.MonkeyPatch) -> None:
        self.site, self.patch = site, patch

    def empty(self) -> None:
        self.site.clear()

    def gateway(self) -> RecurlyGateway:
        return RecurlyGateway("recurly", Account(RECURLY_KEY, url=self.site.url))

    @contextmanager
    def dying(self, call: int, *, after: bool) -> Iterator[None]:
        with self.patch.context() as patch:
            asked = Turns(call, after=after).deadly(recurly.Client._make_request)
            patch.setattr(recurly.Client, "_make_request", lambda *said, **named: asked(*said, **named))
            yield

    def forget_keys(self) -> None:
        self.site.forget_keys()

    def held(self) -> Counter[tuple[str, str, int]]:
        """Its invoices by our numbers; a credit over all of an invoice that says so is a void one."""
        found: Counter[tuple[str, str, int]] = Counter()
        for one in self.site.invoices.values():
            minor = round(one["total"] * 100)
            number = one["customer_notes"].split(" [")[0]
            match one["type"], number.split():
                case "charge", [name]:
                    found["invoice", name, minor] += 1
                    for payment in one["transactions"]:
                        found["pay", name, round(payment["amount"] * 100)] += 1
                case "credit", ["void", name]:
                    found["void", name, 0] += 1
                case "credit", [name]:
                    found["credit_note", name, -minor] += 1
        return found
