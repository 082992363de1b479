"""Report usage: subscriptions and closed windows to a gateway that rates by itself.

What is to be told follows from the book: every hour with closed windows, and every revision of it, that is not finished
there. An hour needs no entry before it is told: telling it again, however long after, is nothing. A subscription does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rating.core.meters import Meter
from rating.core.offers import Offered, RemoteContract, RemoteMeter
from rating.core.periods import Period, from_seconds, stamp
from rating.core.publications import (
    Outcome,
    Progress,
    Progressed,
    State,
    begun_at,
    by_subject,
    due_at,
    following,
    state,
    subscription_subject,
)
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
    named,
    runs,
    whom,
)
from rating.core.windows import Usage
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable, Finding
from rating.jobs.contracts import Contracts
from rating.jobs.offer import offered
from rating.jobs.trails import KeptTrail
from rating.ports import Book, UsageGateway

CLAIM = "usage"
COLLECT = "collect our invoice for it by `mode: invoices` or by hand"
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
        return _Round(book, contracts, gateway, wanted, now, lambda: now, stopping, dry_run=True).run()
    with book.claim(f"{CLAIM}/{gateway.name}") as free:
        if not free:
            return Reported(wanted)
        return _Round(book, contracts, gateway, wanted, now, clock or (lambda: now), stopping).run()


@dataclass(frozen=True, slots=True)
class _Load:
    """Events that are told together, and the subjects that are finished with them."""

    events: list[UsageEvent] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    whose: dict[str, str] = field(default_factory=dict)
    """By event name: the subject that is parked when the event is declined."""


class _Round:
    def __init__(
        self,
        book: Book,
        contracts: Contracts,
        gateway: UsageGateway,
        wanted: Offered,
        now: datetime,
        clock: Callable[[], datetime],
        stopping: Callable[[], bool],
        dry_run: bool = False,
    ) -> None:
        self._book, self._gateway, self._wanted = book, gateway, wanted
        self._meters: Mapping[str, Meter] = contracts.current.meters
        self._parties = contracts.parties(now)
        self._now, self._clock, self._stopping, self._dry = now, clock, stopping, dry_run
        self._open: Mapping[str, list[Progressed]] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._ours = {one.key: one for one in contracts.subscriptions}
        self._away = ""
        self._subscribed: list[tuple[str, str]] = []
        self._sent: list[UsageEvent] = []
        self._parked: list[Progress] = []
        self._waiting: list[str] = []
        self._hours = 0

    def run(self) -> Reported:
        name = self._gateway.name
        self._open = by_subject(self._book.unfinished(name))
        self._names = {(one.subject, one.part): one.name for one in self._book.remote_names(name)}
        told = self._book.finished(name, "subscription")
        for contract in self._wanted.contracts:
            if self._away or self._stopping():
                break
            self._part_of_a_period(contract)
            self._subscription(contract, told)
        self._names = {(one.subject, one.part): one.name for one in self._book.remote_names(name)}
        for contract in self._wanted.left:
            self._left_out(contract)
        self._usage([one for one in self._wanted.contracts if self._since(one) is not None])
        if self._away:
            self._waiting.append(self._away)
        return Reported(
            self._wanted,
            tuple(self._subscribed),
            self._hours,
            tuple(self._sent),
            tuple(self._parked),
            tuple(self._waiting),
            bool(self._away),
        )

    # subscriptions

    def _part_of_a_period(self, contract: RemoteContract) -> None:
        """What is charged otherwise than we do waits for a person, by name."""
        if not contract.uneven or contract.start > self._now:
            return
        if contract.waits and self._since(contract) is None:
            self._look(contract, f"is not metered: {contract.uneven}; {COLLECT}")
        else:
            what = f"differs there: {contract.uneven}"
            self._look(contract, f"{what}; compare our invoice with theirs, and correct theirs by an item there")

    def _left_out(self, contract: RemoteContract) -> None:
        if contract.start <= self._now and (contract.end is None or contract.end > self._now):
            self._look(contract, f"is not metered: its customer is charged for the same use already; {COLLECT}")

    def _look(self, contract: RemoteContract, why: str) -> None:
        period = contract.period
        subject = f"period/{contract.subscription}/{period.start:%Y-%m-%dT%H:%M:%SZ}"
        if not self._book.progressed(self._gateway.name, subject):
            self._park(subject, (), f"the billing period {period} of {contract.subscription} {why}")

    def _subscription(self, contract: RemoteContract, told: frozenset[str]) -> None:
        made = self._since(contract) is not None
        if contract.subject in told or contract.start > self._now or (contract.waits and not made):
            return
        if self._moved_there(contract):
            return
        if not made and contract.end is not None and contract.end <= self._now:
            return
        entries = self._open.get(contract.subject, [])
        if (at := due_at(entries)) is not None and at > self._now:
            self._waiting.append(f"{contract.subscription}: tried again at {stamp(at.replace(microsecond=0))}")
            return
        missing = [price.key for price in contract.offer.prices if (f"price/{price.key}", "") not in self._names]
        if missing:
            self._waiting.append(f"{contract.subscription}: its prices do not stand there yet; `rating stripe apply`")
            return
        if self._dry:
            self._subscribed.append((contract.subscription, "would be changed" if made else "would be made"))
            return
        if begun_at(entries) is None:
            entries = self._enter(entries, contract.subject, Outcome.BEGUN)
        trail = KeptTrail(self._book, self._gateway.name, contract.subject, self._clock, begun_at=begun_at(entries))
        buyer = self._parties.customer(contract.customer)
        try:
            said = self._gateway.subscribe(contract, buyer, trail, now=self._now)
        except EdgeUnavailable as error:
            self._failed(contract.subject, entries, error)
        except (EdgeRefused, EdgeDisagrees) as error:
            self._park(contract.subject, entries, str(error))
        else:
            self._enter(entries, contract.subject, Outcome.DONE, said)
            self._subscribed.append((contract.subscription, said))

    def _moved_there(self, contract: RemoteContract) -> bool:
        """Was its plan changed at the gateway? Then it stands for another of ours by now, and is not ended there."""
        subject = subscription_subject(contract.subscription)
        name, own = self._names.get((subject, "")), self._ours.get(contract.subscription)
        if name is None or own is None or own.end is None:
            return False
        same = {other for (other, part), one in self._names.items() if one == name and not part and other != subject}
        return any(
            one.start >= own.end and one.key != own.key
            for one in self._ours.values()
            if subscription_subject(one.key) in same
        )

    def _since(self, contract: RemoteContract) -> datetime | None:
        """From when the gateway has the subscription; None when it has none."""
        start = self._names.get((subscription_subject(contract.subscription), "start"))
        return None if start is None else from_seconds(int(start))

    # usage

    def _usage(self, contracts: Sequence[RemoteContract]) -> None:
        done = self._book.finished(self._gateway.name, "usage")
        caught_up = self._book.finished(self._gateway.name, "backlog")
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
        for entry in self._book.held():
            held = entry.held
            periods = [p for one in contracts if (p := one.period_of(held.window.start)) is not None]
            if held.meter in meters and periods:
                final = min(period.end for period in periods) + self._gateway.grace
                self._waiting.append(
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
        begins = min(since for one in theirs if (since := self._since(one)) is not None)
        span = Period(begins, max(begins, self._now))
        adjustments = [entry.adjustment for entry in self._book.adjustments(span, meter)]
        hours = buckets(meter, self._book.closed(meter, span), adjustments)
        everybody, newcomers = Counted(theirs), Counted([one for one in fresh if one in theirs])
        first = min((since for one in fresh if (since := self._since(one)) is not None), default=self._now)
        wanted = [
            bucket
            for bucket in hours
            if bucket.subject not in done or (bucket.hour >= first and any(one in theirs for one in fresh))
        ]
        for run in runs([bucket for bucket in wanted if self._may(bucket.subject)]):
            rows = self._rows(meter, Period(run[0].hour, run[-1].span.end))
            for bucket in run:
                # Who came later than the others were told of this hour is told it alone.
                late = bucket.subject in done
                found = events(
                    bucket,
                    rows.get(bucket.hour, ()),
                    newcomers if late else everybody,
                    self._meters[meter].dimensions if meter in self._meters else (),
                    known=not late and _base(bucket) in known,
                )
                self._add(load, bucket, found, contracts, "" if late else bucket.subject)
                if len(load.events) >= LOAD:
                    load = self._tell(load)
        return load

    def _fees(self, contract: RemoteContract, done: frozenset[str], load: _Load) -> _Load:
        since = self._since(contract)
        for bucket, event in fees(contract, self._now):
            subject = bucket.of(contract.customer)
            if since is not None and bucket.hour >= since and subject not in done and self._may(subject):
                if subject in self._open and any(
                    one.progress.outcome is Outcome.REVIVED for one in self._open[subject]
                ):
                    continue
                self._add(load, bucket, (event,), [contract], subject)
        return load

    def _again(self, contracts: Sequence[RemoteContract], load: _Load) -> _Load:
        """Events of single customers that a person asked to tell again, under another name."""
        for subject, entries in sorted(self._open.items()):
            about = bucket_of(subject)
            attempt = sum(one.progress.outcome is Outcome.REVIVED for one in entries)
            if about is None or not about[3] or not attempt or not self._may(subject):
                continue
            meter, hour, _, customer = about
            theirs = [one for one in contracts if one.customer == customer]
            found: list[tuple[Bucket, UsageEvent]] = [
                (bucket, event)
                for one in theirs
                for bucket, event in fees(one, self._now)
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
        span = Period(hour, hour + HOUR)
        adjustments = [entry.adjustment for entry in self._book.adjustments(span, meter)]
        dimensions = self._meters[meter].dimensions if meter in self._meters else ()
        return [
            (bucket, event)
            for bucket in buckets(meter, self._book.closed(meter, span), adjustments)
            for event in events(
                bucket, self._rows(meter, span).get(hour, ()), Counted(contracts), dimensions, known=False
            )
        ]

    def _rows(self, meter: str, span: Period) -> dict[datetime, list[tuple[datetime, Usage]]]:
        found: dict[datetime, list[tuple[datetime, Usage]]] = {}
        for row in self._book.usage(span, meter):
            hour = row.window.start.replace(minute=0, second=0, microsecond=0)
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
            if event.at > self._now + AHEAD:
                self._waiting.append(f"{event.meter} of {stamp(event.hour)} lies ahead of the clock")
                return
        if subject:
            load.subjects.append(subject)
        for event in found:
            if self._before(event, contracts):
                continue
            own = of_one or bucket.of(event.customer)
            why = self._too_late(event, contracts)
            if why:
                self._park_event(own, why)
                if own in load.subjects:
                    load.subjects.remove(own)
            else:
                load.events.append(event)
                load.whose[event.name] = own

    def _before(self, event: UsageEvent, contracts: Sequence[RemoteContract]) -> bool:
        """Was the hour used before the gateway had the subscription? Then it is billed elsewhere."""
        theirs = [since for one in contracts if one.customer == event.customer and (since := self._since(one))]
        return bool(theirs) and event.hour < min(theirs)

    def _too_late(self, event: UsageEvent, contracts: Sequence[RemoteContract]) -> str:
        if event.at < self._now - OLDEST:
            return (
                f"{event.value} units of {event.meter} in the hour from {stamp(event.hour)} are older than the "
                f"{OLDEST.days} days that the gateway accepts; charge them there by an item, as our invoice has them"
            )
        for one in contracts:
            period = one.period_of(event.at) if one.customer == event.customer else None
            if period is not None and period.end + self._gateway.grace <= self._now:
                return (
                    f"{event.value} units of {event.meter} in the hour from {stamp(event.hour)} are known since the "
                    f"invoice of {period} became final there; our next invoice settles what was corrected later: "
                    "charge or credit the difference there by an item"
                )
        return ""

    def _tell(self, load: _Load) -> _Load:
        """Tell a load and write down what came of it; returns an empty one."""
        if self._away or self._stopping() or not (load.events or load.subjects):
            return _Load()
        if self._dry:
            self._sent += load.events
            self._hours += len(load.subjects)
            return _Load()
        customers = {event.customer: self._names.get((f"customer/{event.customer}", "")) for event in load.events}
        try:
            declined = self._gateway.report(load.events, {k: v for k, v in customers.items() if v is not None})
        except EdgeUnavailable as error:
            for subject in load.subjects:
                if not subject.startswith("backlog/"):
                    self._failed(subject, self._open.get(subject, []), error)
            return _Load()
        refused = {load.whose[event.name]: why for event, why in declined}
        entries = [
            following(self._gateway.name, subject, self._entries(subject), Outcome.DONE, "told")
            for subject in load.subjects
            if subject not in refused
        ]
        parked = [
            following(self._gateway.name, subject, self._entries(subject), Outcome.REFUSED, why)
            for subject, why in refused.items()
        ]
        self._book.progress([*entries, *parked], at=self._clock())
        self._parked += parked
        self._sent += load.events
        self._hours += len(load.subjects)
        return _Load()

    # entries

    def _entries(self, subject: str) -> Sequence[Progressed]:
        if subject in self._open:
            return self._open[subject]
        # Most subjects have none; those of single customers may have been finished before.
        return self._book.progressed(self._gateway.name, subject) if subject.count("/") > 3 else ()

    def _may(self, subject: str) -> bool:
        """Is it time for the next attempt?"""
        at = due_at(self._open.get(subject, ()))
        return at is None or at <= self._now

    def _enter(self, entries: Sequence[Progressed], subject: str, outcome: Outcome, said: str = "") -> list[Progressed]:
        progress = following(self._gateway.name, subject, entries, outcome, said)
        at = self._clock()
        self._book.progress((progress,), at=at)
        return [*entries, Progressed(progress, at)]

    def _failed(self, subject: str, entries: Sequence[Progressed], error: EdgeUnavailable) -> None:
        asked = 0 if error.retry_after is None else int(error.retry_after.total_seconds())
        progress = replace(
            following(self._gateway.name, subject, entries, Outcome.FAILED, str(error)), retry_after=asked
        )
        self._book.progress((progress,), at=self._clock())
        if state([*entries, Progressed(progress, self._now)]) is State.PARKED:
            self._parked.append(progress)
        self._away = str(error)

    def _park_event(self, subject: str, why: str) -> None:
        entries = self._book.progressed(self._gateway.name, subject)
        if state(entries) is not State.PARKED:
            self._park(subject, entries, why)

    def _park(self, subject: str, entries: Sequence[Progressed], why: str) -> None:
        progress = following(self._gateway.name, subject, entries, Outcome.REFUSED, why)
        if not self._dry:
            self._book.progress((progress,), at=self._clock())
        self._parked.append(progress)


def _base(bucket: Bucket) -> str:
    return bucket.subject.rsplit("/", 1)[0]


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that a gateway accepted and could not use, as it told later."""

    name: str
    why: str


def park_failed(
    book: Book, gateway: str, wanted: Offered, failed: Iterable[FailedEvent], *, now: datetime
) -> tuple[tuple[Progress, ...], tuple[Finding, ...]]:
    """Park each event that failed after it was accepted: `rating stripe retry` tells it again.

    The same report twice parks it once. What is not known to be ours is a Finding.
    """
    known: dict[str, tuple[RemoteMeter, str]] = {}
    for contract in wanted.contracts:
        for meter in contract.offer.meters:
            known[whom(meter.key, contract.customer)] = (meter, contract.customer)
    parked, findings = [], []
    for one in failed:
        about = named(one.name, known)
        if about is None:
            hint = "look for it there; an event of ours begins with rating:"
            findings.append(Finding(f"usage event {one.name}", f"was not used: {one.why}", hint))
            continue
        entries = book.progressed(gateway, about[0])
        why = f"{one.name}: {one.why}"
        if entries and entries[-1].progress.outcome is Outcome.REFUSED:
            continue
        if any(entry.progress.said == why for entry in entries):
            # The same report once more, after a person has asked to try again.
            continue
        parked.append(following(gateway, about[0], entries, Outcome.REFUSED, why))
    if parked:
        book.progress(parked, at=now)
    return tuple(parked), tuple(findings)
