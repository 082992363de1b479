"""`rating report`: usage, charges and the quality of the measuring on one page, and in short on the screen."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from rating.bootstrap import load_catalogue, open_book, report_page
from rating.cli.frame import (
    DONE,
    LOOK,
    Format,
    console,
    days_of,
    must_look,
    now,
    progress_bar,
    settings_of,
    show,
    stderr,
    warn,
)
from rating.core.money import Currency, Money, decimal_text, fixed_point, grouped
from rating.core.reports import Report
from rating.errors import Finding, SpecError
from rating.jobs import report as job
from rating.jobs.contracts import gather

_BAR = 24
_SHOWN = 10


def add(app: typer.Typer) -> None:
    app.command("report")(command)


def command(
    context: typer.Context,
    period: Annotated[
        str | None,
        typer.Option(help="Days of usage: 2026-10, 2026-Q4, 2026 or 2026-10-15; the last 30 days when absent."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the page is written.")] = Path("rating-report.html"),
    page: Annotated[bool, typer.Option("--page/--no-page", help="Write the page, or print the summary alone.")] = True,
    format: Annotated[
        Format, typer.Option("--format", "-f", help="table, or json for all that the page shows.")
    ] = Format.TABLE,
) -> None:
    """Write one HTML page with the charts of the boards, for people without Grafana, and print a summary.

    The page needs no network and no other file: send it, archive it. It is read from the book alone. Exit code 3 says
    that windows are held or missing.
    """
    settings, moment = settings_of(context), now()
    if format is Format.CSV:
        raise SpecError(
            (
                Finding(
                    "--format",
                    "a report is no table of rows",
                    "write table or json; `rating usage --format csv` has rows",
                ),
            )
        )
    days = days_of(period) or (moment.date() - timedelta(days=29), moment.date() + timedelta(days=1))
    if days[0] > moment.date():
        raise typer.BadParameter(f"{days[0]} has not come yet")
    catalogue = load_catalogue(settings)
    with open_book(settings) as book, progress_bar("reading the book") as progress:
        contracts = gather(book, catalogue, now=moment)
        warn(contracts.findings)
        report = job.report(book, contracts, days, now=moment, progress=progress)
    if page:
        text = report_page().page(report)
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            finding = Finding(str(out), f"cannot be written: {error.strerror}", "choose another --out")
            raise SpecError((finding,)) from error
    if format is Format.JSON:
        json.dump(_plain(report), sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        _summary(report)
    if page:
        stderr.print(f"wrote {out} ({len(text) // 1_000_000} MB, complete in itself)", soft_wrap=True)
    windows = report.windows()
    raise typer.Exit(LOOK if windows.held or windows.missing or must_look(contracts.findings) else DONE)


def _summary(report: Report) -> None:
    console.print(f"{report.first_day} to {report.last_day}, as of {report.at:%Y-%m-%d %H:%M} UTC")
    rows: list[dict[str, Any]] = [
        {
            "currency": str(currency),
            "accrued": grouped(report.accrued(currency).digits),
            "at period end": grouped(report.ahead(currency).digits),
            "invoiced": grouped(report.invoiced(currency).digits),
            "recurring a month": grouped(report.recurring[currency].digits) if currency in report.recurring else "",
        }
        for currency in report.currencies
    ]
    show(rows, ("currency", "accrued", "at period end", "invoiced", "recurring a month"), Format.TABLE, "Revenue")
    rows = [
        {
            "meter": meter,
            "used": grouped(decimal_text(report.used(meter))),
            "unit": unit,
            "day by day": _spark(report, meter),
        }
        for meter, unit in report.units.items()
    ]
    show(rows, ("meter", "used", "unit", "day by day"), Format.TABLE, "Usage")
    rows = [
        {
            "consumer": one.consumer,
            "plan": one.plan,
            "accrued": grouped(one.amount.digits),
            "currency": str(one.amount.currency),
            "next plan": one.upsell_plan,
            "would cost more": "" if one.upgrade is None else grouped(one.upgrade.digits),
        }
        for one in report.accruing[:_SHOWN]
    ]
    columns = ("consumer", "plan", "accrued", "currency", "next plan", "would cost more")
    show(rows, columns, Format.TABLE, "Highest charges")
    rows = [
        {
            "consumer": one.consumer,
            "meter": one.meter,
            "used": f"{fixed_point(100 * one.share, 1)} %",
            "of the allowance": _bar(one.share),
        }
        for one in report.allowances[:_SHOWN]
    ]
    show(rows, ("consumer", "meter", "used", "of the allowance"), Format.TABLE, "Fullest allowances")
    if report.upsells:
        converted = sum(one.converted_at is not None for one in report.upsells)
        console.print(f"Upselling: {len(report.upsells)} told of their next plan in 90 days, {converted} on it now")
    windows = report.windows()
    console.print(
        f"Windows: {windows.complete} complete, {windows.degraded} degraded, {windows.held} held, "
        f"{windows.missing} missing"
    )


def _spark(report: Report, meter: str) -> str:
    """A bar a day, of eighths of a line."""
    sums = [sum(day.by_consumer.values(), Fraction(0)) for day in report.of_meter(meter)]
    most = max(sums, default=Fraction(0))
    return "".join(" " if not one else "▁▂▃▄▅▆▇█"[min(7, int(8 * one / most))] for one in sums)


def _bar(share: Fraction) -> str:
    filled = min(_BAR, int(_BAR * share))
    return "█" * filled + "·" * (_BAR - filled) + (" !" if share >= 1 else "")


def _plain(value: Any) -> Any:
    """Values as JSON has them: amounts and quantities as decimal text, instants and days as ISO text."""
    match value:
        case Money():
            return {"amount": value.digits, "currency": value.currency.code}
        case Currency():
            return value.code
        case Fraction():
            return decimal_text(value)
        case datetime() | date():
            return value.isoformat()
        case dict():
            return {str(_plain(key)): _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
    if is_dataclass(value):
        return dict(_fields(value))
    return value


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    return ((item.name, _plain(getattr(value, item.name))) for item in fields(value))
