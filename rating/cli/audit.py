"""`rating audit`: what the obvious queries would have billed, beside the book. Read-only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from rating.bootstrap import load_catalogue, open_book, open_estimates
from rating.cli.collect import chosen
from rating.cli.frame import FORMAT, Format, console, now, progress_bar, settings_of, show, warn
from rating.cli.simulate import last_month, span_of
from rating.core.money import decimal_text, fixed_point
from rating.core.periods import Period
from rating.jobs.contracts import gather
from rating.jobs.estimate import Audit, Compared, estimate
from rating.ports import Estimate

QUERIES = {
    Estimate.INCREASES: "hourly increase()",
    Estimate.RATES: "hourly rate()",
    Estimate.WHOLE: "one increase()",
}
COLUMNS = (
    "consumer",
    "meter",
    "exact",
    "billed",
    "currency",
    *(f"{by.value}{what}" for by in Estimate for what in ("", "_percent", "_difference")),
)


def add(app: typer.Typer) -> None:
    app.command("audit")(command)


def command(
    context: typer.Context,
    period: Annotated[str | None, typer.Option(help="2026-10, 2026-Q4, 2026 or 2026-10-15; else last month.")] = None,
    consumer: Annotated[str | None, typer.Option(help="Only this consumer.")] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    format: Format = FORMAT,
) -> None:
    """Put exact usage beside what `increase()` and `rate()` say, with the difference it makes to each bill.

    Three queries are asked, summed by consumer: `increase(m[1h])` each hour, `rate(m[5m]) * 3600` each hour, and one
    `increase()` over the whole period. The difference is what the consumer's invoices would change by.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    span = span_of(period, catalogue.zone) if period else last_month(moment, catalogue.zone)
    with open_book(settings) as book, progress_bar("asking the obvious queries") as progress:
        contracts = gather(book, catalogue, now=moment)
        audit = estimate(
            book,
            open_estimates(settings),
            chosen(catalogue, meter),
            contracts.subscriptions,
            contracts.plan,
            span=Period(span.start, min(span.end, max(span.start, moment))),
            consumer=consumer,
            progress=progress,
        )
    if format is Format.TABLE:
        show(map(_shown, audit.rows), ("consumer", "meter", "exact", "billed", *QUERIES.values()), format)
        for line in summary(audit):
            console.print(line, soft_wrap=True)
    else:
        show(map(_row, audit.rows), COLUMNS, format)
    warn((*contracts.findings, *audit.findings))


def summary(audit: Audit) -> Iterable[str]:
    """One line for each query, for people."""
    if not audit.rows:
        yield f"nothing was counted in {audit.span}"
    for by, query in QUERIES.items():
        errors = [row for row in audit.rows if by in row.estimated]
        wrong = sum(row.estimated[by] != row.exact for row in errors)
        if errors:
            money = "; ".join(
                f"{over.digits} {currency} too much, {(-under).digits} too little"
                for currency, (over, under) in audit.sums(by).items()
            )
            yield f"{query}: wrong for {wrong} of {len(errors)}" + (f"; bills {money}" if money else "")


def _shown(row: Compared) -> dict[str, Any]:
    """A terminal is narrow: each query's error, and the money in brackets."""
    cells = {"consumer": row.consumer, "meter": row.meter.name, "exact": _quantity(row, row.exact)}
    return {**cells, "billed": str(row.billed) if row.billed else None} | {
        query: _error(row, by) for by, query in QUERIES.items()
    }


def _error(row: Compared, by: Estimate) -> str | None:
    if by not in row.estimated:
        return None
    share = row.error(by)
    said = (
        _quantity(row, row.estimated[by])
        if share is None
        else f"{'+' if share > 0 else ''}{fixed_point(100 * share, 1)}%"
    )
    return f"{said} ({row.differences[by].digits})" if by in row.differences else said


def _row(row: Compared) -> dict[str, Any]:
    found: dict[str, Any] = {
        "consumer": row.consumer,
        "meter": row.meter.name,
        "exact": _quantity(row, row.exact),
        "billed": row.billed.digits if row.billed else None,
        "currency": str(row.billed.currency) if row.billed else None,
    }
    for by in row.estimated:
        share = row.error(by)
        found[by.value] = _quantity(row, row.estimated[by])
        found[f"{by.value}_percent"] = None if share is None else fixed_point(100 * share, 3)
        found[f"{by.value}_difference"] = row.differences[by].digits if by in row.differences else None
    return found


def _quantity(row: Compared, quantity: int) -> str:
    return decimal_text(row.meter.quantity(quantity))
