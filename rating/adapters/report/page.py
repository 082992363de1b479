"""The report as one self-contained HTML page. Decides what stands where; what the charts look like is `figures`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from rating.adapters.report.figures import Figure, accrued_by_plan, allowances, kinds, quality, top_consumers, usage
from rating.core.money import Money, decimal_text, fixed_point, grouped, total
from rating.core.reports import Report
from rating.errors import EdgeUnavailable

_TEMPLATE = Path(__file__).with_name("page.html")
_ROWS = 50


@dataclass(frozen=True, slots=True)
class _Card:
    title: str
    value: str
    note: str = ""
    bad: bool = False


@dataclass(frozen=True, slots=True)
class _Table:
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    numeric: frozenset[int] = frozenset()
    left: int = 0
    """How many rows were left out."""


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    note: str = ""
    cards: list[_Card] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[tuple[str, _Table]] = field(default_factory=list)


class PlotlyPage:
    """`ReportPage` of the ports."""

    def page(self, report: Report) -> str:
        """See the port. The script inside is plotly's, about 4.5 MB.

        Raises:
            EdgeUnavailable: the extra `report` is not installed.
        """
        try:
            import jinja2
            import plotly
            from plotly.offline import get_plotlyjs
        except ImportError as error:
            raise EdgeUnavailable(
                f"the page is drawn by {error.name}, which is not installed; pip install 'rating-engine[report]'"
            ) from error
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        sections = list(_sections(report))
        return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
            title=f"Usage and revenue, {_days(report.first_day, report.last_day)}",
            at=f"{report.at:%Y-%m-%d %H:%M} UTC",
            sections=sections,
            # Plotly's encoder writes <, > and & as escapes, so that no name can end the script.
            figures=[(figure.key, figure.json()) for section in sections for figure in section.figures],
            script=get_plotlyjs(),
            version=plotly.__version__,
        )


def _sections(report: Report) -> Iterator[_Section]:
    yield _money(report)
    for meter in report.units:
        yield _usage(report, meter)
    yield _allowances(report)
    if report.upsells:
        yield _upselling(report)
    yield _measuring(report)
    yield _issued(report)


def _money(report: Report) -> _Section:
    section = _Section(
        "Revenue", "Accrued from closed windows in the open periods, fees included, before plan discounts and taxes."
    )
    for currency in report.currencies:
        section.cards.append(_Card(f"Accrued, {currency}", _amount(report.accrued(currency))))
        section.cards.append(
            _Card(f"At the end of the periods, {currency}", _amount(report.ahead(currency)), "at the average pace")
        )
        section.cards.append(_Card(f"Invoiced on these days, {currency}", _amount(report.invoiced(currency))))
        if currency in report.recurring:
            section.cards.append(_Card(f"Monthly recurring fees, {currency}", _amount(report.recurring[currency])))
        if report.accrued_by_plan(currency):
            section.figures.append(accrued_by_plan(report, currency))
            section.figures.append(top_consumers(report, currency))
    upgrades = [
        (one.consumer, one.customer, one.plan, _amount(one.amount), one.upsell_plan, _amount(one.upgrade, signed=True))
        for one in report.accruing
        if one.upgrade is not None
    ]
    columns = ("Consumer", "Customer", "Plan", "Accrued", "Next plan", "Would cost more (saves)")
    section.tables.append(("What the next plan would have cost so far", _table(columns, upgrades, 3, 5)))
    return section


def _usage(report: Report, meter: str) -> _Section:
    unit = report.units[meter]
    section = _Section(
        f"Usage: {meter}",
        "Exact, from closed windows, by the day (UTC) on which they start; the largest consumers by name.",
    )
    section.cards.append(_Card(f"Used, {unit}s", grouped(decimal_text(report.used(meter)))))
    section.figures.append(usage(report, meter))
    if any(kind.meter == meter for kind in report.kinds):
        section.figures.append(kinds(report, meter))
    return section


def _allowances(report: Report) -> _Section:
    section = _Section("Allowances", "Used of what the plans include in the open periods; the fullest first.")
    if report.allowances:
        section.figures.append(allowances(report))
    rows = [
        (
            one.consumer,
            one.plan,
            one.meter,
            grouped(decimal_text(one.used)),
            grouped(decimal_text(one.included)),
            f"{fixed_point(100 * one.share, 1)} %",
        )
        for one in report.allowances
    ]
    section.tables.append(
        ("Every allowance", _table(("Consumer", "Plan", "Meter", "Used", "Included", "Share"), rows, 3, 4, 5))
    )
    return section


def _upselling(report: Report) -> _Section:
    section = _Section("Upselling", "Who was told of their next plan in the last 90 days, and who is on it now.")
    converted = [one for one in report.upsells if one.converted_at is not None]
    section.cards.append(_Card("Told of their next plan", str(len(report.upsells)), "subscriptions"))
    section.cards.append(_Card("On it now", str(len(converted))))
    for currency in report.currencies:
        gains = [one.gain for one in converted if one.gain is not None and one.gain.currency == currency]
        if gains:
            section.cards.append(_Card(f"Fees gained a month, {currency}", _amount(total(gains, currency))))
    rows = [
        (
            one.consumer,
            one.customer,
            one.plan,
            one.next_plan,
            f"{one.told_at:%Y-%m-%d}",
            ", ".join(one.thresholds),
            "" if one.converted_at is None else f"{one.converted_at:%Y-%m-%d}",
        )
        for one in report.upsells
    ]
    columns = ("Consumer", "Customer", "Plan", "Next plan", "First told", "Thresholds", "On it since")
    section.tables.append(("", _table(columns, rows)))
    return section


def _measuring(report: Report) -> _Section:
    section = _Section(
        "Metering quality",
        "Complete: every scrape found. Degraded: billed as seen, with its bound. Held: not billed until it is "
        "resolved. Missing: due and not closed yet.",
    )
    windows = report.windows()
    for name in ("complete", "degraded", "held", "missing"):
        count = getattr(windows, name)
        section.cards.append(
            _Card(f"{name.capitalize()} windows", str(count), bad=bool(count) and name in ("held", "missing"))
        )
    if report.quality:
        section.figures.append(quality(report))
    return section


def _issued(report: Report) -> _Section:
    section = _Section("Invoices issued on these days")
    rows = [
        (
            one.number,
            f"{one.issued_at:%Y-%m-%d}",
            one.customer,
            one.consumer,
            one.plan,
            _days(one.first_day, one.last_day),
            _amount(one.total),
        )
        for one in report.issued
    ]
    columns = ("Invoice", "Issued", "Customer", "Consumer", "Plan", "Period", "Total")
    section.tables.append(("", _table(columns, rows, 6)))
    return section


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *numeric: int) -> _Table:
    return _Table(columns, list(rows[:_ROWS]), frozenset(numeric), max(0, len(rows) - _ROWS))


def _days(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _amount(amount: Money, signed: bool = False) -> str:
    plus = "+" if signed and amount.minor > 0 else ""
    return f"{plus}{grouped(amount.digits)} {amount.currency}"
