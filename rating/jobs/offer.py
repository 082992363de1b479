"""Offer: what of the catalogue a gateway that rates by itself can be told, and make it stand there.

What is to be done follows from the catalogue and from what stands there, each time anew: done twice is done once, and
after a crash the rest is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from rating.core.collection import Collection
from rating.core.offers import (
    INSTEAD,
    Offer,
    Offered,
    RemoteContract,
    contract_of,
    joined,
    nearest,
    plan_offer,
    subscription_offer,
)
from rating.core.plans import Plan
from rating.core.provisions import Provision, Standing, provisions
from rating.core.publications import RemoteName
from rating.core.subscriptions import Subscription
from rating.errors import Finding
from rating.jobs.contracts import Contracts
from rating.jobs.trails import KeptTrail
from rating.ports import Book, OfferGateway, UsageGateway

CLAIM = "offer"
TAXED = "the catalogue's tax rules decide what an invoice is taxed, and the gateway would not add it"


def offered(contracts: Contracts, gateway: UsageGateway, *, takes: Callable[[str], bool], now: datetime) -> Offered:
    """What can be metered there at `now`, of the customers it takes, and why the rest cannot."""
    if contracts.current.tax_rules:
        return Offered(findings=(Finding("the catalogue", f"cannot be metered: {TAXED}", INSTEAD),))
    offers: dict[str, Offer] = {}
    findings: list[Finding] = []
    for key, plan in sorted(contracts.current.plans.items()):
        answer = plan_offer(plan, now, gateway.decimals(plan.currency))
        if isinstance(answer, Offer):
            offers[key] = answer
        else:
            findings += answer
    found: list[RemoteContract] = []
    for subscription in contracts.subscriptions:
        if not takes(subscription.payer):
            continue
        plan = _in_force(contracts, subscription, now)
        answer = subscription_offer(subscription, plan, nearest(subscription, now), gateway.decimals(plan.currency))
        if isinstance(answer, Offer):
            found.append(contract_of(subscription, plan, answer, now))
        elif subscription.plan in offers or subscription.overrides:
            # Else the plan's own findings have said it.
            findings += answer
    together, left = joined(found, now)
    return Offered(offers, together, (*findings, *(why for _, why in left)), tuple(contract for contract, _ in left))


def offering(
    contracts: Contracts, gateways: Iterable[UsageGateway | None], who: Collection, *, now: datetime
) -> Callable[[str], Offered]:
    """What each of these gateways is offered, by its name; nothing for any other."""
    known = {one.name: one for one in gateways if one is not None}

    def of(name: str) -> Offered:
        if name not in known:
            return Offered()
        return offered(contracts, known[name], takes=lambda customer: who.gateway_of(customer) == name, now=now)

    return of


def _in_force(contracts: Contracts, subscription: Subscription, now: datetime) -> Plan:
    """The plan as it stood when the period began that is under way, or nearest."""
    instant = nearest(subscription, now)
    plan, _ = contracts.plan(subscription.plan, instant)
    begun = subscription.period(plan.cadence, instant).start
    return contracts.plan(subscription.plan, max(begun, subscription.start))[0]


def changes(gateway: OfferGateway, wanted: Offered) -> tuple[Provision, ...]:
    """What differs there from what is wanted. Changes nothing."""
    return provisions(wanted.meters, wanted.prices, gateway.standing())


def apply(
    book: Book,
    gateway: OfferGateway,
    wanted: Offered,
    *,
    now: datetime,
    done: Callable[[Provision, str], None] = lambda provision, said: None,
) -> Sequence[Provision]:
    """Make it stand there. Returns what was done; nothing while somebody else does it.

    Raises as the gateway does; what was done before stays, and is not done again.
    """
    with book.claim(f"{CLAIM}/{gateway.name}") as free:
        if not free:
            return ()
        standing = gateway.standing()
        _keep_names(book, gateway.name, standing, now)
        made = provisions(wanted.meters, wanted.prices, standing)
        for provision in made:
            trail = KeptTrail(book, gateway.name, provision.subject, lambda: now, begun_at=None)
            done(provision, gateway.provide(provision, trail))
    return made


def _keep_names(book: Book, gateway: str, standing: Standing, now: datetime) -> None:
    """Names of what was made when a crash came before they were kept."""
    there = (("meter", standing.meters), ("product", standing.products), ("price", standing.prices))
    known = {(name.subject, name.part) for name in book.remote_names(gateway)}
    names = [
        RemoteName(gateway, f"{thing}/{key}", "", stood.remote)
        for thing, things in there
        for key, stood in sorted(things.items())
        if (f"{thing}/{key}", "") not in known
    ]
    if names:
        book.progress((), names, at=now)
