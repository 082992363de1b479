"""Retention: which windows may be rolled up to days, and where their days must end.

Decides from invoices, contracts and the time, conservatively: what is not surely billed and past correction stays as it
is. How days are made is `rollup`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from rating.core.billing import PlanAt, billing_periods
from rating.core.catalogue import Catalogue
from rating.core.invoices import Draft, invoice_key
from rating.core.prices.bands import Banded
from rating.core.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class Borders:
    """Where rolled-up days end, so that no issued invoice and no calendar day cuts one."""

    zones: tuple[ZoneInfo, ...]
    """UTC first: exports and reports are by its days."""
    cuts: tuple[datetime, ...]
    """Sorted."""


def borders(drafts: Iterable[Draft], zones: Iterable[str]) -> Borders:
    """Of everything these invoices were charged from: midnights of their zones, and each end of a period or line.

    `zones` are more whose midnights count: those that may be billed by.
    """
    zones, cuts = {"UTC", *zones}, set[datetime]()
    for draft in drafts:
        for _, part in draft.parts:
            zones.add(part.zone)
            for period in (part.period, *(line.period for line in part.lines)):
                cuts |= {period.start, period.end}
    return Borders(
        tuple(ZoneInfo(name) for name in sorted(zones, key=lambda name: (name != "UTC", name))), tuple(sorted(cuts))
    )


def billed_until(
    subscriptions: Iterable[Subscription],
    plan_at: PlanAt,
    catalogues: Sequence[Catalogue],
    issued: Collection[str],
    now: datetime,
) -> dict[str, datetime]:
    """By meter: the start of the first billing period that has no invoice yet. A meter that nobody has still to be
    billed by is not named."""
    found: dict[str, datetime] = {}
    for subscription in subscriptions:
        first = _unbilled(subscription, plan_at, issued, now)
        if first is None:
            continue
        cards = [*subscription.overrides]
        for catalogue in catalogues:
            plan = catalogue.plans.get(subscription.plan)
            cards += plan.cards if plan is not None else ()
        for meter in {card.meter.name for card in cards}:
            found[meter] = min(found.get(meter, first), first)
    return found


def _unbilled(subscription: Subscription, plan_at: PlanAt, issued: Collection[str], now: datetime) -> datetime | None:
    # A subscription that begins later has not used anything yet.
    last = max(now, subscription.start)
    end = subscription.start
    for period, _, _ in billing_periods(subscription, plan_at, last):
        # A period that is open is not judged: what is paused may be resumed in it.
        billed = period.end > now or subscription.billed(period) is not None
        if billed and invoice_key(subscription.key, period) not in issued:
            return period.start
        end = period.end
    return None if subscription.end is not None and subscription.end <= end else end


def by_the_hour(catalogues: Iterable[Catalogue], subscriptions: Iterable[Subscription]) -> frozenset[str]:
    """Meters that some price asks by the time of day: a day's sum could not be rated again."""
    cards = [card for catalogue in catalogues for plan in catalogue.plans.values() for card in plan.cards]
    cards += [card for subscription in subscriptions for card in subscription.overrides]
    return frozenset(card.meter.name for card in cards if isinstance(card.price, Banded))


def months_before(now: datetime, months: int) -> date:
    """The first day of the month so many months before this one (UTC): what starts before it is older than that."""
    place = now.year * 12 + now.month - 1 - months
    return date(place // 12, place % 12 + 1, 1)


def ripe(
    meters: Iterable[str], before: datetime, billed: Mapping[str, datetime], looked: Mapping[str, datetime]
) -> Iterator[tuple[str, datetime]]:
    """Each meter and the instant before which its windows may be rolled up.

    `billed` as `billed_until` has it; `looked` is, by meter, from when on windows may be read again by themselves.
    """
    for meter in meters:
        yield meter, min(before, billed.get(meter, before), looked.get(meter, before))


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
