"""A month of the demonstration, recorded at Chargebee and at Recurly, to the unit of the book."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta

import httpx
import pytest
from chargebee import http_request

from rating.adapters.chargebee import ChargebeeUsage
from rating.adapters.chargebee.site import Site
from rating.adapters.recurly import RecurlyUsage
from rating.adapters.recurly.account import Account
from rating.core.periods import seconds
from rating.jobs.offer import offered
from rating.ports import UsageGateway
from tests.story.metered import METERED, NOVEMBER, catalogue, close

from .chargebee_site import KEY, ChargebeeSite
from .recurly_site import KEY as RECURLY_KEY
from .recurly_site import RecurlySite
from .usage_worlds import MINUTES, UsageWorld

GRACE = timedelta(hours=6)
CLIENT = httpx.Client


@pytest.mark.parametrize("kind", ["chargebee", "recurly"])
def test_a_month_of_the_demonstration_stands_there_as_in_the_book(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_request.httpx, "Client", lambda verify: CLIENT(verify=False))
    world = UsageWorld()
    world.catalogue = catalogue()
    with closing(ChargebeeSite() if kind == "chargebee" else RecurlySite()) as site:
        gateway = _there(world, site)
        first = world.report(gateway, NOVEMBER.start + MINUTES)
        assert (len(first.subscribed), first.parked) == (len(METERED), ())
        close(world.book, world.catalogue, NOVEMBER)
        world.report(gateway, NOVEMBER.end + MINUTES)
        calls = len(site.calls)
        assert world.report(gateway, NOVEMBER.end + 2 * MINUTES).events == ()
        assert len(site.calls) == calls
        assert _standing(site) == _used(world)


def _there(world: UsageWorld, site: ChargebeeSite | RecurlySite) -> UsageGateway:
    """What a person makes there: a subscription for each customer, an item for each product, named in the file."""
    wanted = offered(world.contracts(NOVEMBER.start), RecurlyUsage("x", Account(RECURLY_KEY), {}, {}, grace=GRACE),
                     takes=lambda customer: True, now=NOVEMBER.start)  # fmt: skip
    named = {price.product: price.product.replace("/", ".") for price in wanted.prices}
    for contract in wanted.contracts:
        items = [named[price.product] for price in contract.offer.prices]
        if isinstance(site, ChargebeeSite):
            start, end = seconds(NOVEMBER.start), seconds(NOVEMBER.end)
            site.usages.subscribe(contract.customer, contract.customer, start, end, *items)
        else:
            began = {"current_period_started_at": "2026-11-01T06:00:00Z"}
            site.usages.subscribe(contract.customer, contract.customer, NOVEMBER.end + GRACE, *items, **began)
    if isinstance(site, ChargebeeSite):
        return ChargebeeUsage("eu", Site("acme-test", KEY, url=site.url), named, {}, grace=GRACE)
    return RecurlyUsage("us", Account(RECURLY_KEY, url=site.url), named, {}, grace=GRACE)


def _standing(site: ChargebeeSite | RecurlySite) -> Mapping[tuple[str, str], int]:
    """Units by customer and item."""
    found: Counter[tuple[str, str]] = Counter()
    if isinstance(site, ChargebeeSite):
        for one in site.usages.records:
            found[one["subscription_id"], one["item_price_id"]] += int(one["quantity"])
    else:
        for one in site.usages.records.values():
            found[one["of"]] += one["amount"]
    return found


def _used(world: UsageWorld) -> Mapping[tuple[str, str], int]:
    """What the book has, and one of each fee."""
    plans = {"Umbrella Holding": "pro", "acme": "pro", "hooli": "free", "initech": "starter"}
    charged = {"pro": ("api_calls", "tokens", "streaming"), "free": ("api_calls",), "starter": ("api_calls", "tokens")}
    payers = {one.consumer: one.payer for one in world.catalogue.subscriptions}
    found = Counter({(name, f"{plan}.fee"): 1 for name, plan in plans.items() if plan != "free"})
    for meter in world.catalogue.meters:
        for row in world.book.usage(NOVEMBER, meter):
            customer = payers[row.usage.consumer]
            if meter in charged.get(plans.get(customer, ""), ()):
                found[customer, f"{plans[customer]}.charge.{meter}"] += row.usage.quantity
    return found
