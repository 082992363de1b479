"""A plan as written becomes a Plan, or findings about its charges together, its terms, its fees and its upsell.

What it shares with other plans, bundles and pools over them, comes after (`bundles`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from rating.core.money import Currency, decimal_text
from rating.core.plans import Plan, Upsell
from rating.core.ratecards import RateCard
from rating.specs.agreements import fee_of, pool_of, settlement_of
from rating.specs.charges import Meters, card_of, instant_of
from rating.specs.fields import moment_text, share_text
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.schema import ChargeSpec, PlanSpec, UpsellSpec


def plan_of(
    key: str,
    spec: PlanSpec,
    charges: Sequence[ChargeSpec | None],
    place: Place,
    findings: Findings,
    meters: Meters,
    currency: str | None,
    zone: ZoneInfo,
) -> Plan | None:
    """The plan, or None after at least one finding or where it needs a meter that is wrong itself."""
    before = findings.count
    # XXX is ISO 4217's code for no currency: that none is named is a finding already.
    money = Currency(spec.currency or currency or "XXX")
    _amounts(spec, money, place, findings)
    _together(charges, place.at("charges"), findings, zone)
    cards = [
        card
        for i, charge in enumerate(charges)
        if charge is not None and (card := card_of(charge, place.at("charges", i), findings, meters, zone)) is not None
    ]
    if spec.upsell is not None:
        _thresholds(spec.upsell, place.at("upsell"), findings)
        if not spec.pools and not spec.bundle and not any(charge is None or charge.included for charge in charges):
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
        cards=_by_version(cards),
        upsell=Upsell(spec.upsell.to, tuple(spec.upsell.at)) if spec.upsell else None,
        rounding=spec.rounding,
        settlement=settlement_of(spec.discounts, spec.maximum, spec.minimum, spec.taxes, spec.tax_inclusive),
        prorate=spec.prorate,
        versions=spec.versions,
        fees=tuple(fee_of(fee) for fee in spec.fees),
        pools=tuple(pool_of(pool) for pool in spec.pools),
    )


def _amounts(spec: PlanSpec, money: Currency, place: Place, findings: Findings) -> None:
    if spec.fee < 0:
        findings.add(place.at("fee"), f"{decimal_text(spec.fee)} is negative", "a fee is zero or more")
    _cents(spec.fee, money, place.at("fee"), findings)
    for i, fee in enumerate(spec.fees):
        _cents(fee.amount, money, place.at("fees", i, "amount"), findings)
        if any(fee.key == other.key for other in spec.fees[:i]):
            findings.add(place.at("fees", i, "key"), f'fee "{fee.key}" is given twice', "give each its own key")
    if spec.maximum is not None and spec.minimum is not None and spec.maximum < spec.minimum:
        findings.add(
            place.at("maximum"),
            f"{decimal_text(spec.maximum)} is less than the minimum {decimal_text(spec.minimum)}",
            "a minimum applies after the cap, so nothing else would ever be owed",
        )
    codes = [discount.code for discount in spec.discounts]
    for i, code in enumerate(codes):
        if code is not None and code in codes[:i]:
            findings.add(place.at("discounts", i, "code"), f'the code "{code}" is given twice', "keep one of them")


def _cents(amount: Fraction, money: Currency, place: Place, findings: Findings) -> None:
    if amount >= 0 and (amount * 10**money.exponent).denominator != 1:
        findings.warn(
            place,
            f"{decimal_text(amount)} {money} has more than the {money.exponent} decimals of its currency",
            "it is rounded on every invoice",
        )


def _together(charges: Sequence[ChargeSpec | None], place: Place, findings: Findings, zone: ZoneInfo) -> None:
    """Charges of one key are versions of one card: one meter, rising dates. Anything else would bill usage twice."""
    latest: dict[str, int] = {}
    for i, charge in enumerate(charges):
        if charge is None:
            continue
        key = charge.key or charge.meter
        if key not in latest:
            latest[key] = i
            continue
        other = charges[latest[key]]
        assert other is not None
        before = None if other.since is None else instant_of(other.since, zone)
        if charge.since is None:
            findings.add(
                place.at(i, "key" if charge.key else "meter"),
                f'charge {i + 1} has the key "{key}" of charge {latest[key] + 1}, so this usage would be billed twice',
                'remove one, give it "from" if it is the next version, or a "key" of its own if both are meant',
            )
        elif charge.meter != other.meter:
            findings.add(
                place.at(i, "meter"),
                f'version {moment_text(charge.since)} of "{key}" prices "{charge.meter}", not "{other.meter}"',
                'give it a "key" of its own',
            )
        elif before is not None and instant_of(charge.since, zone) <= before:
            assert other.since is not None
            findings.add(
                place.at(i, "from"),
                f'this version of "{key}" is from {moment_text(charge.since)} '
                f"but charge {latest[key] + 1} is from {moment_text(other.since)}",
                "list versions by rising from",
            )
        else:
            latest[key] = i


def _by_version(cards: Sequence[RateCard]) -> tuple[RateCard, ...]:
    """Versions of one card beside each other, in the order of their first."""
    order = list(dict.fromkeys(card.key for card in cards))
    return tuple(sorted(cards, key=lambda card: order.index(card.key)))


def _thresholds(upsell: UpsellSpec, place: Place, findings: Findings) -> None:
    for i, threshold in enumerate(upsell.at):
        if threshold <= 0:
            findings.add(place.at("at", i), f"{share_text(threshold)} is reached before any use", "write more than 0%")
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
