"""A subscription as written becomes a Subscription, or findings about its dates and its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from itertools import combinations
from zoneinfo import ZoneInfo

from rating.core.periods import align, stamp
from rating.core.plans import Plan
from rating.core.subscriptions import CALENDAR, Subscription, overlap
from rating.specs.fields import duration_text, moment_text
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.schema import SubscriptionSpec

Plans = Mapping[str, Plan | None]
"""Every plan defined, None where its own definition is wrong."""


def subscription_of(
    spec: SubscriptionSpec, place: Place, findings: Findings, plans: Plans, default: ZoneInfo
) -> Subscription | None:
    """The subscription, or None after at least one finding."""
    before = findings.count
    zone = spec.timezone or default
    start = _instant(spec.start, zone)
    end = None if spec.end is None else _instant(spec.end, zone)
    if spec.plan not in plans:
        findings.add(place.at("plan"), f'no plan is called "{spec.plan}"', or_one_of(spec.plan, plans))
    if spec.end is not None and end is not None and end <= start:
        findings.add(
            place.at("end"),
            f"ends {moment_text(spec.end)}, not after its start {moment_text(spec.start)}",
            "end is the first day that is no longer billed",
        )
    plan = plans.get(spec.plan)
    if plan is not None:
        _on_windows(start, end, zone, plan, place, findings)
    if findings.count > before:
        return None
    if spec.anchor is None:
        anchor = CALENDAR
    elif isinstance(spec.anchor, str):
        anchor = start.astimezone(zone).date()
    else:
        anchor = spec.anchor
    return Subscription(
        consumer=spec.consumer,
        plan=spec.plan,
        start=start,
        end=end,
        customer=spec.customer or "",
        anchor=anchor,
        zone=zone,
    )


def _instant(moment: date | datetime, zone: ZoneInfo) -> datetime:
    if isinstance(moment, datetime):
        return moment
    return datetime.combine(moment, time(), zone).astimezone(UTC)


def _on_windows(
    start: datetime, end: datetime | None, zone: ZoneInfo, plan: Plan, place: Place, findings: Findings
) -> None:
    """A window belongs to one period whole, so subscriptions and periods begin where windows do."""
    for meter in dict.fromkeys(card.meter for card in plan.cards):
        window = f'a window of {duration_text(meter.window)} of meter "{meter.name}"'
        for key, instant in (("start", start), ("end", end)):
            if instant is not None and align(instant, meter.window) != instant:
                hint = f"write {stamp(align(instant, meter.window))} UTC, or shorten the window"
                findings.add(place.at(key), f"{stamp(instant)} UTC lies inside {window}", hint)
                return
        for month in range(1, 13):
            midnight = datetime(start.year, month, 1, tzinfo=zone).astimezone(UTC)
            if align(midnight, meter.window) != midnight:
                what = f"midnight in {zone.key} is {midnight:%H:%M} UTC in {midnight:%B}, inside {window}"
                findings.add(place, what, "shorten the window, or use the time zone UTC")
                return


def check_together(entries: Sequence[tuple[Subscription, Place]], findings: Findings, plans: Plans) -> None:
    """No usage is billed twice: subscriptions of one consumer at one time share no meter and no plan."""
    by_consumer: dict[str, list[tuple[Subscription, Place]]] = {}
    for entry in entries:
        by_consumer.setdefault(entry[0].consumer, []).append(entry)
    for of_one in by_consumer.values():
        for (first, first_place), (second, second_place) in combinations(of_one, 2):
            shared = overlap(first, second, plans)
            if shared is not None:
                findings.add(
                    second_place,
                    f'{shared} with plan "{first.plan}" at {findings.where(first_place)}',
                    "end one before the other starts",
                )
