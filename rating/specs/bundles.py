"""What plans have of one another: bundles resolved into whole plans, and pools checked over all their charges.

Comes after each plan was compiled by itself. Decides which plans may stand in one bundle; what a pool or a fee comes to
is the core's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rating.core.money import decimal_text
from rating.core.plans import Fee, Plan
from rating.specs.charges import Meters, poolable
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.schema import ChargeSpec, PlanSpec


@dataclass(frozen=True, slots=True)
class Written:
    """One plan as its author wrote it, its charges one by one, None where one is wrong itself."""

    spec: PlanSpec
    charges: Sequence[ChargeSpec | None]
    place: Place


def together(
    written: Mapping[str, Written],
    plans: Mapping[str, Plan | None],
    findings: Findings,
    meters: Meters,
    currency: str | None,
) -> dict[str, Plan | None]:
    """Every plan with what it has of those in its bundle; None where it or one of those is wrong."""
    for key, one in written.items():
        sound = _bundle(key, one, written, plans, findings, currency)
        if sound:
            _clashes(key, one, written, findings)
            _pools(key, one, written, findings, meters)
    return {key: _whole(key, written, plans, ()) for key in plans}


def _bundle(
    key: str,
    one: Written,
    written: Mapping[str, Written],
    plans: Mapping[str, Plan | None],
    findings: Findings,
    currency: str | None,
) -> bool:
    """Can each plan of the bundle stand in it? Whether the bundle can be looked into any further."""
    before = findings.count
    for i, name in enumerate(one.spec.bundle):
        place = one.place.at("bundle", i)
        if name not in plans:
            findings.add(place, f'no plan is called "{name}"', or_one_of(name, plans))
            continue
        if name in one.spec.bundle[:i]:
            findings.add(place, f'plan "{name}" is named twice', "keep one of them")
        other = written.get(name)
        if other is None:
            continue
        if other.spec.period != one.spec.period:
            findings.add(
                place,
                f'plan "{name}" is billed each {other.spec.period} and this one each {one.spec.period}',
                "bundle plans of one period",
            )
        moneys = [spec.currency or currency for spec in (other.spec, one.spec)]
        if moneys[0] != moneys[1]:
            findings.add(
                place, f'plan "{name}" is in {moneys[0]} and this one in {moneys[1]}', "bundle plans of one currency"
            )
    circle = _circle(key, written)
    # Said once, at the plan that is written first.
    if circle and key == min(circle, key=list(plans).index):
        trail = " to ".join([*circle, key])
        findings.add(one.place.at("bundle"), f"the bundles lead in a circle, {trail}", "remove one of these steps")
    known = all(name in written for plan in _reach(key, written) for name in written[plan].spec.bundle)
    return findings.count == before and known and not any(_circle(plan, written) for plan in _reach(key, written))


def _circle(key: str, written: Mapping[str, Written]) -> list[str]:
    """The way from a plan through bundles back to itself, empty when there is none."""

    def back(trail: list[str]) -> list[str]:
        for name in written[trail[-1]].spec.bundle if trail[-1] in written else ():
            if name == key:
                return trail
            if name not in trail and (found := back([*trail, name])):
                return found
        return []

    return back([key])


def _reach(key: str, written: Mapping[str, Written]) -> list[str]:
    """The plan and every one in its bundle, in theirs, and so on, each once."""
    found = [key]
    for name in found:
        found += [other for other in written[name].spec.bundle if other in written and other not in found]
    return found


def _had(key: str, written: Mapping[str, Written]) -> Iterator[str]:
    """The plan itself and each it has by bundling, as often as it has it."""
    yield key
    for name in written[key].spec.bundle:
        yield from _had(name, written)


def _clashes(key: str, one: Written, written: Mapping[str, Written], findings: Findings) -> None:
    """Each charge, fee and pool has its key alone."""
    if not one.spec.bundle:
        return
    owners: dict[tuple[str, str], str] = {}
    for i, bundled in enumerate([key, *one.spec.bundle]):
        for name in [key] if not i else _had(bundled, written):
            for what in _keys(name, written[name], own=not i):
                if what in owners:
                    findings.add(
                        one.place.at("bundle", i - 1),
                        f'{what[0]} "{what[1]}" comes from plan "{owners[what]}" and from plan "{name}"',
                        "give one of them another key, or bundle one plan less",
                    )
                owners.setdefault(what, name)


def _keys(name: str, plan: Written, own: bool) -> list[tuple[str, str]]:
    """What the plan itself has, each once: a key twice in one plan is said where that is written."""
    charges = [charge.key or charge.meter for charge in plan.charges if charge is not None]
    fees = [name] if plan.spec.fee and not own else []
    fees += [fee.key for fee in plan.spec.fees]
    named = {"charge": charges, "fee": fees, "pool": [pool.key for pool in plan.spec.pools]}
    return list(dict.fromkeys((kind, key) for kind, keys in named.items() for key in keys))


def _pools(key: str, one: Written, written: Mapping[str, Written], findings: Findings, meters: Meters) -> None:
    reach = _reach(key, written)
    charges = [charge for name in reach for charge in written[name].charges]
    known = {charge.key or charge.meter: charge for charge in charges if charge is not None}
    others = [pool for name in reach if name != key for pool in written[name].spec.pools]
    taken = {charge: pool.key for pool in others for charge in pool.charges}
    for i, pool in enumerate(one.spec.pools):
        place = one.place.at("pools", i)
        if any(pool.key == other.key for other in one.spec.pools[:i]):
            findings.add(place.at("key"), f'pool "{pool.key}" is given twice', "give each its own key")
        first: tuple[str, str] | None = None
        digits = 0
        for j, name in enumerate(pool.charges):
            here = place.at("charges", j)
            if name in taken:
                findings.add(here, f'charge "{name}" is in pool "{taken[name]}" already', "keep it in one of them")
            taken.setdefault(name, pool.key)
            charge = known.get(name)
            if charge is None:
                if None not in charges:
                    findings.add(here, f'this plan has no charge "{name}"', or_one_of(name, known))
                continue
            versions = [one for one in charges if one is not None and (one.key or one.meter) == name]
            poolable(name, versions, here, findings)
            meter = meters.get(charge.meter)
            if meter is None:
                continue
            digits = max(digits, meter.digits)
            if first is not None and first[1] != meter.unit:
                what = f'"{name}" counts {meter.unit}s and "{first[0]}" {first[1]}s'
                findings.add(here, what, "a pool holds one unit; make a pool for each")
            first = first or (name, meter.unit)
        if first is not None and (pool.included * 10**digits).denominator != 1:
            findings.add(
                place.at("included"),
                f"{decimal_text(pool.included)} is finer than the {digits} decimals of a {first[1]} that are counted",
                'round it, or give the meter a finer "resolution"',
            )


def _whole(
    key: str, written: Mapping[str, Written], plans: Mapping[str, Plan | None], trail: tuple[str, ...]
) -> Plan | None:
    plan, one = plans.get(key), written.get(key)
    if plan is None or one is None or key in trail:
        return None
    parts = [_whole(name, written, plans, (*trail, key)) for name in one.spec.bundle]
    others = [part for part in parts if part is not None]
    if len(others) < len(parts):
        return None
    return replace(
        plan,
        cards=plan.cards + tuple(card for other in others for card in other.cards),
        fees=plan.fees + tuple(fee for other in others for fee in _fees(other)),
        pools=plan.pools + tuple(pool for other in others for pool in other.pools),
    )


def _fees(plan: Plan) -> tuple[Fee, ...]:
    """Its fees as another plan has them, where its own needs a key."""
    return tuple(replace(fee, key=fee.key or plan.key) for fee in plan.all_fees)
