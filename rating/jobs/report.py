"""Report: gathers usage, charges, invoices and the quality of windows over some days. Reads only; draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction

from rating.core.conversions import monthly_gain
from rating.core.meters import Meter
from rating.core.money import Currency, Money, round_amount
from rating.core.periods import PER_MONTH, Period
from rating.core.reports import (
    Accruing,
    AllowanceUse,
    IssuedInvoice,
    Kind,
    Quality,
    Report,
    Upsell,
    UsageOfDay,
    ahead_of,
)
from rating.core.schedule import due_windows
from rating.core.windows import Completeness
from rating.jobs.accrue import Accrued, accrue
from rating.jobs.contracts import Contracts, metered_from
from rating.jobs.pipeline import pipeline
from rating.ports import Book

_DAY = timedelta(days=1)
_KINDS = 25
"""Sets of dimension values shown of each meter, the largest first."""


def report(
    book: Book,
    contracts: Contracts,
    days: tuple[date, date],
    *,
    now: datetime,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """`days` are the first one and the day after the last, in UTC; charges are those of the periods open at `now`."""
    first, after = days
    meters = [contracts.current.meters[name] for name in sorted(contracts.current.meters)]
    span = Period(_midnight(first), min(_midnight(after), max(now, _midnight(first) + timedelta(microseconds=1))))
    usage: list[UsageOfDay] = []
    kinds: list[Kind] = []
    quality: list[Quality] = []
    shown = list(_days(span))
    for number, meter in enumerate(meters):
        for place, day in enumerate(shown):
            sums = book.sums(meter.name, _whole(day))
            usage.append(UsageOfDay(meter.name, day, {who: meter.quantity(units) for who, units in sums.items()}))
            progress(number * len(shown) + place + 1, len(meters) * len(shown))
        kinds += _kinds(book, meter, span)
        quality += _quality(book, contracts, meter, shown, now)
    accrued = accrue(book, contracts, now=now)
    return Report(
        at=now,
        first_day=first,
        last_day=shown[-1],
        units={meter.name: meter.unit for meter in meters},
        labels={meter.name: meter.dimensions for meter in meters},
        usage=tuple(usage),
        kinds=tuple(kinds),
        accruing=tuple(sorted(_accruing(accrued, now), key=_largest)),
        allowances=tuple(sorted(_allowances(accrued), key=lambda one: (-one.share, one.consumer, one.meter))),
        recurring=_recurring(accrued),
        issued=tuple(_issued(book, span)),
        quality=tuple(quality),
        upsells=tuple(_upsells(book, contracts, now)),
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _whole(day: date) -> Period:
    return Period(_midnight(day), _midnight(day) + _DAY)


def _days(span: Period) -> Iterator[date]:
    day = span.start.date()
    while _midnight(day) < span.end:
        yield day
        day += _DAY


def _upsells(book: Book, contracts: Contracts, now: datetime) -> Iterator[Upsell]:
    plans = contracts.current.plans
    for one in pipeline(book, contracts, now=now):
        gain = monthly_gain(one, plans)
        yield Upsell(
            one.consumer,
            one.customer,
            one.plan,
            one.next_plan,
            one.first_at,
            one.marks,
            one.converted_at,
            None if gain is None else round_amount(gain, plans[one.plan].currency),
        )


def _kinds(book: Book, meter: Meter, span: Period) -> list[Kind]:
    if not meter.dimensions:
        return []
    sums: dict[tuple[str, ...], int] = {}
    for row in book.totals(meter.name, span):
        sums[row.dimensions] = sums.get(row.dimensions, 0) + row.quantity
    largest = sorted(sums, key=lambda dimensions: (-sums[dimensions], dimensions))[:_KINDS]
    return [Kind(meter.name, dimensions, meter.quantity(sums[dimensions])) for dimensions in largest]


def _quality(book: Book, contracts: Contracts, meter: Meter, days: list[date], now: datetime) -> Iterator[Quality]:
    span = Period(_midnight(days[0]), _midnight(days[-1]) + _DAY)
    closed = book.closed(meter.name, span)
    waiting = {entry.held.window.start for entry in book.held() if entry.held.meter == meter.name}
    begins = metered_from(contracts).get(meter.name)
    due = set()
    if begins is not None:
        since = max(begins, span.start)
        due = {one.window.start for one in due_windows([meter], {meter.name: closed.keys()}, since, now)}
    for day in days:
        whole = _whole(day)
        ended = [completeness for start, completeness in closed.items() if whole.contains(start)]
        held = sum(whole.contains(start) for start in waiting)
        missing = sum(whole.contains(start) for start in due - waiting)
        yield Quality(
            meter.name, day, ended.count(Completeness.COMPLETE), ended.count(Completeness.DEGRADED), held, missing
        )


def _accruing(accrued: Accrued, now: datetime) -> Iterator[Accruing]:
    for group in accrued.plans:
        passed = Period(group.billed.start, max(now, group.billed.start)).share_of(group.billed)
        owed = [group.fee] * len(group.subscriptions)
        for card in group.cards:
            owed = [one + amount for one, amount in zip(owed, card.rated.amount.fractions(), strict=True)]
        more = [None] * len(owed) if group.upgrade is None else group.upgrade.fractions()
        if group.forecast is None:
            ends = [ahead_of(amount, group.fee, min(passed, Fraction(1))) for amount in owed]
        else:
            ends = group.forecast.fractions()

        def rounded(amount: Fraction, currency: Currency = group.currency) -> Money:
            return round_amount(amount, currency)

        for subscription, amount, ahead, upgrade in zip(group.subscriptions, owed, ends, more, strict=True):
            yield Accruing(
                consumer=subscription.consumer,
                customer=subscription.payer,
                plan=group.plan.key,
                period_end=group.period.end,
                amount=rounded(amount),
                ahead=rounded(ahead),
                upsell_plan=group.plan.upsell.plan if group.plan.upsell else "",
                upgrade=None if upgrade is None else rounded(upgrade),
            )


def _largest(one: Accruing) -> tuple[str, int, str, str]:
    return one.amount.currency.code, -one.amount.minor, one.consumer, one.plan


def _allowances(accrued: Accrued) -> Iterator[AllowanceUse]:
    for group in accrued.plans:
        for card in group.cards:
            # What is included in converted units is shown in the meter's, as the usage beside it is.
            factor = card.card.conversion.factor if card.card.conversion else Fraction(1)
            included = card.card.included / factor
            if not included:
                continue
            for subscription, used in zip(group.subscriptions, card.rated.quantity.fractions(), strict=True):
                meter = card.card.meter
                yield AllowanceUse(subscription.consumer, group.plan.key, meter.name, meter.unit, used, included)


def _recurring(accrued: Accrued) -> dict[Currency, Money]:
    sums: dict[Currency, Fraction] = {}
    for group in accrued.plans:
        if group.share:
            monthly = group.fee / group.share * PER_MONTH[group.plan.cadence] * len(group.subscriptions)
            sums[group.currency] = sums.get(group.currency, Fraction(0)) + monthly
    return {currency: round_amount(sums[currency], currency) for currency in sorted(sums)}


def _issued(book: Book, span: Period) -> Iterator[IssuedInvoice]:
    for invoice in book.invoices():
        if span.contains(invoice.issued_at):
            draft = invoice.draft
            start, after = draft.days
            yield IssuedInvoice(
                invoice.number,
                invoice.issued_at,
                draft.customer,
                draft.consumer,
                draft.plan,
                start,
                after - _DAY,
                invoice.total,
            )
