"""A subscription as written becomes a Subscription, or findings about its dates and its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from zoneinfo import ZoneInfo

from rating.core.periods import align
from rating.core.plans import Plan
from rating.core.ratecards import RateCard
from rating.core.subscriptions import CALENDAR, Subscription, overlap
from rating.specs.agreements import credits_of, exchange_of
from rating.specs.charges import Meters, card_of, instant_of, on_a_window, poolable
from rating.specs.fields import duration_text, moment_text
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.schema import SubscriptionSpec

Plans = Mapping[str, Plan | None]
"""Every plan defined, None where its own definition is wrong."""


def subscription_of(
    spec: SubscriptionSpec, place: Place, findings: Findings, plans: Plans, meters: Meters, default: ZoneInfo
) -> Subscription | None:
    """The subscription, or None after at least one finding."""
    before = findings.count
    zone = spec.timezone or default
    start = instant_of(spec.start, zone)
    ends = {
        key: instant_of(written, zone) for key in ("end", "trial_end") if (written := getattr(spec, key)) is not None
    }
    if spec.plan not in plans:
        findings.add(place.at("plan"), f'no plan is called "{spec.plan}"', or_one_of(spec.plan, plans))
    if spec.end is not None and ends["end"] <= start:
        findings.add(
            place.at("end"),
            f"ends {moment_text(spec.end)}, not after its start {moment_text(spec.start)}",
            "end is the first day that is no longer billed",
        )
    if spec.trial_end is not None and ends["trial_end"] <= start:
        findings.add(
            place.at("trial_end"),
            f"the trial ends {moment_text(spec.trial_end)}, not after the start {moment_text(spec.start)}",
            "trial_end is the first day that is billed",
        )
    plan = plans.get(spec.plan)
    if plan is not None:
        _on_windows(start, ends, zone, plan, place, findings)
    overrides = _overrides(spec, plan, place.at("overrides"), findings, meters, zone)
    keys = [credit.key for credit in spec.credits]
    for i, key in enumerate(keys):
        if key in keys[:i]:
            findings.add(place.at("credits", i, "key"), f'credit "{key}" is given twice', "give each its own key")
    if spec.exchange is not None and plan is not None and spec.exchange.currency == plan.currency.code:
        findings.add(
            place.at("exchange", "currency"),
            f'plan "{plan.key}" is in {plan.currency} itself',
            "name another currency, or remove the exchange",
        )
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
        end=ends.get("end"),
        customer=spec.customer or "",
        anchor=anchor,
        zone=zone,
        trial_end=ends.get("trial_end"),
        overrides=overrides,
        exchange=exchange_of(spec.exchange),
        credits=credits_of(spec.credits, lambda moment: instant_of(moment, zone)),
    )


def _overrides(
    spec: SubscriptionSpec, plan: Plan | None, place: Place, findings: Findings, meters: Meters, zone: ZoneInfo
) -> tuple[RateCard, ...]:
    """The consumer's own cards: each stands for a card of the plan, so it has that card's key and meter."""
    cards: list[RateCard] = []
    replaced = {card.key: card.meter.name for card in plan.cards} if plan is not None else {}
    for i, charge in enumerate(spec.overrides):
        key, here = charge.key or charge.meter, place.at(i)
        if charge.since is not None:
            findings.add(here.at("from"), "an override holds for the whole subscription", "end it and begin another")
        if plan is not None and key not in replaced:
            hint = or_one_of(key, replaced)
            findings.add(here, f'plan "{plan.key}" has no charge "{key}" to override', hint)
        elif plan is not None and replaced[key] != charge.meter:
            findings.add(here.at("meter"), f'charge "{key}" prices meter "{replaced[key]}"', "name that meter")
        elif any(card.key == key for card in cards):
            findings.add(here, f'charge "{key}" is overridden twice', "keep one of them")
        elif charge.meter in meters:
            if plan is not None and any(key in pool.cards for pool in plan.pools):
                poolable(key, [charge], here, findings)
            card = card_of(charge, here, findings, meters, zone)
            cards += [card] if card is not None else []
    return tuple(cards)


def _on_windows(
    start: datetime, ends: Mapping[str, datetime], zone: ZoneInfo, plan: Plan, place: Place, findings: Findings
) -> None:
    """A window belongs to one period whole, so subscriptions and periods begin where windows do."""
    meters = list(dict.fromkeys(card.meter for card in plan.cards))
    for key, instant in (("start", start), *ends.items()):
        if not on_a_window(instant, meters, place.at(key), findings):
            return
    for meter in meters:
        for month in range(1, 13):
            midnight = datetime(start.year, month, 1, tzinfo=zone).astimezone(UTC)
            if align(midnight, meter.window) != midnight:
                window = f'a window of {duration_text(meter.window)} of meter "{meter.name}"'
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
