"""Decides one window of one meter: what was counted, for whom, and how far it may be believed.

The one place where readings become usage. What a single counter counted is `rebuild`, how many scrapes there were
`coverage`; pricing knows nothing of any of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import numpy as np

from rating.core.counters.accounts import Account, Accounts
from rating.core.counters.bounds import Blind, blind, bound
from rating.core.counters.coverage import Scrapes, scrapes
from rating.core.counters.digests import digest
from rating.core.counters.epochs import Processes
from rating.core.counters.gauges import Scraped, integrate
from rating.core.counters.identities import METRIC_NAME, Name, Naming
from rating.core.counters.numbers import EXACT, scale_of
from rating.core.counters.policy import beyond_policy, completeness, percent
from rating.core.counters.readings import Clean, Readings, Series
from rating.core.counters.rebuild import Rebuilt, rebuild
from rating.core.counters.singles import singles
from rating.core.counters.tallies import Tally, added, tally, tally_columns
from rating.core.counters.traces import Traces
from rating.core.meters import BirthPolicy, Kind, Lifetime, Meter
from rating.core.money import decimal_text
from rating.core.periods import Period, milliseconds
from rating.core.windows import Closing, Completeness, Evidence, Held, Usage

RELEASED = "released although"
"""Begins the note of a window that was closed by a person in spite of its doubts."""


_Identity = tuple[tuple[str, str], ...]
_Members = dict[_Identity, list[tuple[Name, Series]]]


class _Measured(NamedTuple):
    """What one source says of the window."""

    readings: Readings
    counted: Tally
    """By the counters that were rebuilt."""
    scrapes: Scrapes
    unseen: int
    blind: Blind | None


def decide(meter: Meter, window: Period, readings: Readings, *, released: bool = False) -> Closing | Held:
    """Close the window, or say why it is held.

    A person who has looked may release it: then it closes as degraded, with the reason among the evidence.

    Usage is summed per consumer and dimensions, sorted, zeros left out. Every counter behind it is either clean (one
    subtraction, done with the partition) or rebuilt here from its samples. Shards are judged each by itself and added.
    """
    start, end = milliseconds(window.start), milliseconds(window.end)
    parts = [_measure(meter, part, start, end) for part in readings.shards or (readings,)]
    usage = _sum(meter, parts)
    evidence = _evidence(meter, readings, parts, end - start)
    reason = _reason_to_hold(meter, parts, evidence, usage)
    if reason and not released:
        return Held(meter.name, window, reason, evidence)
    state = completeness(evidence)
    if reason:
        state = Completeness.DEGRADED
        # What to do about it has been done: the note keeps what was wrong.
        evidence = replace(evidence, notes=(*evidence.notes, f"{RELEASED} {reason.rpartition('; ')[0]}"))
    return Closing(meter.name, window, state, usage, evidence)


def _measure(meter: Meter, readings: Readings, start: int, end: int) -> _Measured:
    naming = Naming(meter)
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
    if meter.kind is Kind.GAUGE:
        counted = tally(_integrate_all(meter, naming, readings, start, end))
        return _Measured(readings, counted, found, counted.unseen, None)
    counted = _rebuild_all(meter, naming, readings, start, end)
    unseen = counted.unseen
    if meter.lifetime is Lifetime.PROCESS:
        unseen += _left_behind(readings, counted, found, interval)
    unlit = None
    if meter.max_rate is not None:
        unexplained = bool(counted.falls or counted.unproven)
        unlit = blind(meter, readings, found, unexplained=unexplained, start=start, end=end)
    return _Measured(readings, counted, found, unseen, unlit)


def _integrate_all(
    meter: Meter, naming: Naming, readings: Readings, start: int, end: int
) -> list[tuple[Name, Rebuilt]]:
    scraped = Scraped(naming, readings.up, readings.alive)
    hold = meter.hold // timedelta(milliseconds=1)
    rebuilt = []
    for metric in meter.metrics:
        own = (series for series in readings.series if series.labels.get(METRIC_NAME, metric) == metric)
        for _, group in sorted(_members(naming, own).items()):
            rebuilt.append((group[0][0], integrate(group, scraped, start=start, end=end, hold=hold)))
    return rebuilt


def _rebuild_all(meter: Meter, naming: Naming, readings: Readings, start: int, end: int) -> Tally:
    if not meter.added_metrics:
        return _rebuild_one(meter, naming, readings, start, end)
    counted = Tally()
    for metric in meter.metrics:
        # Apart, for a counter of one metric is neither a replica nor the former self of another's with equal labels.
        own = [series for series in readings.series if series.labels.get(METRIC_NAME) == metric]
        counted = added(counted, _rebuild_one(meter, naming, replace(readings, series=own), start, end))
    return counted


def _rebuild_one(meter: Meter, naming: Naming, readings: Readings, start: int, end: int) -> Tally:
    """Counters that came as columns are rebuilt as columns; those that take more than that, one by one."""
    processes = Processes(naming, readings.starts)
    sighted = _sightings(naming, readings)
    span = {"start": start, "end": end, "seen_from": readings.seen_from}
    if not isinstance(readings.series, Traces):
        return tally(_rebuild_each(meter, _members(naming, readings.series), processes, sighted, (), **span))
    found = singles(meter, readings.series, processes, sighted, **span)
    together = tally_columns(readings.series, found)
    if found.settled.all():
        return together
    near = readings.series.beside(~found.settled)
    left = [*readings.series.where(near)]
    settled = {
        naming.identity(one.labels) for one, done in zip(left, found.settled[near].tolist(), strict=True) if done
    }
    rest = _rebuild_each(meter, _members(naming, left), processes, sighted, settled, **span)
    return added(together, tally(rest))


def _members(naming: Naming, series: Iterable[Series]) -> _Members:
    """Series by identity."""
    members: _Members = defaultdict(list)
    for one in series:
        name = naming.name(one.labels)
        members[name.identity].append((name, one))
    return members


def _rebuild_each(
    meter: Meter,
    members: _Members,
    processes: Processes,
    sighted: Mapping[tuple[str, ...], int],
    settled: Collection[_Identity],
    *,
    start: int,
    end: int,
    seen_from: int,
) -> Iterator[tuple[Name, Rebuilt]]:
    """All but those settled, which are somebody's siblings."""
    places: dict[tuple[object, ...], list[list[tuple[Name, Series]]]] = defaultdict(list)
    for group in members.values():
        for place in {(name.target, name.consumer, name.dimensions) for name, _ in group}:
            places[place].append(group)
    for identity, group in sorted(members.items()):
        if identity in settled:
            continue
        name = group[0][0]
        siblings = [other for other in places[name.target, name.consumer, name.dimensions] if other is not group]
        yield name, rebuild(meter, group, processes, sighted, siblings, start=start, end=end, seen_from=seen_from)


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


_usage: Callable[[tuple[str, tuple[str, ...], int]], Usage] = partial(tuple.__new__, Usage)


def _sum(meter: Meter, parts: Sequence[_Measured]) -> tuple[Usage, ...]:
    accounts = Accounts(meter)
    columns = [_columns(part) for part in parts]
    if accounts.plain and len(parts) == 1 and not parts[0].counted.accounts and isinstance(columns[0], Clean):
        # Sorted, and each account once: a hundred thousand of them need no dictionary.
        # As Usage(...) makes them, without its detour.
        return tuple([_usage((*account, quantity)) for account, quantity in _summed(columns[0])])
    totals: dict[Account, int] = defaultdict(int)
    for part, clean in zip(parts, columns, strict=True):
        for (consumer, dimensions), quantity in _summed(clean):
            totals[accounts.of(consumer, dimensions)] += quantity
        for (consumer, dimensions), quantity in part.counted.accounts:
            totals[accounts.of(consumer, dimensions)] += quantity
    return tuple([Usage(*key, quantity) for key, quantity in sorted(totals.items()) if quantity])


def _columns(part: _Measured) -> Sequence[Usage]:
    """What its clean counters counted, and what those did that were rebuilt as columns."""
    clean, rebuilt = part.readings.clean, part.counted.columns
    if rebuilt is None:
        return clean
    if isinstance(clean, Clean) and clean.ledger is rebuilt.ledger:
        return Clean.joined(rebuilt.ledger, [clean, rebuilt])
    return [*clean, *rebuilt]


def _summed(clean: Sequence[Usage]) -> Iterator[tuple[Account, int]]:
    """What each account counted; of columns each account once, sorted, zeros left out."""
    if not isinstance(clean, Clean):
        yield from (((consumer, dimensions), quantity) for consumer, dimensions, quantity in clean)
        return
    numbers, sums = clean.sums()
    order = np.argsort(clean.ledger.ranks()[numbers])
    accounts = clean.ledger.accounts
    yield from zip([accounts[number] for number in numbers[order].tolist()], sums[order].tolist(), strict=True)


def _left_behind(readings: Readings, rebuilt: Tally, found: Scrapes, interval: int) -> int:
    """What targets that went away may have counted after their last scrapes: one interval at the pace of each.

    At least one, also of a target that seemed idle: only the window of which nothing can be missing is complete.
    """
    clean = readings.clean_by_target
    counted = {target: clean.get(target, 0) + rebuilt.targets.get(target, 0) for target in found.gone}
    return sum(max(1, -(-counted[target] * interval // life)) for target, life in found.gone.items())


def _evidence(meter: Meter, readings: Readings, parts: Sequence[_Measured], length: int) -> Evidence:
    counted = [part.counted for part in parts]
    notes = list(readings.infos)
    if not all(part.readings.up for part in parts):
        notes.append("no up series of the meter's targets: coverage cannot be judged")
    blinds = [part.blind for part in parts if part.blind is not None]
    lost = tail = None
    if meter.max_rate is not None and blinds:
        lost = bound(meter.max_rate, meter.digits, (span for one in blinds for span in one.lost), length)
        tail = bound(meter.max_rate, meter.digits, [max(one.tail for one in blinds)], length)
    return Evidence(
        queries=readings.queries,
        identities=sum(part.readings.clean_identities + part.counted.identities for part in parts),
        samples=sum(result.samples for result in counted),
        resets=sum(result.resets for result in counted),
        births=sum(result.births for result in counted),
        baselines=sum(result.unproven for result in counted),
        scrapes_seen=sum(part.scrapes.seen for part in parts),
        scrapes_expected=sum(part.scrapes.expected for part in parts),
        unseen=sum(part.unseen for part in parts),
        warnings=readings.warnings,
        notes=tuple(notes),
        bound=lost,
        tail=tail or 0,
        uncovered=sum(result.uncovered for result in counted),
        digest=digest(readings, gauges=meter.kind is Kind.GAUGE),
    )


def _reason_to_hold(meter: Meter, parts: Sequence[_Measured], evidence: Evidence, usage: Sequence[Usage]) -> str | None:
    if evidence.warnings:
        # A partial answer of a sharded source under-bills in silence.
        return f"the source doubts its own answer: {'; '.join(evidence.warnings)}; retry when it is whole again"
    for part in parts:
        counts = part.readings.counts
        if counts is not None and counts.clean + counts.rebuilt != counts.all:
            return (
                f"{counts.clean} clean and {counts.rebuilt} rebuilt series do not make up all {counts.all}: "
                "the data changed between the queries; it is read again later"
            )
    counted = [part.counted for part in parts]
    largest = max([*(part.readings.largest for part in parts), *(result.largest for result in counted)])
    if largest >= scale_of(meter).exact:
        return (
            f"a {meter.kind} of {_named(meter)} stands at {largest} times {_step(meter)} {meter.unit}, "
            f"and a float64 counts single ones only up to {EXACT}; restart the counter or give the meter fewer digits"
        )
    lowest = min((result.lowest for result in counted), default=0)
    if lowest < 0:
        return (
            f"a gauge of {_named(meter)} stood at {lowest} times {_step(meter)} {meter.unit}, and less than nothing "
            "cannot be used; bill another metric, or release the window"
        )
    survivors = _survivors(meter, parts)
    if survivors:
        return (
            f"counters of {_named(meter)} went on exactly where they stood though their process restarted "
            f"({survivors}), and each restart would bill their whole totals again; if they outlive it "
            "(a DurableStore, a leader's state) write `counter: durable` in the meter, if not, release the window"
        )
    if evidence.baselines and meter.births is BirthPolicy.HOLD:
        return (
            f"{evidence.baselines} counters of {_named(meter)} appeared with no sign of where they began; "
            "choose births: zero or baseline for this meter"
        )
    if evidence.coverage < meter.coverage:
        return (
            f"{evidence.scrapes_seen} of {evidence.scrapes_expected} expected scrapes were found "
            f"({percent(evidence.coverage)}), the meter asks for {percent(meter.coverage)}; "
            "release the window, or lower the meter's coverage"
        )
    return beyond_policy(meter, evidence, usage)


def _named(meter: Meter) -> str:
    return " or ".join(meter.metrics)


def _step(meter: Meter) -> str:
    """The resolution of one reading."""
    return decimal_text(Fraction(1, 10**meter.reading_digits))


def _survivors(meter: Meter, parts: Sequence[_Measured]) -> str:
    """Targets all of whose counters outlived a restart under a meter that says they do not; empty where none did.

    A counter that begins anew stands exactly where its former self did only by accident: one that stands at a hundred
    or more, while none beside it fell, is no accident. Below that, a total billed again is small.
    """
    least = 100 * scale_of(meter).factor
    stood = {target for part in parts for target, units in part.counted.stood.items() if units >= least}
    found = sorted(" ".join(target) for target in stood.difference(*(part.counted.fell for part in parts)))
    return ", ".join(found[:_SURVIVORS]) + (f" and {len(found) - _SURVIVORS} more" if len(found) > _SURVIVORS else "")


_SURVIVORS = 3
