"""Correct: measure closed windows again, and keep what they turn out to have counted more or less as adjustments.

An adjustment stands beside its window and changes no invoice that was issued; the next one settles it. A reading that
is worse than the one the window stands on (held, fewer scrapes, fewer counters, more of them with an unknown beginning)
corrects nothing: samples come late, but what was seen once does not become unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from rating.core.billing import Due, billing_periods
from rating.core.invoices import LineItem, invoice_key
from rating.core.meters import Meter
from rating.core.periods import Period, next_period
from rating.core.subscriptions import Subscription
from rating.core.windows import Adjustment, Closing, Evidence, Held, Usage
from rating.errors import EdgeDisagrees, SamplesMissing, WindowStillOpen
from rating.jobs.contracts import Contracts
from rating.jobs.verify import AsClosed, Difference, kept_meters, measure_again
from rating.jobs.writing import Writer
from rating.ports import Book, ClosingHead, CounterSource

LATE = "late samples"


@dataclass(frozen=True, slots=True)
class Corrected:
    equal: int = 0
    """Windows that measure what the book says."""
    adjustments: tuple[Adjustment, ...] = ()
    """What was kept; in a dry run, what would be."""
    differences: tuple[Difference, ...] = ()
    """The same row by row: what the book said and what is measured now."""
    unjudged: tuple[tuple[str, Period, str], ...] = ()
    """Meter, window and why it corrects nothing."""


def correct(
    book: Book,
    source: CounterSource,
    meters: Sequence[Meter],
    period: Period,
    *,
    now: datetime,
    reason: str = LATE,
    author: str = "rating",
    dry_run: bool = False,
    clock: Callable[[], datetime] | None = None,
    stopping: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Corrected:
    """Re-read every closed window of `meters` that starts inside `period`, oldest first. Doing it again is nothing.

    Windows just before `period` are corrected with them where late samples moved usage across the boundary.

    With a `clock`, each adjustment is recorded when it is made instead of at `now`: a command that reads for minutes
    beside a running engine must not add to usage as of an earlier instant what a draft as of it has not seen.

    Raises:
        EdgeUnavailable, EdgeRefused: as `source.read` does; what was corrected before stays.
        Contradiction: somebody else corrected a window to something else meanwhile.
    """
    equal, done = 0, 0
    adjustments: list[Adjustment] = []
    differences: list[Difference] = []
    unjudged: list[tuple[str, Period, str]] = []
    heads = {meter.name: book.closings(meter.name, period) for meter in meters}
    total = sum(map(len, heads.values()))
    for meter in meters:
        doubted = False
        for reading in _readings(book, source, meter, heads[meter.name]):
            if stopping():
                return Corrected(equal, tuple(adjustments), tuple(differences), tuple(unjudged))
            asked = period.contains(reading.window.start)
            done += asked
            progress(done, total)
            doubt = reading.doubt or (doubted and bool(reading.found) and _BASE_DOUBTED) or ""
            doubted = bool(reading.doubt)
            if doubt:
                if asked:
                    unjudged.append((meter.name, reading.window, doubt))
            elif reading.found:
                adjustment = Adjustment(
                    meter.name, reading.window, reading.revision, reading.found, reason, author, reading.evidence
                )
                if not dry_run:
                    book.adjust(adjustment, at=now if clock is None else clock())
                adjustments.append(adjustment)
                differences += _rows(adjustment, reading.booked)
            else:
                equal += asked
    return Corrected(equal, tuple(adjustments), tuple(differences), tuple(unjudged))


_BASE_DOUBTED = (
    "the window before it reads worse than it was closed, so what is lost there would be counted here once more"
)


class _Reading(NamedTuple):
    window: Period
    booked: tuple[Usage, ...]
    revision: int
    """Of the adjustment that would come next."""
    found: tuple[Usage, ...]
    """The difference; empty where there is a doubt."""
    doubt: str
    evidence: Evidence


def _readings(book: Book, source: CounterSource, meter: Meter, heads: Sequence[ClosingHead]) -> Iterator[_Reading]:
    """The windows read again, oldest first, from one before those asked for.

    A window begins where the one before it ends: samples that come late to one are taken from the next. So where the
    one before differs as well, it is corrected with them, and the one before that is looked at.
    """
    if not heads:
        return
    known = kept_meters(book)
    earlier: list[_Reading] = []
    first = heads[0].window
    while before := book.closings(meter.name, Period(first.start - meter.window, first.start)):
        earlier.append(_read(book, known, source, meter, before[-1]))
        first = before[-1].window
        if earlier[-1].doubt or not earlier[-1].found:
            break
    yield from reversed(earlier)
    for head in heads:
        yield _read(book, known, source, meter, head)


_ROLLED = "it is rolled up to its day, so it is not corrected any more; `rating book rollups` names its archive"


def _read(book: Book, known: AsClosed, source: CounterSource, meter: Meter, head: ClosingHead) -> _Reading:
    if head.rolled:
        return _Reading(head.window, (), 0, (), _ROLLED, head.evidence)
    kept = [entry.adjustment for entry in book.adjustments(head.window, meter.name)]
    booked = book.totals(meter.name, head.window)
    measured = _measured(known, source, meter, head)
    if isinstance(measured, str):
        return _Reading(head.window, booked, len(kept) + 1, (), measured, head.evidence)
    doubt = worse(kept[-1].evidence if kept else head.evidence, measured.evidence)
    found = () if doubt else difference(booked, measured.usage)
    return _Reading(head.window, booked, len(kept) + 1, found, doubt, measured.evidence)


def _measured(known: AsClosed, source: CounterSource, meter: Meter, head: ClosingHead) -> Closing | str:
    try:
        outcome = measure_again(known, source, meter, head)
    except (SamplesMissing, EdgeDisagrees, WindowStillOpen) as error:
        return str(error)
    if isinstance(outcome, str):
        return f"{outcome}; correct with the catalogue of that time"
    return outcome.reason if isinstance(outcome, Held) else outcome


def worse(before: Evidence, after: Evidence) -> str:
    """How the second reading of a window sees less than the first; empty when it sees at least as much."""
    if after.warnings:
        return f"the source doubts its own answer: {'; '.join(after.warnings)}"
    for what, had, has in (
        ("scrapes", before.scrapes_seen, after.scrapes_seen),
        ("counters", before.identities, after.identities),
    ):
        if has < had:
            return (
                f"{has} {what} are found where there were {had}; the source has lost samples, ask the one that has them"
            )
    if after.baselines > before.baselines:
        return (
            f"{after.baselines} counters have no known beginning where {before.baselines} had none; "
            "the samples before the window are gone"
        )
    return ""


def difference(booked: Sequence[Usage], measured: Sequence[Usage]) -> tuple[Usage, ...]:
    """Signed rows that turn the first into the second, sorted, zeros left out."""
    before, after = ({row[:2]: row.quantity for row in rows} for rows in (booked, measured))
    rows = (Usage(*key, after.get(key, 0) - before.get(key, 0)) for key in sorted(before.keys() | after.keys()))
    return tuple(row for row in rows if row.quantity)


def _rows(adjustment: Adjustment, booked: Sequence[Usage]) -> Iterator[Difference]:
    before = {row[:2]: row.quantity for row in booked}
    for row in adjustment.rows:
        was = before.get(row[:2], 0)
        yield Difference(adjustment.meter, adjustment.window, row.consumer, row.dimensions, was, was + row.quantity)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Late usage of a subscription that has ended: no later invoice will settle it."""

    subscription: Subscription
    lines: tuple[LineItem, ...]


def unsettled(book: Book, contracts: Contracts, *, now: datetime) -> tuple[Unsettled, ...]:
    """What is late and has no invoice to come. A person writes the credit note or the invoice."""
    adjusted, issued = book.adjusted(), book.issued()
    writer = Writer(book, contracts.subscriptions, contracts=contracts, as_of=now)
    found = []
    for subscription in contracts.subscriptions:
        if subscription.consumer not in adjusted or subscription.end is None or subscription.end > now:
            continue
        periods = list(billing_periods(subscription, contracts.plan, now))
        if not periods or invoice_key(subscription.key, periods[-1][0]) not in issued:
            continue
        period, plan, digest = periods[-1]
        after = next_period(plan.cadence, subscription.anchor, subscription.zone, period)
        lines = writer.late(Due(after.end, "", subscription, after, plan, digest))
        if any(line.amount.minor for line in lines):
            found.append(Unsettled(subscription, lines))
    return tuple(found)
