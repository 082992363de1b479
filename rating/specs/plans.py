"""A plan as written becomes a Plan, or findings about its charges and its upsell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rating.core.meters import Meter
from rating.core.money import Currency, decimal_text
from rating.core.plans import Plan, Upsell
from rating.core.ratecards import RateCard
from rating.core.tiers import Beyond
from rating.specs.fields import share_text
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.prices import price_of
from rating.specs.schema import ChargeSpec, PlanSpec, UpsellSpec

Meters = Mapping[str, Meter | None]
"""Every meter defined, None where its own definition is wrong."""


def charges_of(raw: Any, place: Place, findings: Findings, meters: Meters) -> list[ChargeSpec | None]:
    """Each charge by itself, None where it is wrong; the meters they name are looked up either way."""
    entries = raw.get("charges") if isinstance(raw, dict) else None
    charges = []
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        here = place.at("charges", i)
        meter = entry.get("meter") if isinstance(entry, dict) else None
        if isinstance(meter, str) and meter not in meters:
            findings.add(here.at("meter"), f'no meter is called "{meter}"', or_one_of(meter, meters))
        charges.append(findings.checked(ChargeSpec, entry, here))
    return charges


def plan_of(
    key: str,
    spec: PlanSpec,
    charges: Sequence[ChargeSpec | None],
    place: Place,
    findings: Findings,
    meters: Meters,
    currency: str | None,
) -> Plan | None:
    """The plan, or None after at least one finding or where it needs a meter that is wrong itself."""
    before = findings.count
    money = Currency(spec.currency or currency or "XXX")
    _fee(spec, money, place, findings)
    cards = _cards(charges, place, findings, meters)
    if spec.upsell is not None:
        _thresholds(spec.upsell, place.at("upsell"), findings)
        if not any(charge is None or charge.included for charge in charges):
            findings.warn(
                place.at("upsell", "at"),
                "no charge of this plan includes anything to use up",
                'add "included" or remove the upsell',
            )
    if findings.count > before or len(cards) < len(charges):
        return None
    return Plan(
        key=key,
        title=spec.name or key,
        currency=money,
        cadence=spec.period,
        fee=spec.fee,
        cards=tuple(cards),
        upsell=Upsell(spec.upsell.to, tuple(spec.upsell.at)) if spec.upsell else None,
        rounding=spec.rounding,
    )


def _fee(spec: PlanSpec, money: Currency, place: Place, findings: Findings) -> None:
    if spec.fee < 0:
        findings.add(place.at("fee"), f"{decimal_text(spec.fee)} is negative", "a fee is zero or more")
    elif (spec.fee * 10**money.exponent).denominator != 1:
        findings.warn(
            place.at("fee"),
            f"{decimal_text(spec.fee)} {money} has more than the {money.exponent} decimals of its currency",
            "it is rounded on every invoice",
        )


def _cards(charges: Sequence[ChargeSpec | None], place: Place, findings: Findings, meters: Meters) -> list[RateCard]:
    cards: list[RateCard] = []
    keys: dict[str, int] = {}
    for i, charge in enumerate(charges):
        if charge is None:
            continue
        here, key = place.at("charges", i), charge.key or charge.meter
        if key in keys:
            findings.add(
                here.at("key" if charge.key else "meter"),
                f'charge {i + 1} has the key "{key}" of charge {keys[key] + 1}, so this usage would be billed twice',
                'remove one, or give it a "key" of its own if both are meant',
            )
        keys.setdefault(key, i)
        _last_tier(charge, here, findings)
        meter = meters.get(charge.meter)
        if meter is None:
            continue
        if (charge.included * 10**meter.digits).denominator != 1:
            findings.add(
                here.at("included"),
                f"{decimal_text(charge.included)} is finer than the meter's {meter.digits} decimals of a {meter.unit}",
                'round it, or give the meter a finer "resolution"',
            )
        price = price_of(charge)
        cards.append(RateCard(key, charge.name or charge.meter, meter, price, charge.included))
    return cards


def _last_tier(charge: ChargeSpec, place: Place, findings: Findings) -> None:
    """A quantity beyond the last tier would stop the bill, so an author who closes that tier says it on purpose."""
    for kind in ("graduated", "volume", "stairstep"):
        tiers = getattr(charge, kind)
        if tiers and tiers[-1].up_to is not None and "beyond" not in charge.model_fields_set:
            findings.add(
                place.at(kind, len(tiers) - 1, "up_to"),
                f"tier {len(tiers)} ends at {decimal_text(tiers[-1].up_to)} and nothing says what more usage costs",
                f'leave its up_to out, or add "beyond": {", ".join(Beyond)}',
            )


def _thresholds(upsell: UpsellSpec, place: Place, findings: Findings) -> None:
    for i, threshold in enumerate(upsell.at):
        if threshold <= 0:
            findings.add(
                place.at("at", i), f"{share_text(threshold)} is reached before any usage", "write more than 0%"
            )
        elif i and threshold <= upsell.at[i - 1]:
            findings.add(
                place.at("at", i),
                f"{share_text(threshold)} does not come after {share_text(upsell.at[i - 1])}",
                "list the shares in rising order",
            )


def check_upsells(plans: Mapping[str, tuple[Any, Place]], findings: Findings) -> None:
    """Each upsell, as written, leads to another plan that exists, and never round in a circle."""
    offers = {}
    for key, (raw, _) in plans.items():
        upsell = raw.get("upsell") if isinstance(raw, dict) else None
        to = upsell.get("to") if isinstance(upsell, dict) else None
        if isinstance(to, str):
            offers[key] = to
    order = list(plans)
    for key, to in offers.items():
        place = plans[key][1].at("upsell", "to")
        if to == key:
            findings.add(place, "the upsell offers the plan itself", "name the next larger plan")
        elif to not in plans:
            findings.add(place, f'no plan is called "{to}"', or_one_of(to, plans))
        else:
            trail = [key]
            while trail[-1] in offers and offers[trail[-1]] not in trail:
                trail.append(offers[trail[-1]])
            # Said once, at the plan that is written first.
            if offers.get(trail[-1]) == key and key == min(trail, key=order.index):
                circle = " to ".join([*trail, key])
                findings.add(place, f"the upsells lead in a circle, {circle}", "let the largest plan offer none")
