"""Report usage: closed windows to a gateway that rates by itself, after the subscriptions they belong to.

What is to be told follows from the book: every hour with closed windows, and every revision of it, that is not finished
there. An hour needs no entry before it is told: telling it again, however long after, is nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rating.core.meters import Meter
from rating.core.offers import Offered, RemoteContract
from rating.core.periods import Period, align, stamp
from rating.core.publications import Outcome, Progress, following, revivals
from rating.core.uncarried import Uncarried
from rating.core.usageevents import (
    AHEAD,
    HOUR,
    OLDEST,
    Bucket,
    Counted,
    UsageEvent,
    bucket_of,
    buckets,
    event_name,
    events,
    fees,
    runs,
)
from rating.core.windows import Usage
from rating.errors import EdgeUnavailable
from rating.jobs.carry_subscriptions import carry
from rating.jobs.contracts import Contracts
from rating.jobs.offer import offered
from rating.jobs.rounds import USAGE, Round
from rating.jobs.uncarried import left_out
from rating.ports import AdjustmentEntry, Book, UsageGateway

LOAD = 10_000
"""Events told before it is written down that they were: what a crash repeats at most."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What one round came to."""

    offered: Offered = field(default_factory=Offered)
    subscribed: tuple[tuple[str, str], ...] = ()
    """Subscription, and what was done; in a dry run what would be."""
    hours: int = 0
    """Of meters, told or found to have nothing to tell."""
    events: tuple[UsageEvent, ...] = ()
    parked: tuple[Progress, ...] = ()
    """What waits for a person since this round."""
    waiting: tuple[str, ...] = ()
    """What is kept for a later round, and why."""
    away: bool = False
    """Was the gateway not reached, or asked it to wait?"""
    uncarried: tuple[Uncarried, ...] = ()
    """What the customers have that the gateway is not told, until a person has seen to it."""


def report(
    book: Book,
    contracts: Contracts,
    gateway: UsageGateway,
    *,
    takes: Callable[[str], bool],
    now: datetime,
    clock: Callable[[], datetime] | None = None,
    stopping: Callable[[], bool] = lambda: False,
    dry_run: bool = False,
) -> Reported:
    """Carry what is due at `now`; nothing while somebody else does it. `takes` says which customers are this gateway's.

    A gateway that is away is left alone for the rest of the round. Entries are recorded as of `clock`, or `now`.
    """
    wanted = offered(contracts, gateway, takes=takes, now=now)
    if dry_run:
        return _reported(Round(book, gateway, now, lambda: now, stopping, dry=True), contracts, wanted)
    with book.claim(f"{USAGE}/{gateway.name}") as free:
        if not free:
            return Reported(wanted)
        return _reported(Round(book, gateway, now, clock or (lambda: now), stopping, dry=False), contracts, wanted)


def _reported(round: Round, contracts: Contracts, wanted: Offered) -> Reported:
    round.gather()
    uncarried = left_out(round.book, round.name, wanted, now=round.now)
    subscribed = carry(round, contracts, wanted, uncarried)
    usage = _Usage(round, contracts.current.meters)
    usage.tell([one for one in wanted.contracts if round.since(one) is not None])
    if round.away:
        round.waiting.append(round.away)
    return Reported(
        wanted,
        subscribed,
        usage.hours,
        tuple(usage.sent),
        tuple(round.parked),
        tuple(round.waiting),
        bool(round.away),
        uncarried,
    )


@dataclass(frozen=True, slots=True)
class _Load:
    """Events that are told together, and the subjects that are finished with them."""

    events: list[UsageEvent] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    whose: dict[str, str] = field(default_factory=dict)
    """By event name: the subject that is parked when the event is declined."""


class _Usage:
    def __init__(self, round: Round, meters: Mapping[str, Meter]) -> None:
        self._round, self._meters, self._grain = round, meters, round.gateway.grain
        self.hours = 0
        """Of meters, told or found to have nothing to tell."""
        self.sent: list[UsageEvent] = []

    @property
    def _span(self) -> str:
        return "hour" if self._grain == HOUR else "day"

    def tell(self, contracts: Sequence[RemoteContract]) -> None:
        done = self._round.book.finished(self._round.name, "usage")
        caught_up = self._round.book.finished(self._round.name, "backlog")
        known = {subject.rsplit("/", 1)[0] for subject in done if subject.count("/") == 3}
        self._held(contracts)
        fresh = [one for one in contracts if f"backlog/{one.subscription}" not in caught_up]
        load = _Load()
        for meter in sorted({m.meter for one in contracts for m in one.offer.meters if m.meter}):
            load = self._meter(meter, contracts, fresh, done, known, load)
        for contract in contracts:
            load = self._fees(contract, done, load)
        load = self._again(contracts, load)
        for contract in fresh:
            load.subjects.append(f"backlog/{contract.subscription}")
        self._tell(load)

    def _held(self, contracts: Sequence[RemoteContract]) -> None:
        """A window that is held is not told, and the gateway's invoice does not wait for it."""
        meters = {meter.meter for one in contracts for meter in one.offer.meters}
        for entry in self._round.book.held():
            held = entry.held
            periods = [p for one in contracts if (p := one.period_of(held.window.start)) is not None]
            if held.meter in meters and periods:
                final = min(period.end for period in periods) + self._round.gateway.grace
                self._round.waiting.append(
                    f"window {held.meter} {held.window} is held: {held.reason}; what it counted is billed there only "
                    f"if it is closed before {stamp(final)}"
                )

    def _meter(
        self,
        meter: str,
        contracts: Sequence[RemoteContract],
        fresh: Sequence[RemoteContract],
        done: frozenset[str],
        known: set[str],
        load: _Load,
    ) -> _Load:
        theirs = [one for one in contracts if any(m.meter == meter for m in one.offer.meters)]
        begins = min(since for one in theirs if (since := self._round.since(one)) is not None)
        span = Period(begins, max(begins, self._round.now))
        entries = self._round.book.adjustments(span, meter)
        adjustments = [entry.adjustment for entry in entries]
        hours = buckets(meter, self._round.book.closed(meter, span), adjustments, self._grain)
        everybody, newcomers = Counted(theirs), Counted([one for one in fresh if one in theirs])
        first = min((since for one in fresh if (since := self._round.since(one)) is not None), default=self._round.now)
        wanted = [
            bucket
            for bucket in hours
            if (bucket.subject not in done or (bucket.hour >= first and any(one in theirs for one in fresh)))
            and self._over(bucket)
        ]
        for run in runs([bucket for bucket in wanted if self._round.may(bucket.subject)]):
            rows = self._rows(meter, Period(run[0].hour, run[-1].span.end))
            for bucket in run:
                # Who came later than the others were told of this hour is told it alone.
                late = bucket.subject in done
                told = not late and _base(bucket) in known
                found = events(
                    bucket,
                    rows.get(bucket.hour, ()),
                    newcomers if late else everybody,
                    self._meters[meter].dimensions if meter in self._meters else (),
                    known=told,
                    grown=not told or self._grown(bucket, done, entries),
                )
                self._add(load, bucket, found, contracts, "" if late else bucket.subject)
                if len(load.events) >= LOAD:
                    load = self._tell(load)
        return load

    def _over(self, bucket: Bucket) -> bool:
        """Is a day over, with its last window closed or an hour late? An hour is told while it lasts."""
        if bucket.grain == HOUR:
            return True
        meter = self._meters.get(bucket.meter)
        whole = meter is None or bucket.windows * meter.window >= bucket.grain
        return bucket.span.end + (timedelta() if whole or meter is None else meter.settling + HOUR) <= self._round.now

    def _grown(self, bucket: Bucket, done: frozenset[str], adjusted: Sequence[AdjustmentEntry]) -> bool:
        """Was a window closed in it since it was told? When in doubt, yes: then all of it is told again."""
        told = next((one for one in range(bucket.revision - 1, -1, -1) if f"{_base(bucket)}/{one}" in done), None)
        entries = () if told is None else self._round.book.progressed(self._round.name, f"{_base(bucket)}/{told}")
        if told is None or not entries:
            return True
        changes = [one for one in adjusted if bucket.span.contains(one.adjustment.window.start)]
        return told + 1 - sum(one.at <= entries[-1].at for one in changes) != bucket.windows

    def _fees(self, contract: RemoteContract, done: frozenset[str], load: _Load) -> _Load:
        since = self._round.since(contract)
        for bucket, event in fees(contract, self._round.now, self._grain):
            subject = bucket.of(contract.customer)
            if not self._over(bucket):
                continue
            if since is not None and bucket.hour >= since and subject not in done and self._round.may(subject):
                if revivals(self._round.open.get(subject, ())):
                    continue
                self._add(load, bucket, (event,), [contract], subject)
        return load

    def _again(self, contracts: Sequence[RemoteContract], load: _Load) -> _Load:
        """Events of single customers that a person asked to tell again, under another name."""
        for subject, entries in sorted(self._round.open.items()):
            about = bucket_of(subject)
            attempt = revivals(entries)
            if about is None or not about[3] or not attempt or not self._round.may(subject):
                continue
            meter, hour, _, customer = about
            theirs = [one for one in contracts if one.customer == customer]
            found: list[tuple[Bucket, UsageEvent]] = [
                (bucket, event)
                for one in theirs
                for bucket, event in fees(one, self._round.now, self._grain)
                if (bucket.meter, bucket.hour) == (meter, hour)
            ]
            if not found:
                found = self._of_one(meter, hour, theirs)
            for bucket, event in found:
                name = event_name(event.meter, customer, bucket, attempt)
                self._add(load, bucket, (replace(event, name=name),), theirs, "", subject)
            load.subjects.append(subject)
        return load

    def _of_one(
        self, meter: str, hour: datetime, contracts: Sequence[RemoteContract]
    ) -> list[tuple[Bucket, UsageEvent]]:
        span = Period(hour, hour + self._grain)
        adjustments = [entry.adjustment for entry in self._round.book.adjustments(span, meter)]
        dimensions = self._meters[meter].dimensions if meter in self._meters else ()
        return [
            (bucket, event)
            for bucket in buckets(meter, self._round.book.closed(meter, span), adjustments, self._grain)
            for event in events(
                bucket, self._rows(meter, span).get(hour, ()), Counted(contracts), dimensions, known=False
            )
        ]

    def _rows(self, meter: str, span: Period) -> dict[datetime, list[tuple[datetime, Usage]]]:
        found: dict[datetime, list[tuple[datetime, Usage]]] = {}
        for row in self._round.book.usage(span, meter):
            hour = align(row.window.start, self._grain)
            found.setdefault(hour, []).append((row.window.start, row.usage))
        return found

    def _add(
        self,
        load: _Load,
        bucket: Bucket,
        found: Iterable[UsageEvent],
        contracts: Sequence[RemoteContract],
        subject: str,
        of_one: str = "",
    ) -> None:
        """Take what may still be told, and `subject` with it; park the rest, customer by customer.

        `of_one` is the subject of the one customer's event, where it is not the bucket's own.
        """
        for event in found:
            if event.at > self._round.now + AHEAD:
                self._round.waiting.append(f"{event.meter} of {stamp(event.hour)} lies ahead of the clock")
                return
        if subject:
            load.subjects.append(subject)
        for event in found:
            if self._before(event, contracts):
                continue
            own = of_one or bucket.of(event.customer)
            why = self._too_late(event, contracts)
            if why:
                self._round.park_once(own, why)
                if own in load.subjects:
                    load.subjects.remove(own)
            else:
                load.events.append(event)
                load.whose[event.name] = own

    def _before(self, event: UsageEvent, contracts: Sequence[RemoteContract]) -> bool:
        """Was the hour used before the gateway had the subscription? Then it is billed elsewhere."""
        theirs = [since for one in contracts if one.customer == event.customer and (since := self._round.since(one))]
        return bool(theirs) and event.hour < min(theirs)

    def _too_late(self, event: UsageEvent, contracts: Sequence[RemoteContract]) -> str:
        if event.at < self._round.now - OLDEST:
            return (
                f"{event.value} units of {event.meter} in the {self._span} from {stamp(event.hour)} are older than "
                f"the {OLDEST.days} days in which it is told; charge them there by an item, as our invoice has them"
            )
        for one in contracts:
            period = one.period_of(event.at) if one.customer == event.customer else None
            if period is not None and period.end + self._round.gateway.grace <= self._round.now:
                return (
                    f"{event.value} units of {event.meter} in the {self._span} from {stamp(event.hour)} are "
                    f"known since the invoice of {period} became final there; our next invoice settles what was "
                    "corrected later: charge or credit the difference there by an item"
                )
        return ""

    def _tell(self, load: _Load) -> _Load:
        """Tell a load and write down what came of it; returns an empty one."""
        if self._round.over or not (load.events or load.subjects):
            return _Load()
        if self._round.dry:
            self.sent += load.events
            self.hours += len(load.subjects)
            return _Load()
        try:
            declined = self._round.gateway.report(load.events, self._round.called)
        except EdgeUnavailable as error:
            for subject in load.subjects:
                if not subject.startswith("backlog/"):
                    self._round.failed(subject, self._round.open.get(subject, []), error)
            return _Load()
        refused = {load.whose[event.name]: why for event, why in declined}
        entries = [
            following(self._round.name, subject, self._round.entries(subject), Outcome.DONE, "told")
            for subject in load.subjects
            if subject not in refused
        ]
        parked = [
            following(self._round.name, subject, self._round.entries(subject), Outcome.REFUSED, why)
            for subject, why in refused.items()
        ]
        self._round.book.progress([*entries, *parked], at=self._round.clock())
        self._round.parked += parked
        self.sent += load.events
        self.hours += len(load.subjects)
        return _Load()


def _base(bucket: Bucket) -> str:
    return bucket.subject.rsplit("/", 1)[0]
