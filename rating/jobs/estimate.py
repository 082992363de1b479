"""Estimate: what the obvious queries would have billed for a period, beside what the book's windows come to.

Both go through the same plans. Reads only; which queries those are, and how they are asked, is the port `Estimates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from rating.core.billing import PlanAt, billing_periods, gap
from rating.core.drafts import MeteredUsage, draft
from rating.core.meters import Kind, Meter
from rating.core.money import Currency, Money, allocate, total
from rating.core.parts import parts
from rating.core.periods import Period
from rating.core.subscriptions import Subscription
from rating.errors import EdgeRefused, Finding, PricingError, Severity
from rating.jobs.usage import UsageReader
from rating.ports import Book, Estimate, Estimated, Estimates


@dataclass(frozen=True, slots=True)
class Compared:
    """One consumer and meter. Quantities are integers in the meter's resolution, over the whole span."""

    consumer: str
    meter: Meter
    exact: int
    estimated: Mapping[Estimate, int]
    """Without those that could not be asked."""
    billed: Money | None = None
    """The meter's lines in billing periods that begin inside the span; None where nobody is billed for it."""
    differences: Mapping[Estimate, Money] = field(default_factory=dict)
    """By how much the invoices' totals change when this meter's usage is the estimate and all else stays."""

    def error(self, by: Estimate) -> Fraction | None:
        """The estimate's error as a share of the exact quantity; None where either is missing."""
        if by not in self.estimated or not self.exact:
            return None
        return Fraction(self.estimated[by] - self.exact, self.exact)


@dataclass(frozen=True, slots=True)
class Audit:
    span: Period
    rows: tuple[Compared, ...]
    findings: tuple[Finding, ...]

    def sums(self, by: Estimate) -> Mapping[Currency, tuple[Money, Money]]:
        """Per currency: what the estimate bills too much in all, and what it bills too little (negative)."""
        found: dict[Currency, list[Money]] = {}
        for row in self.rows:
            if by in row.differences:
                found.setdefault(row.differences[by].currency, []).append(row.differences[by])
        return {
            currency: (
                total([one for one in found[currency] if one.minor > 0], currency),
                total([one for one in found[currency] if one.minor < 0], currency),
            )
            for currency in sorted(found)
        }


def estimate(
    book: Book,
    source: Estimates,
    meters: Sequence[Meter],
    subscriptions: Iterable[Subscription],
    plan_at: PlanAt,
    *,
    span: Period,
    consumer: str | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Audit:
    """Compare every consumer's usage of `meters` over `span`, and the billing periods that begin inside it.

    A meter is compared up to the end of its last closed window.

    Raises:
        EdgeRefused: the source refuses all of its questions about a meter.
        EdgeUnavailable, EdgeDisagrees, SamplesMissing: as the port says.
        NoPlanInForce, NoTierCovers: a contract does not say what the exact usage costs.
    """
    asked = _Asked(book, source)
    for meter in meters:
        if meter.kind is Kind.GAUGE:
            asked.note(f"meter {meter.name} is a gauge", "increase() and rate() are about counters; it is left out")
    meters = [meter for meter in meters if meter.kind is Kind.COUNTER]
    exact, estimated = {}, {}
    for number, meter in enumerate(meters, 1):
        exact[meter.name] = _totals(book, meter, asked.measured(meter, span), consumer)
        estimated[meter.name] = asked.all(meter, span)
        asked.complete(meter, span)
        progress(number, len(meters))

    money = _Money(book, asked, {meter.name for meter in meters})
    for subscription in subscriptions:
        if consumer in (None, subscription.consumer):
            money.add(subscription, plan_at, span)

    rows = []
    for meter in meters:
        known = {name for one in estimated[meter.name].values() for name in one if consumer in (None, name)}
        for name in sorted(known | exact[meter.name].keys()):
            quantities = {by: one.get(name, 0) for by, one in estimated[meter.name].items()}
            row = Compared(name, meter, exact[meter.name].get(name, 0), quantities)
            rows += money.of(row) or [row]
    return Audit(span, tuple(sorted(rows, key=lambda row: (row.consumer, row.meter.name))), tuple(asked.findings))


def _totals(book: Book, meter: Meter, span: Period, consumer: str | None) -> dict[str, int]:
    sums: dict[str, int] = {}
    for usage in book.totals(meter.name, span, consumer):
        sums[usage.consumer] = sums.get(usage.consumer, 0) + usage.quantity
    return sums


class _Asked:
    """Every estimate asked so far, and what was noticed on the way."""

    def __init__(self, book: Book, source: Estimates) -> None:
        self._book, self._source = book, source
        self._found: dict[tuple[Meter, Period], dict[Estimate, Mapping[str, int]]] = {}
        self.findings: dict[Finding, None] = {}

    def measured(self, meter: Meter, span: Period) -> Period:
        """The span from its first closed window to the last: before a meter's first subscription nothing is closed, and
        what lies there may not be retained any more."""
        through = self._book.closed_through(meter.name) or span.start
        first = min(self._book.closed(meter.name, span), default=span.start)
        return Period(first, max(first, min(span.end, through)))

    def complete(self, meter: Meter, span: Period) -> None:
        """Note the windows that the exact quantities lack."""
        held = [entry.held.window.start for entry in self._book.held() if entry.held.meter == meter.name]
        missing = gap(meter.name, span, meter.window, self._book.closed(meter.name, span), held)
        if missing is not None:
            self.note(str(missing), "the exact quantities lack them; `rating collect` closes what is due")

    def all(self, meter: Meter, span: Period) -> Mapping[Estimate, Mapping[str, int]]:
        """Each estimate by consumer; one that is refused is noted and left out."""
        span = self.measured(meter, span)
        if (meter, span) not in self._found:
            self._found[meter, span] = self._ask(meter, span) if span.end > span.start else {}
        return self._found[meter, span]

    def _ask(self, meter: Meter, span: Period) -> dict[Estimate, Mapping[str, int]]:
        found: dict[Estimate, Mapping[str, int]] = {}
        refusals: list[EdgeRefused] = []
        for by in Estimate:
            try:
                answer: Estimated = self._source.estimate(meter, span, by)
            except EdgeRefused as refusal:
                # One increase() over a month may load more samples than a server allows: that is a result as well.
                refusals.append(refusal)
                self.note(f"meter {meter.name}: {by.value} cannot be had: {refusal}", "", Severity.WARNING)
                continue
            found[by] = answer.quantities
            for warning in answer.warnings:
                self.note(f"meter {meter.name}: {by.value}: {warning}", "the estimate may lack something of its own")
        if not found:
            raise refusals[0]
        return found

    def note(self, what: str, hint: str, severity: Severity = Severity.WARNING) -> None:
        self.findings[Finding("audit", what, hint, severity)] = None


class _Money:
    """Amounts by consumer, meter and currency, over the billing periods added."""

    def __init__(self, book: Book, asked: _Asked, meters: set[str]) -> None:
        self._usage, self._asked, self._meters = UsageReader(book), asked, meters
        self._billed: dict[tuple[str, str, Currency], Money] = {}
        self._changed: dict[tuple[str, str, Currency], dict[Estimate, Money]] = {}

    def add(self, subscription: Subscription, plan_at: PlanAt, span: Period) -> None:
        for period, plan, digest in billing_periods(subscription, plan_at, span.end):
            if period.start < span.start or subscription.billed(period) is None:
                continue
            priced = parts(subscription, plan, period)
            usage = self._usage.of(subscription.consumer, priced)
            exact = draft(subscription, plan, period, usage, digest)
            nothing = Money(0, exact.currency)
            for meter in {part.card.meter for part in priced if part.card.meter.name in self._meters}:
                key = (subscription.consumer, meter.name, exact.currency)
                lines = [line.amount for line in exact.lines if line.meter == meter.name]
                self._billed[key] = self._billed.get(key, nothing) + total(lines, exact.currency)
                changed = self._changed.setdefault(key, {})
                for by, instead in self._instead(meter, subscription.consumer, usage).items():
                    try:
                        whole = draft(subscription, plan, period, {**usage, **instead}, digest).total
                    except PricingError as error:
                        self._asked.note(f"{subscription.key}, {by.value} of {meter.name}: {error}", "no amount")
                        continue
                    changed[by] = changed.get(by, nothing) + whole - exact.total

    def of(self, row: Compared) -> list[Compared]:
        """The row with its amounts; one for each currency."""
        return [
            replace(row, billed=billed, differences=self._changed[key])
            for key, billed in sorted(self._billed.items())
            if key[:2] == (row.consumer, row.meter.name)
        ]

    def _instead(
        self, meter: Meter, consumer: str, usage: Mapping[tuple[str, Period], MeteredUsage]
    ) -> dict[Estimate, dict[tuple[str, Period], MeteredUsage]]:
        """The meter's usage as each estimate has it, over the spans that are priced."""
        found: dict[Estimate, dict[tuple[str, Period], MeteredUsage]] = {}
        for key, counted in usage.items():
            if key[0] == meter.name:
                for by, quantities in self._asked.all(meter, key[1]).items():
                    found.setdefault(by, {})[key] = _resized(counted, quantities.get(consumer, 0))
        return found


def _resized(usage: MeteredUsage, quantity: int) -> MeteredUsage:
    """So much usage, mixed as it was counted: an estimate per consumer says nothing of its mixture."""
    if not usage.mix:
        return MeteredUsage(quantity)
    return MeteredUsage(quantity, mix=dict(zip(usage.mix, allocate(quantity, list(usage.mix.values())), strict=True)))
