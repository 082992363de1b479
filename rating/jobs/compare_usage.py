"""Compare usage: what a gateway that rates by itself counts for each customer and hour, beside our closed windows.

Reads both sides, changes neither. Hours that were not told yet, or have changed since they were, are under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from rating.core.meters import Meter
from rating.core.offers import RemoteContract, RemoteMeter
from rating.core.parity import Difference, Differs
from rating.core.periods import Period, from_seconds, stamp
from rating.core.publications import customer_subject, subscription_subject
from rating.core.usageevents import Counted, buckets, events
from rating.core.windows import Usage
from rating.errors import Finding
from rating.jobs.contracts import Contracts
from rating.jobs.offer import offered
from rating.ports import Book, Reconcilable, UsageGateway


def compare_usage(
    book: Book,
    contracts: Contracts,
    gateway: UsageGateway,
    reading: Reconcilable,
    *,
    takes: Callable[[str], bool],
    now: datetime,
) -> Iterator[Differs]:
    """Every meter of every contract that stands there, in the billing periods of which usage may still be told."""
    wanted = offered(contracts, gateway, takes=takes, now=now).contracts
    names = {(one.subject, one.part): one.name for one in book.remote_names(gateway.name)}
    told = book.finished(gateway.name, "usage")
    for contract in wanted:
        begun = names.get((subscription_subject(contract.subscription), "start"))
        customer = names.get((customer_subject(contract.customer), ""))
        if begun is None or customer is None:
            continue
        for remote in dict.fromkeys(contract.offer.meters):
            name = names.get((f"meter/{remote.key}", ""))
            meter = contracts.current.meters.get(remote.meter)
            if name is None or meter is None:
                continue
            for period in contract.periods:
                # From the first whole hour on: what was used before is billed elsewhere.
                since = max(period.start, from_seconds(int(begun)))
                until = min(period.end, now.replace(minute=0, second=0, microsecond=0))
                if since < until:
                    span = Period(since, until)
                    mine, under_way = _hours(book, wanted, contract, remote, meter, told, span)
                    there = dict(reading.usage(name, customer, span))
                    yield from _differing(gateway.name, contract, remote, span, mine, there, under_way)


def _differing(
    gateway: str,
    contract: RemoteContract,
    remote: RemoteMeter,
    span: Period,
    mine: Mapping[datetime, int],
    there: Mapping[datetime, int],
    under_way: frozenset[datetime],
) -> Iterator[Differs]:
    hours = [hour for hour in sorted(mine.keys() | there.keys()) if hour not in under_way]
    differ = [hour for hour in hours if mine.get(hour, 0) != there.get(hour, 0)]
    if differ:
        ours, theirs = (sum(side.get(hour, 0) for hour in differ) for side in (mine, there))
        finding = Finding(
            f"usage of {contract.customer}, {remote.key}",
            f"{ours} units by our book and {theirs} at {gateway} in {len(differ)} hours of {span}, "
            f"first that from {stamp(differ[0])}",
            "somebody told it usage by hand, or it declined ours: see `rating publish --parked`",
        )
        yield Differs(Difference.USAGE, finding)


def _hours(
    book: Book,
    wanted: tuple[RemoteContract, ...],
    contract: RemoteContract,
    remote: RemoteMeter,
    meter: Meter,
    told: frozenset[str],
    span: Period,
) -> tuple[Mapping[datetime, int], frozenset[datetime]]:
    """What it should count by hour, and the hours that are not judged."""
    rows: dict[datetime, list[tuple[datetime, Usage]]] = {}
    for row in book.usage(span, meter.name):
        hour = row.window.start.replace(minute=0, second=0, microsecond=0)
        rows.setdefault(hour, []).append((row.window.start, row.usage))
    adjustments = [entry.adjustment for entry in book.adjustments(span, meter.name)]
    found: dict[datetime, int] = {}
    under_way = set()
    counted = Counted(wanted)
    for bucket in buckets(meter.name, book.closed(meter.name, span), adjustments):
        if bucket.subject not in told:
            under_way.add(bucket.hour)
            continue
        for event in events(bucket, rows.get(bucket.hour, ()), counted, meter.dimensions, known=False):
            if (event.meter, event.customer) == (remote.key, contract.customer):
                found[bucket.hour] = event.value
    return found, frozenset(under_way)
