"""The other sides that rate what they are told: what a person makes there, their clock, what they count and bill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
import pytest
import recurly
import stripe
from chargebee import http_request

from rating.adapters.chargebee import ChargebeeUsage
from rating.adapters.chargebee.site import Site
from rating.adapters.recurly import RecurlyUsage
from rating.adapters.recurly.account import Account
from rating.core.periods import seconds
from rating.jobs.offer import apply, offered
from rating.ports import UsageGateway
from tests.story.metered import engine
from tests.stripe_peer.peer import StripePeer

from .chargebee_site import KEY, ChargebeeSite
from .peers import Turns
from .recurly_site import KEY as RECURLY_KEY
from .recurly_site import RecurlySite
from .services import Refusal

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
RENEWAL = timedelta(hours=6)
"""After midnight: when Recurly renews, and Chargebee closes invoices."""
WAIT = timedelta(seconds=120)
ITEM = {"daily/charge/calls": "calls-USD-Daily"}
CODE = {"daily/charge/calls": "calls"}
CUSTOMERS = ("acme", "bob")
CLIENT = httpx.Client


class UsagePeer(Protocol):
    every: int
    """Which of its calls are worth dying at: each, or each n-th where another test has them all."""
    waits: timedelta | None
    """How long it asks to wait while it is away, where its library says so."""

    def empty(self) -> None:
        """Begin anew, with what a person has to make there."""

    def gateway(self) -> UsageGateway:
        """A gateway as a new process opens it."""

    def ready(self, world: Any, gateway: UsageGateway, now: datetime) -> None:
        """What is made there from the catalogue, where anything is."""

    def at(self, now: datetime) -> None:
        """Its clock is there, and what fell due was billed."""

    def dying(self, call: int, *, after: bool) -> Any:
        """While it is open, the process ends at the n-th call (from 0), before or after it."""

    def away(self) -> Any:
        """While it is open, every call fails."""

    def counted(self) -> Mapping[str, int]:
        """Units by customer that stand there."""

    def billed(self) -> Mapping[str, int]:
        """Units by customer on invoices that are final."""


class StripeRates:
    """The local Stripe. A unit costs a cent, so an invoice says how many it is about."""

    every = 5  # tests/story/test_metered.py cuts each
    waits = WAIT

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.open = patch, ExitStack()
        self.empty()

    def empty(self) -> None:
        self.open.close()
        self.stripe = self.open.enter_context(StripePeer(now=int(BEGIN.timestamp()), standing=True))

    def gateway(self) -> UsageGateway:
        return engine(self.stripe.url, self.stripe.key).gateway

    def ready(self, world: Any, gateway: Any, now: datetime) -> None:
        wanted = offered(world.contracts(now), gateway, takes=lambda customer: True, now=now)
        apply(world.book, gateway, wanted, now=now)

    def at(self, now: datetime) -> None:
        self.stripe.advance_to(max(self.stripe.now(), int(now.timestamp())))

    @contextmanager
    def dying(self, call: int, *, after: bool) -> Iterator[None]:
        request = Turns(call, after=after).deadly(stripe.RequestsClient.request)
        with self.patch.context() as patch:
            patch.setattr(stripe.RequestsClient, "request", lambda *asked, **named: request(*asked, **named))
            yield

    @contextmanager
    def away(self) -> Iterator[None]:
        self.stripe.fail(kind="answer", status=429, times=1_000, headers={"Retry-After": "120"})
        yield
        self.stripe.clear_faults()

    def counted(self) -> Mapping[str, int]:
        state, client = self.stripe.state(), self.stripe.client().v1.billing.meters.event_summaries
        span = {"start_time": seconds(BEGIN), "end_time": seconds(BEGIN + 9 * DAY)}
        found = {}
        for customer in state["customers"]:
            asked: Any = {"customer": customer["id"], **span}
            shown = client.list(state["meters"][0]["id"], asked).data
            found[customer["name"]] = int(sum(one.aggregated_value for one in shown))
        return Counter({name: units for name, units in found.items() if units})

    def billed(self) -> Mapping[str, int]:
        state = self.stripe.state()
        names = {one["id"]: one["name"] for one in state["customers"]}
        found: Counter[str] = Counter()
        for invoice in state["invoices"]:
            if invoice["status"] != "draft":
                found[names[invoice["customer"]]] += invoice["total"]
        return +found


class ChargebeeRates:
    """A site of Chargebee's whose invoices are closed some hours after midnight."""

    every = 1
    waits = WAIT

    def __init__(self, site: ChargebeeSite, patch: pytest.MonkeyPatch) -> None:
        self.site, self.patch = site, patch
        patch.setattr(http_request.httpx, "Client", lambda verify: CLIENT(verify=False))
        self.empty()

    def empty(self) -> None:
        self.site.clear()
        self.day = BEGIN
        for name in CUSTOMERS:
            start, end = seconds(BEGIN), seconds(BEGIN + DAY)
            self.site.usages.subscribe(f"cb-{name}", name, start, end, *ITEM.values(), "support-USD-Daily")

    def gateway(self) -> ChargebeeUsage:
        return ChargebeeUsage("eu", Site("acme-test", KEY, url=self.site.url), dict(ITEM), {}, grace=RENEWAL)

    def ready(self, world: Any, gateway: UsageGateway, now: datetime) -> None:
        return

    def at(self, now: datetime) -> None:
        while now >= self.day + DAY:
            self.day += DAY
            for name in self.site.usages.subscriptions:
                self.site.usages.renew(name, seconds(self.day + DAY))
        if now >= self.day + RENEWAL:
            self.site.usages.close()

    @contextmanager
    def dying(self, call: int, *, after: bool) -> Iterator[None]:
        with self.patch.context() as patch:
            asked = Turns(call, after=after).deadly(http_request._make_request)
            patch.setattr(http_request, "_make_request", asked)
            yield

    @contextmanager
    def away(self) -> Iterator[None]:
        self.site.fault = Refusal(429, {"message": "slow down", "api_error_code": "api_request_limit_exceeded"},
                                  {"Retry-After": "120"})  # fmt: skip
        yield
        self.site.fault = None

    def counted(self) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for one in self.site.usages.records:
            found[one["subscription_id"].removeprefix("cb-")] += int(one["quantity"])
        return found

    def billed(self) -> Mapping[str, int]:
        return Counter({name.removeprefix("cb-"): int(units) for (name, _), units in self.site.usages.billed().items()})


class RecurlyRates:
    """A site of Recurly's that renews some hours after midnight."""

    every = 1
    waits = None

    def __init__(self, site: RecurlySite, patch: pytest.MonkeyPatch) -> None:
        self.site, self.patch = site, patch
        self.empty()

    def empty(self) -> None:
        self.site.clear()
        self.ends = BEGIN + DAY + RENEWAL
        for name in CUSTOMERS:
            self.site.usages.subscribe(f"r-{name}", name, self.ends, *CODE.values(), "seats")

    def gateway(self) -> RecurlyUsage:
        return RecurlyUsage("us", Account(RECURLY_KEY, url=self.site.url), dict(CODE), {}, grace=RENEWAL)

    def ready(self, world: Any, gateway: UsageGateway, now: datetime) -> None:
        return

    def at(self, now: datetime) -> None:
        while now >= self.ends:
            self.ends += DAY
            for name in self.site.usages.subscriptions:
                self.site.usages.renew(name, 1)

    @contextmanager
    def dying(self, call: int, *, after: bool) -> Iterator[None]:
        with self.patch.context() as patch:
            asked = Turns(call, after=after).deadly(recurly.Client._make_request)
            patch.setattr(recurly.Client, "_make_request", lambda *said, **named: asked(*said, **named))
            yield

    @contextmanager
    def away(self) -> Iterator[None]:
        self.site.fault = Refusal(429, {"error": {"type": "rate_limited", "message": "slow down"}}, {})
        yield
        self.site.fault = None

    def counted(self) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for one in self.site.usages.records.values():
            found[one["of"][0].removeprefix("r-")] += one["amount"]
        return +found

    def billed(self) -> Mapping[str, int]:
        return Counter({name.removeprefix("r-"): units for (name, _), units in self.site.usages.billed().items()})


@contextmanager
def rates(kind: str, patch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The other side of that kind."""
    match kind:
        case "stripe":
            side = StripeRates(patch)
            with side.open:
                yield side
        case "chargebee":
            with closing(ChargebeeSite()) as site:
                yield ChargebeeRates(site, patch)
        case "recurly":
            with closing(RecurlySite()) as other:
                yield RecurlyRates(other, patch)
