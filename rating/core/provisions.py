"""Provisions: what has to be made, changed or put away at a gateway so that it rates by our prices.

Decides the differences between what is wanted and what stands there, and their order. A price is never changed there:
another price is made and the old one put away, while who is on it stays until the next period moves them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rating.core.offers import RemoteMeter, RemotePrice


class Act(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    REVIVE = "revive"
    """It was put away and is wanted again."""
    ARCHIVE = "archive"


class Thing(StrEnum):
    METER = "meter"
    PRODUCT = "product"
    PRICE = "price"


@dataclass(frozen=True, slots=True)
class Stood:
    """One of our things as it stands at the gateway."""

    remote: str
    """What the gateway calls it."""
    title: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything of ours that stands there, by our key."""

    meters: Mapping[str, Stood] = field(default_factory=dict)
    products: Mapping[str, Stood] = field(default_factory=dict)
    prices: Mapping[str, Stood] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provision:
    """One thing to be done there."""

    act: Act
    thing: Thing
    key: str
    title: str
    remote: str = ""
    """What the gateway calls it; empty for what is to be made."""
    before: str = ""
    """The title it has there."""
    meter: RemoteMeter | None = None
    price: RemotePrice | None = None
    """The price to be made, or one of those of the product."""

    @property
    def subject(self) -> str:
        return f"{self.thing}/{self.key}"


def provisions(
    meters: Iterable[RemoteMeter], prices: Iterable[RemotePrice], standing: Standing
) -> tuple[Provision, ...]:
    """What is to be done, in an order in which it can be done; nothing when everything stands as it is wanted.

    A meter that is no longer wanted is left: put away, it would refuse what is still to be told of it.
    """
    found: list[Provision] = []
    for meter in meters:
        found += _wanted(Thing.METER, meter.key, meter.title, standing.meters, meter=meter)
    wanted = {price.key: price for price in prices}
    products = {price.product: price for price in wanted.values()}
    for key, price in sorted(products.items()):
        found += _wanted(Thing.PRODUCT, key, price.title, standing.products, price=price)
    for key, price in sorted(wanted.items()):
        found += _wanted(Thing.PRICE, key, price.title, standing.prices, price=price, titled=False)
    for thing, kept, standing_there in (
        (Thing.PRICE, wanted.keys(), standing.prices),
        (Thing.PRODUCT, products.keys(), standing.products),
    ):
        for key, stood in sorted(standing_there.items()):
            if stood.active and key not in kept:
                found.append(Provision(Act.ARCHIVE, thing, key, stood.title, stood.remote))
    return tuple(found)


def _wanted(
    thing: Thing,
    key: str,
    title: str,
    there: Mapping[str, Stood],
    *,
    meter: RemoteMeter | None = None,
    price: RemotePrice | None = None,
    titled: bool = True,
) -> list[Provision]:
    stood = there.get(key)
    if stood is None:
        return [Provision(Act.CREATE, thing, key, title, meter=meter, price=price)]
    found = []
    if not stood.active:
        found.append(Provision(Act.REVIVE, thing, key, title, stood.remote, meter=meter, price=price))
    if titled and stood.title != title:
        found.append(Provision(Act.CHANGE, thing, key, title, stood.remote, stood.title, meter, price))
    return found
