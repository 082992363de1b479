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
from rating.core.usagerecords import begins, begun_late, end_differs, period_differs, unsayable
from rating.errors import EdgeDisagrees, EdgeRefused
from rating.ports import Names, Trail, Unreported

Stand = Callable[[UsageEvent, Share, str, str], None]
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
    began: datetime | None
    """The start of its billing period."""
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
    if first and there.began is not None and (late := begun_late(contract, there.began)):
        raise EdgeDisagrees(f"{what}: {late}, {AGAIN}")
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


class Teller:
    """Carries each share of each event to the subscription that it belongs to.

    What stood there when a report broke off is not asked for by the next one: else a limit of calls would end every
    report at the same place.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._stood: set[tuple[str, str, str]] = set()

    def tell(self, events: Iterable[UsageEvent], names: Names, stand: Stand) -> list[Unreported]:
        """Returns what was declined, and why.

        `stand` makes the number of a share and a product stand there, under the subscription's name; it raises
        EdgeRefused where it cannot, and EdgeUnavailable, which ends the report.
        """
        found = []
        for event in events:
            reasons = [why for share in event.shares for why in self._share(event, share, names, stand)]
            if reasons:
                found.append(Unreported(event, "; ".join(reasons)))
        self._stood.clear()
        return found

    def _share(self, event: UsageEvent, share: Share, names: Names, stand: Stand) -> Iterator[str]:
        subject = subscription_subject(share.subscription)
        there, start = names(subject), names(subject, "start")
        if there is None or start is None:
            yield f"subscription {share.subscription} has no name at {self._where}; it was not taken up there"
            return
        if share.at < from_seconds(int(start)):
            return  # billed elsewhere, as the subscription was when it was used
        if why := unsayable(share):
            yield why
            return
        for product in share.products:
            one = event.name, share.subscription, product
            if one in self._stood:
                continue
            try:
                stand(event, share, product, there)
            except EdgeRefused as error:
                yield str(error)
            else:
                self._stood.add(one)
