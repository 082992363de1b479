"""Subscriptions that a person made at a collector, taken up for a contract of ours: what is shared by Chargebee's and
Recurly's.

Decides nothing about money there: items, prices and the subscription stay the person's, who is told what does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rating.core.offers import RemoteContract
from rating.core.periods import from_seconds, seconds
from rating.core.publications import subscription_subject
from rating.core.usageevents import Share, UsageEvent
from rating.core.usagerecords import begins, end_differs, period_differs, unsayable
from rating.errors import EdgeDisagrees, EdgeRefused
from rating.ports import Names, Trail, Unreported

AGAIN = "then `rating stripe retry`"


@dataclass(frozen=True, slots=True)
class Found:
    """A subscription as it stands there."""

    name: str
    state: str
    live: bool
    """Is it billed?"""
    items: frozenset[str]
    """What usage can be recorded for."""
    ends: datetime | None
    """The end of its billing period."""
    stops: datetime | None
    """When it ends, if it is to end."""


def unnamed(contract: RemoteContract, items: Mapping[str, str], word: str) -> str:
    """Which products of the contract have no name there; empty when all have."""
    missing = sorted({price.product for price in contract.offer.prices} - items.keys())
    if not missing:
        return ""
    return f"{', '.join(missing)} is told under no name; write `{word}: {{{missing[0]}: THEIR_NAME}}` for the gateway"


def only(where: str, contract: RemoteContract, found: Iterable[Found], wanted: Sequence[str]) -> Found:
    """The one of a customer's subscriptions that is meant.

    Raises:
        EdgeRefused: there is none, or more than one.
    """
    fitting = [one for one in found if one.live and one.items.issuperset(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(sorted(one.name for one in fitting))
        hint = f"write `subscriptions: {{{contract.subscription}: ...}}` for the gateway, {AGAIN}"
        raise EdgeRefused(f"customer {contract.customer} has {len(fitting)} fitting subscriptions, {names}; {hint}")
    raise EdgeRefused(
        f"{where} has no running subscription of customer {contract.customer} with {', '.join(wanted)} for "
        f"{contract.subscription}; make it there, {AGAIN}"
    )


def take_up(
    contract: RemoteContract,
    there: Found,
    items: Mapping[str, str],
    trail: Trail,
    *,
    least: timedelta,
    most: timedelta,
) -> str:
    """Keep what it is called there, once it is billed as the contract is; returns what was done.

    Raises:
        EdgeRefused: a person has something to do there first.
        EdgeDisagrees: it stands for another one, or its billing periods are others.
    """
    subject = subscription_subject(contract.subscription)
    what = f"subscription {there.name} for {contract.subscription}"
    kept = trail.name(subject=subject)
    if kept not in (None, there.name):
        raise EdgeDisagrees(f"{what}: usage was told to {kept} so far; name that one again, {AGAIN}")
    first = trail.name("start", subject) is None
    prices = {price.key: price for price in contract.offer.prices}
    changed = [price for key, price in sorted(prices.items()) if trail.name(f"price/{key}", subject) is None]
    lacking = sorted({items[price.product] for price in prices.values()} - there.items)
    stops = end_differs(contract, there.stops)
    ended = contract.end is not None and not there.live and not stops
    if changed and not first and not trail.revived:
        named = ", ".join(f"{price.product} ({items[price.product]})" for price in changed)
        raise EdgeRefused(f"{what}: our price of {named} has changed; change it there, {AGAIN}")
    if not there.live and not ended:
        raise EdgeRefused(f"{what}: it is {there.state}; let it run, {AGAIN}")
    if lacking and not ended:
        raise EdgeRefused(f"{what}: usage of {', '.join(lacking)} cannot be recorded for it; add it there, {AGAIN}")
    if stops and not first:
        raise EdgeRefused(f"{what}: {stops}, {AGAIN}")
    ending = contract.end is not None and not first  # then, as was just seen, the same here and there
    if there.ends is not None and not ending and (differs := period_differs(contract, there.ends, least, most)):
        raise EdgeDisagrees(f"{what}: {differs}, {AGAIN}")
    for price in changed:
        trail.keep(price.product, f"price/{price.key}", subject)
    if kept is None:
        trail.keep(there.name, subject=subject)
    if first:
        # Last: from now on there is usage to be told.
        trail.keep(str(seconds(begins(contract))), "start", subject)
    if stops:
        raise EdgeRefused(f"{what}: {stops}, {AGAIN}")
    return f"told as {there.name}"


def carried(
    where: str, events: Iterable[UsageEvent], names: Names, stand: Callable[[UsageEvent, Share, str, str], None]
) -> list[Unreported]:
    """Carry each share of each event to the subscription that it belongs to; returns what was declined, and why.

    `stand` makes the number of a share and a product stand there, under the subscription's name, or raises EdgeRefused.
    """
    found = []
    for event in events:
        reasons = []
        for share in event.shares:
            subject = subscription_subject(share.subscription)
            there, start = names(subject), names(subject, "start")
            if there is None or start is None:
                reasons.append(f"subscription {share.subscription} has no name at {where}; it was not taken up there")
            elif share.at < from_seconds(int(start)):
                continue  # billed elsewhere, as the subscription was when it was used
            elif why := unsayable(share):
                reasons.append(why)
            else:
                reasons += _declined(event, share, there, stand)
        if reasons:
            found.append(Unreported(event, "; ".join(reasons)))
    return found


def _declined(
    event: UsageEvent, share: Share, there: str, stand: Callable[[UsageEvent, Share, str, str], None]
) -> Iterator[str]:
    for product in share.products:
        try:
            stand(event, share, product, there)
        except EdgeRefused as error:
            yield str(error)
