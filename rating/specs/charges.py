"""A charge as written becomes a RateCard, or findings about what it refers to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from rating.core.meters import Meter
from rating.core.money import decimal_text
from rating.core.periods import align, stamp
from rating.core.ratecards import RateCard
from rating.core.tiers import Beyond
from rating.specs.agreements import adjustments_of, commitment_of, conversion_of
from rating.specs.fields import duration_text
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.prices import price_of
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
    if charge.conversion is None and (charge.included * 10**meter.digits).denominator != 1:
        findings.add(
            place.at("included"),
            f"{decimal_text(charge.included)} is finer than the meter's {meter.digits} decimals of a {meter.unit}",
            'round it, or give the meter a finer "resolution"',
        )
    if charge.maximum is not None and charge.minimum is not None and charge.maximum < charge.minimum:
        findings.add(
            place.at("maximum"),
            f"{decimal_text(charge.maximum)} is less than the minimum {decimal_text(charge.minimum)}",
            "a minimum applies after the cap, so nothing else would ever be owed",
        )
    since = None if charge.since is None else instant_of(charge.since, zone)
    if since is not None:
        on_a_window(since, [meter], place.at("from"), findings)
    if findings.count > before:
        return None
    return RateCard(
        key=charge.key or charge.meter,
        title=charge.name or charge.meter,
        meter=meter,
        price=price_of(charge),
        included=charge.included,
        conversion=conversion_of(charge.conversion),
        commitment=commitment_of(charge.commitment),
        adjustments=adjustments_of(charge.discounts, charge.maximum, charge.minimum),
        since=since,
    )


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
