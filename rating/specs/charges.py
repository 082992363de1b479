"""A charge as written becomes a RateCard, or findings about what it refers to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from rating.core.meters import Meter
from rating.core.money import decimal_text
from rating.core.periods import align, stamp
from rating.core.prices.bands import Bands
from rating.core.ratecards import RateCard
from rating.core.tiers import Beyond
from rating.specs.agreements import adjustments_of, conversion_of, promise_of, share_of, taxes_of
from rating.specs.fields import duration_text
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.prices import QuantityPriceSpec, price_of
from rating.specs.schema import ChargeSpec

Meters = Mapping[str, Meter | None]
"""Every meter defined, None where its own definition is wrong."""


def charges_of(entries: Any, place: Place, findings: Findings, meters: Meters) -> list[ChargeSpec | None]:
    """Each charge of the list at `place` by itself, None where it is wrong; its meter is looked up either way."""
    charges = []
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        meter = entry.get("meter") if isinstance(entry, dict) else None
        if isinstance(meter, str) and meter not in meters:
            findings.add(place.at(i, "meter"), f'no meter is called "{meter}"', or_one_of(meter, meters))
        charges.append(findings.checked(ChargeSpec, entry, place.at(i)))
    return charges


def card_of(charge: ChargeSpec, place: Place, findings: Findings, meters: Meters, zone: ZoneInfo) -> RateCard | None:
    """The card, or None after a finding or where its meter is wrong itself."""
    before = findings.count
    _last_tier(charge, place, findings)
    meter = meters.get(charge.meter)
    if meter is None:
        return None
    for key, units in (("included", charge.included), ("usage_discount", charge.usage_discount)):
        if charge.conversion is None and (units * 10**meter.digits).denominator != 1:
            findings.add(
                place.at(key),
                f"{decimal_text(units)} is finer than the meter's {meter.digits} decimals of a {meter.unit}",
                'round it, or give the meter a finer "resolution"',
            )
    _limit(charge, place.at("limit"), findings)
    _rollover(charge, place.at("rollover"), findings)
    if charge.maximum is not None and charge.minimum is not None and charge.maximum < charge.minimum:
        findings.add(
            place.at("maximum"),
            f"{decimal_text(charge.maximum)} is less than the minimum {decimal_text(charge.minimum)}",
            "a minimum applies after the cap, so nothing else would ever be owed",
        )
    _mixed(charge, meter, place, findings, zone)
    if charge.commitment is not None and charge.ramp is not None:
        findings.add(place.at("ramp"), "a commitment and a ramp are both written", "keep one of them")
    since = None if charge.since is None else instant_of(charge.since, zone)
    if since is not None:
        on_a_window(since, [meter], place.at("from"), findings)
    if findings.count > before:
        return None
    return RateCard(
        key=charge.key or charge.meter,
        title=charge.name or charge.meter,
        meter=meter,
        price=price_of(charge, zone),
        included=charge.included,
        conversion=conversion_of(charge.conversion),
        usage_discount=charge.usage_discount,
        commitment=promise_of(charge.commitment, charge.ramp),
        adjustments=adjustments_of(charge.discounts, charge.maximum, charge.minimum),
        taxes=taxes_of(charge.taxes),
        rollover=charge.rollover,
        revenue_share=share_of(charge.share),
        limit=charge.limit,
        since=since,
    )


def _prices(charge: ChargeSpec, place: Place) -> Iterator[tuple[QuantityPriceSpec, Place]]:
    """The price of the charge, or each of those inside its matrix or its times."""
    yield charge, place
    if charge.matrix is not None:
        here = place.at("matrix")
        yield from ((cell, here.at("cells", i)) for i, cell in enumerate(charge.matrix.cells))
        if charge.matrix.default is not None:
            yield charge.matrix.default, here.at("default")
    if charge.times is not None:
        here = place.at("times")
        yield from ((band, here.at("bands", i)) for i, band in enumerate(charge.times.bands))
        yield charge.times.otherwise, here.at("otherwise")


def _last_tier(charge: ChargeSpec, place: Place, findings: Findings) -> None:
    """A quantity beyond the last tier would stop the bill, so an author who closes that tier says it on purpose."""
    for price, here in _prices(charge, place):
        for kind in ("graduated", "volume", "stairstep", "graduated_percentage"):
            tiers = getattr(price, kind)
            if tiers and tiers[-1].up_to is not None and "beyond" not in price.model_fields_set:
                findings.add(
                    here.at(kind, len(tiers) - 1, "up_to"),
                    f"tier {len(tiers)} ends at {decimal_text(tiers[-1].up_to)} and nothing says what more usage costs",
                    f'leave its up_to out, or add "beyond": {", ".join(Beyond)}',
                )


def _limit(charge: ChargeSpec, place: Place, findings: Findings) -> None:
    if charge.limit is None:
        return
    if charge.limit <= 0:
        findings.add(place, "a limit of 0 is reached before any use", "write more than 0, or leave it out")
    elif charge.conversion is None and charge.limit < charge.included:
        findings.add(
            place,
            f"{decimal_text(charge.limit)} units may be used, but {decimal_text(charge.included)} are included",
            "raise the limit, or include no more than it",
        )


def _rollover(charge: ChargeSpec, place: Place, findings: Findings) -> None:
    """What is left over is counted in the meter's units, as one number."""
    if not charge.rollover:
        return
    if charge.conversion is not None:
        findings.add(
            place,
            "what is left of converted units cannot be carried over",
            "write included and the price in the meter's own unit, without a conversion",
        )
    if is_mixed(charge):
        findings.add(
            place,
            "units cannot be carried over where their price depends on what they are or when they were used",
            "remove rollover, or give each kind a meter and a charge of its own",
        )
    if not charge.included:
        findings.add(place, "no units are included, so none are ever left", 'add "included", or remove rollover')


def poolable(name: str, versions: Sequence[ChargeSpec], place: Place, findings: Findings) -> None:
    """A pool is one number of the meter's units."""
    if any(is_mixed(charge) for charge in versions):
        findings.add(
            place,
            f'the price of "{name}" depends on what its units are or when they were used, so which of them the pool '
            "pays for would change the bill",
            "leave it out, or give it included units of its own",
        )
    if any(charge.conversion is not None for charge in versions):
        findings.add(
            place,
            f'"{name}" is priced in converted units, the pool holds counted ones',
            "leave it out, or price it in the meter's own unit",
        )


def is_mixed(charge: ChargeSpec) -> bool:
    """Does its price depend on more than how much was used?"""
    return charge.matrix is not None or charge.times is not None


def _mixed(charge: ChargeSpec, meter: Meter, place: Place, findings: Findings, zone: ZoneInfo) -> None:
    """What a price by dimension or by time asks of the meter."""
    if charge.matrix is not None:
        for i, label in enumerate(charge.matrix.by):
            if label not in meter.dimensions:
                hint = or_one_of(label, meter.dimensions, f'add it to the dimensions of meter "{meter.name}"')
                findings.add(place.at("matrix", "by", i), f'the meter does not keep the label "{label}"', hint)
    if charge.times is not None:
        names = [band.name for band in charge.times.bands]
        for i, band in enumerate(charge.times.bands):
            here = place.at("times", "bands", i)
            if band.name in (*names[:i], Bands.OTHERWISE):
                findings.add(here.at("name"), f'"{band.name}" is the name of another band', "give it its own name")
            for key in ("start", "end"):
                _band_on_a_window(getattr(band, key), meter, charge.times.timezone or zone, here.at(key), findings)
    promises = [(charge.commitment, place.at("commitment"))] if charge.commitment is not None else []
    promises += [(step, place.at("ramp", i)) for i, step in enumerate(charge.ramp or [])]
    for promise, here in promises:
        if promise.quantity is None or not is_mixed(charge):
            continue
        findings.add(
            here.at("quantity"),
            "units cannot be promised where their price depends on what they are or when they were used",
            "promise an amount of money",
        )


def _band_on_a_window(clock: time, meter: Meter, zone: ZoneInfo, place: Place, findings: Findings) -> None:
    """A window's usage is not cut in two, so a band begins where windows do, in summer and in winter."""
    for month in (1, 7):
        instant = datetime(2026, month, 1, clock.hour, clock.minute, tzinfo=zone).astimezone(UTC)
        if align(instant, meter.window) != instant:
            window = f'a window of {duration_text(meter.window)} of meter "{meter.name}"'
            findings.add(place, f"{clock:%H:%M} in {zone.key} lies inside {window}", "shorten the window")
            return


def instant_of(moment: date | datetime, zone: ZoneInfo) -> datetime:
    """An instant as it is; a day as its midnight in the zone."""
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time(), zone).astimezone(UTC)


def on_a_window(instant: datetime, meters: Sequence[Meter], place: Place, findings: Findings) -> bool:
    """A window belongs to one contract whole, so contracts change where windows do. True when it is on one."""
    for meter in meters:
        if align(instant, meter.window) != instant:
            findings.add(
                place,
                f'{stamp(instant)} UTC lies inside a window of {duration_text(meter.window)} of meter "{meter.name}"',
                f"write {stamp(align(instant, meter.window))} UTC, or shorten the window",
            )
            return False
    return True
