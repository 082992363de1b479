"""Usage events: closed windows as a gateway is told them, one whole number for each customer, meter and hour, or day.

Decides what is added up into one event, what its name is and which events a correction needs. A gateway of this kind
keeps the last number it was told for an hour: telling it twice is nothing, and a correction tells the hour's new total,
zero where nothing is left of it. Nothing is ever taken back by another call, which would have to come within a day.

A window of an hour or longer is one event in the hour it begins in; shorter ones are summed to their hour. A gateway
whose grain is a day is told days of UTC instead; all that is said of hours here holds for its days.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from rating.core.canonical import digest
from rating.core.offers import RECENT, RemoteContract, RemoteMeter
from rating.core.periods import Period, align
from rating.core.publications import usage_subject
from rating.core.windows import Adjustment, Usage

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
INSIDE = timedelta(seconds=1)
"""How far inside its window an event lies, so that no rule about bounds decides which period it belongs to."""
OLDEST = RECENT
"""Events from before that are not accepted."""
AHEAD = timedelta(minutes=5)
"""Nor are those from later than that, by the gateway's clock."""


_NAME = re.compile(r"rating:(?P<hour>\d{8}T\d{4}):(?P<revision>\d+)\.(?P<attempt>\d+):(?P<whom>[0-9a-f]{24})", re.ASCII)
"""As `event_name` writes it."""


class Share(NamedTuple):
    """What of an event was used under one contract."""

    subscription: str
    """The contract's."""
    products: tuple[str, ...]
    """What is sold by it under the contract: each is charged for all of it."""
    at: datetime
    """The middle of what the contract has of the hour: no clock or bound a little off makes it another period's."""
    value: int


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """What one customer used of one meter in one hour, as a whole number of metered units."""

    meter: str
    """The remote meter's key."""
    customer: str
    hour: datetime
    at: datetime
    """Inside the window."""
    value: int
    name: str
    """The same for the same number about the same hour, and for no other."""
    shares: tuple[Share, ...] = ()
    """By contract, for gateways that are told of subscriptions; they sum to the value."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One hour of one meter with the windows that begin in it."""

    meter: str
    hour: datetime
    first: datetime
    """The start of its first closed window."""
    windows: int
    revision: int
    """Grows with every window that is closed in it and every adjustment of one."""
    adjusted: tuple[Adjustment, ...] = ()
    grain: timedelta = HOUR

    @property
    def subject(self) -> str:
        return usage_subject(self.meter, self.hour, self.revision)

    @property
    def span(self) -> Period:
        """What its windows begin in."""
        return Period(self.hour, self.hour + self.grain)

    def of(self, customer: str) -> str:
        """The subject of one customer's event alone, where it had to be parked."""
        return f"{self.subject}/{customer}"


def buckets(
    meter: str, closed: Iterable[datetime], adjustments: Iterable[Adjustment], grain: timedelta = HOUR
) -> tuple[Bucket, ...]:
    """The hours of a meter with these closed windows, oldest first; or its days."""
    starts: dict[datetime, list[datetime]] = {}
    for start in closed:
        starts.setdefault(align(start, grain), []).append(start)
    adjusted: dict[datetime, list[Adjustment]] = {}
    for one in adjustments:
        adjusted.setdefault(align(one.window.start, grain), []).append(one)
    found = []
    for hour, theirs in sorted(starts.items()):
        changes = tuple(adjusted.get(hour, ()))
        found.append(Bucket(meter, hour, min(theirs), len(theirs), len(theirs) - 1 + len(changes), changes, grain))
    return tuple(found)


def bucket_of(subject: str) -> tuple[str, datetime, int, str] | None:
    """Meter, hour, revision and customer (empty for all) of a usage subject; None for any other subject."""
    kind, _, rest = subject.partition("/")
    words = rest.split("/", 3)
    if kind != "usage" or len(words) < 3:
        return None
    hour = datetime.fromisoformat(words[1])
    return words[0], hour, int(words[2]), words[3] if len(words) > 3 else ""


def runs(wanted: Sequence[Bucket]) -> Iterator[Sequence[Bucket]]:
    """Hours that follow each other, together: they are read at once."""
    begin = 0
    for place in range(1, len(wanted) + 1):
        if place == len(wanted) or wanted[place].hour - wanted[place - 1].hour > timedelta(days=1):
            yield wanted[begin:place]
            begin = place


class Counted:
    """Whose usage is told as what."""

    def __init__(self, contracts: Iterable[RemoteContract]) -> None:
        self._of: dict[str, list[RemoteContract]] = {}
        for contract in contracts:
            for consumer in {member.consumer for member in contract.members}:
                self._of.setdefault(consumer, []).append(contract)

    def told(self, meter: str, consumer: str, instant: datetime) -> Iterator[tuple[RemoteMeter, RemoteContract]]:
        """The remote meters and the contract that usage of a consumer at that instant belongs to."""
        for contract in self._of.get(consumer, ()):
            if any(member.consumer == consumer and member.holds(instant) for member in contract.members):
                for remote in dict.fromkeys(contract.offer.meters):
                    if remote.meter == meter:
                        yield remote, contract


def events(
    bucket: Bucket,
    rows: Iterable[tuple[datetime, Usage]],
    counted: Counted,
    dimensions: Sequence[str],
    *,
    known: bool,
    grown: bool = True,
) -> tuple[UsageEvent, ...]:
    """What a gateway is told of an hour, sorted by meter and customer.

    `rows` are the usage of its windows by their start, adjustments added; `dimensions` those of the meter, in their
    order. `known`: it was told of this hour before, so only customers of adjusted consumers are told again, and with
    zero where nothing is left; of an hour with several windows that has `grown` by one since, all of them.
    """
    totals: dict[tuple[str, str], dict[str, int]] = {}
    touched: set[tuple[str, str]] = set()
    contracts: dict[str, RemoteContract] = {}
    for change in bucket.adjusted:
        for row in change.rows:
            for remote, contract in counted.told(bucket.meter, row.consumer, change.window.start):
                touched.add((remote.key, contract.customer))
                if known:
                    contracts[contract.subscription] = contract
                    totals.setdefault((remote.key, contract.customer), {})[contract.subscription] = 0
    for start, usage in rows:
        for remote, contract in counted.told(bucket.meter, usage.consumer, start):
            if _matches(remote, dimensions, usage):
                contracts[contract.subscription] = contract
                theirs = totals.setdefault((remote.key, contract.customer), {})
                theirs[contract.subscription] = theirs.get(contract.subscription, 0) + usage.quantity
    if known and (bucket.windows == 1 or not grown):
        totals = {key: value for key, value in totals.items() if key in touched}
    return tuple(
        UsageEvent(
            key,
            customer,
            bucket.hour,
            bucket.first + INSIDE,
            sum(theirs.values()),
            event_name(key, customer, bucket),
            tuple(_share(bucket, contracts[one], key, value) for one, value in sorted(theirs.items())),
        )
        for (key, customer), theirs in sorted(totals.items())
    )


def _share(bucket: Bucket, contract: RemoteContract, meter: str, value: int) -> Share:
    products = tuple(price.product for price in contract.offer.prices if price.meter.key == meter)
    return Share(contract.subscription, products, middle(bucket.hour, contract, bucket.grain), value)


def middle(start: datetime, contract: RemoteContract, grain: timedelta) -> datetime:
    """The middle of what the contract has of an hour or a day."""
    begin, end = max(start, contract.start), start + grain
    if contract.end is not None:
        end = max(min(end, contract.end), begin)
    return begin + timedelta(seconds=(end - begin) // timedelta(seconds=2))


def fees(contract: RemoteContract, now: datetime, grain: timedelta = HOUR) -> Iterator[tuple[Bucket, UsageEvent]]:
    """One unit of each fee in arrears for each billing period that has begun and is billed."""
    (member, *_) = contract.members
    for meter in contract.offer.fees:
        for period in contract.periods:
            if period.start <= now and member.start < period.end and member.holds(max(period.start, member.start)):
                bucket = Bucket(meter.key, period.start, period.start, 1, 0, (), grain)
                name = event_name(meter.key, contract.customer, bucket)
                at = period.start + INSIDE
                yield (
                    bucket,
                    UsageEvent(
                        meter.key,
                        contract.customer,
                        bucket.hour,
                        at,
                        1,
                        name,
                        (_share(bucket, contract, meter.key, 1),),
                    ),
                )


def event_name(meter: str, customer: str, bucket: Bucket, attempt: int = 0) -> str:
    """The gateway refuses a name it has seen in the last day; an event it dropped needs another attempt's."""
    who = whom(meter, customer)
    return f"rating:{bucket.hour:%Y%m%dT%H%M}:{bucket.revision}.{attempt}:{who}"


def whom(meter: str, customer: str) -> str:
    """Meter and customer as they stand at the end of an event's name."""
    return digest(f"{meter}\n{customer}")[:24]


def named(name: str, known: Mapping[str, tuple[RemoteMeter, str]]) -> tuple[str, str] | None:
    """The usage subject of one customer's event, and the customer, by the event's name; None when it is not ours.

    `known` are remote meter and customer by `whom`.
    """
    found = _NAME.fullmatch(name)
    if found is None or found["whom"] not in known:
        return None
    remote, customer = known[found["whom"]]
    try:
        hour = datetime.strptime(f"{found['hour']}+0000", "%Y%m%dT%H%M%z")
    except ValueError:
        return None
    return f"{usage_subject(remote.meter or remote.key, hour, int(found['revision']))}/{customer}", customer


def attempt_of(name: str) -> int:
    """How often the number had failed before under other names; 0 for the name of something else."""
    found = _NAME.fullmatch(name)
    return 0 if found is None else int(found["attempt"])


def _matches(remote: RemoteMeter, dimensions: Sequence[str], usage: Usage) -> bool:
    return not remote.match or all(
        usage.dimensions[list(dimensions).index(dimension)] == value for dimension, value in remote.match
    )
