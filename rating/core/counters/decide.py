"""Decides one window of one meter: what was counted, for whom, and how far it may be believed.

The one place where readings become usage. What a single counter counted is `rebuild`, how many scrapes there were
`coverage`; pricing knows nothing of any of it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

from rating.core.counters.accounts import Account, Accounts
from rating.core.counters.coverage import Scrapes, scrapes
from rating.core.counters.epochs import Processes
from rating.core.counters.identities import METRIC_NAME, Name, Naming
from rating.core.counters.numbers import EXACT
from rating.core.counters.readings import Readings, Series
from rating.core.counters.rebuild import Rebuilt, rebuild
from rating.core.meters import BirthPolicy, Lifetime, Meter
from rating.core.money import decimal_text, fixed_point
from rating.core.periods import Period, milliseconds
from rating.core.windows import Closing, Completeness, Evidence, Held, Usage

RELEASED = "released although"
"""Begins the note of a window that was closed by a person in spite of its doubts."""


def decide(meter: Meter, window: Period, readings: Readings, *, released: bool = False) -> Closing | Held:
    """Close the window, or say why it is held.

    A person who has looked may release it: then it closes as degraded, with the reason among the evidence.

    Usage is summed per consumer and dimensions, sorted, zeros left out. Every counter behind it is either clean (one
    subtraction, done with the partition) or rebuilt here from its samples.
    """
    start, end = milliseconds(window.start), milliseconds(window.end)
    naming = Naming(meter)
    rebuilt = _rebuild_all(meter, naming, readings, start, end)
    interval = meter.scrape_interval // timedelta(milliseconds=1)
    found = scrapes(
        naming,
        readings.up,
        readings.alive,
        start=start,
        end=end,
        interval=interval,
        seen_from=readings.seen_from,
    )
    unseen = sum(result.unseen for _, result in rebuilt)
    if meter.lifetime is Lifetime.PROCESS:
        unseen += _left_behind(readings, rebuilt, found, interval)
    evidence = _evidence(readings, rebuilt, found, unseen)
    reason = _reason_to_hold(meter, readings, rebuilt, evidence)
    if reason and not released:
        return Held(meter.name, window, reason, evidence)
    completeness = _completeness(evidence)
    if reason:
        completeness = Completeness.DEGRADED
        # What to do about it has been done: the note keeps what was wrong.
        evidence = replace(evidence, notes=(*evidence.notes, f"{RELEASED} {reason.rpartition('; ')[0]}"))
    return Closing(meter.name, window, completeness, _sum(meter, readings.clean, rebuilt), evidence)


def _rebuild_all(meter: Meter, naming: Naming, readings: Readings, start: int, end: int) -> list[tuple[Name, Rebuilt]]:
    if not meter.added_metrics:
        return _rebuild_one(meter, naming, readings, start, end)
    rebuilt = []
    for metric in meter.metrics:
        # Apart, for a counter of one metric is neither a replica nor the former self of another's with equal labels.
        own = [series for series in readings.series if series.labels.get(METRIC_NAME) == metric]
        rebuilt += _rebuild_one(meter, naming, replace(readings, series=own), start, end)
    return rebuilt


def _rebuild_one(meter: Meter, naming: Naming, readings: Readings, start: int, end: int) -> list[tuple[Name, Rebuilt]]:
    members: dict[tuple[tuple[str, str], ...], list[tuple[Name, Series]]] = defaultdict(list)
    for series in readings.series:
        name = naming.name(series.labels)
        members[name.identity].append((name, series))
    processes = Processes(naming, readings.starts)
    sighted = _sightings(naming, readings)
    places: dict[tuple[object, ...], list[list[tuple[Name, Series]]]] = defaultdict(list)
    for group in members.values():
        for place in {(name.target, name.consumer, name.dimensions) for name, _ in group}:
            places[place].append(group)
    rebuilt = []
    for _, group in sorted(members.items()):
        name = group[0][0]
        siblings = [other for other in places[name.target, name.consumer, name.dimensions] if other is not group]
        span = {"start": start, "end": end, "seen_from": readings.seen_from}
        rebuilt.append((name, rebuild(meter, group, processes, sighted, siblings, **span)))
    return rebuilt


def _sightings(naming: Naming, readings: Readings) -> dict[tuple[str, ...], int]:
    """When each target was first seen scraped successfully, as far as we know."""
    sighted = dict(readings.sighted)
    for series in readings.up:
        target = naming.target(series.labels)
        for time, up in zip(series.times, series.units, strict=True):
            if up == 1:
                sighted[target] = min(time, sighted.get(target, time))
                break
    return sighted


def _sum(meter: Meter, clean: Iterable[Usage], rebuilt: Iterable[tuple[Name, Rebuilt]]) -> tuple[Usage, ...]:
    accounts = Accounts(meter)
    totals: dict[Account, int] = defaultdict(int)
    for consumer, dimensions, quantity in clean:
        totals[accounts.of(consumer, dimensions)] += quantity
    for name, counted in rebuilt:
        totals[accounts.of(name.consumer, name.dimensions)] += counted.usage
    return tuple(Usage(*key, quantity) for key, quantity in sorted(totals.items()) if quantity)


def _left_behind(readings: Readings, rebuilt: list[tuple[Name, Rebuilt]], found: Scrapes, interval: int) -> int:
    """What targets that went away may have counted after their last scrapes: one interval at the pace of each.

    At least one, also of a target that seemed idle: only the window of which nothing can be missing is complete.
    """
    counted: dict[tuple[str, ...], int] = defaultdict(int, readings.clean_by_target)
    for name, result in rebuilt:
        counted[name.target] += result.usage
    return sum(max(1, -(-counted[target] * interval // life)) for target, life in found.gone.items())


def _evidence(readings: Readings, rebuilt: list[tuple[Name, Rebuilt]], found: Scrapes, unseen: int) -> Evidence:
    counted = [result for _, result in rebuilt]
    notes = list(readings.infos)
    if not readings.up:
        notes.append("no up series of the meter's targets: coverage cannot be judged")
    return Evidence(
        queries=readings.queries,
        identities=readings.clean_identities + sum(result.samples > 0 for result in counted),
        samples=sum(result.samples for result in counted),
        resets=sum(result.resets for result in counted),
        births=sum(result.births for result in counted),
        baselines=sum(result.unproven for result in counted),
        scrapes_seen=found.seen,
        scrapes_expected=found.expected,
        unseen=unseen,
        warnings=readings.warnings,
        notes=tuple(notes),
        digest=digest(readings),
    )


def _reason_to_hold(
    meter: Meter, readings: Readings, rebuilt: list[tuple[Name, Rebuilt]], evidence: Evidence
) -> str | None:
    if readings.warnings:
        # A partial answer of a sharded source under-bills in silence.
        return f"the source doubts its own answer: {'; '.join(readings.warnings)}; retry when it is whole again"
    counts = readings.counts
    if counts is not None and counts.clean + counts.rebuilt != counts.all:
        return (
            f"{counts.clean} clean and {counts.rebuilt} rebuilt series do not make up all {counts.all}: "
            "the data changed between the queries; it is read again later"
        )
    largest = max([readings.largest, *(result.largest for _, result in rebuilt)])
    if largest >= EXACT:
        return (
            f"a counter of {_named(meter)} stands at {largest} times {decimal_text(meter.quantity(1))} {meter.unit}, "
            f"and a float64 counts single ones only up to {EXACT}; restart the counter or give the meter fewer digits"
        )
    if evidence.baselines and meter.births is BirthPolicy.HOLD:
        return (
            f"{evidence.baselines} counters of {_named(meter)} appeared with no sign of where they began; "
            "choose births: zero or baseline for this meter"
        )
    if evidence.coverage < meter.coverage:
        return (
            f"{evidence.scrapes_seen} of {evidence.scrapes_expected} expected scrapes were found "
            f"({_percent(evidence.coverage)}), the meter asks for {_percent(meter.coverage)}; "
            "release the window, or lower the meter's coverage"
        )
    return None


def _named(meter: Meter) -> str:
    return " or ".join(meter.metrics)


def _completeness(evidence: Evidence) -> Completeness:
    missed = evidence.scrapes_seen < evidence.scrapes_expected
    doubtful = missed or evidence.baselines or evidence.resets or evidence.unseen
    return Completeness.DEGRADED if doubtful else Completeness.COMPLETE


def _percent(share: Fraction) -> str:
    return f"{fixed_point(share * 100, 1)} %"


def digest(readings: Readings) -> str:
    """SHA-256 over the readings used: the clean counters' usage sorted, then each series sorted by its labels, label by
    label, followed by its samples in time order, all as text with control characters between.
    """
    hashed = hashlib.sha256()
    for consumer, dimensions, quantity in sorted(readings.clean):
        hashed.update("\x1f".join((consumer, *dimensions, str(quantity))).encode() + b"\x1e")
    for kind, group in (("series", readings.series), ("starts", readings.starts)):
        hashed.update(f"\x1d{kind}\x1d".encode())
        for labels, series in sorted((tuple(sorted(series.labels.items())), series) for series in group):
            hashed.update("\x1f".join(text for pair in labels for text in pair).encode() + b"\x1e")
            samples = zip(series.times, series.units, strict=True)
            hashed.update("\x1f".join(f"{time}={units}" for time, units in samples).encode() + b"\x1e")
    return hashed.hexdigest()
