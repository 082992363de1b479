"""`rating simulate`: the book's history rated again under another catalogue; winners, losers, revenue. Read-only."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer

from rating.bootstrap import load_catalogue, open_book, read_sources
from rating.cli.frame import FORMAT, Format, console, days_of, instant, now, progress_bar, settings_of, show, warn
from rating.core.money import fixed_point
from rating.core.periods import Period, stamp
from rating.errors import Finding, SpecError
from rating.jobs.contracts import gather
from rating.jobs.simulate import Simulation, simulate
from rating.specs.compile import compile_catalogue
from rating.specs.nearest import or_one_of

COLUMNS = ("consumer", "customer", "plan", "periods", "before", "after", "change", "percent", "currency")
PERIOD_COLUMNS = (
    "consumer",
    "customer",
    "subscription",
    "plan",
    "start",
    "end",
    "before",
    "after",
    "change",
    "currency",
)


def add(app: typer.Typer) -> None:
    app.command("simulate")(command)


def command(
    context: typer.Context,
    catalog: Annotated[Path, typer.Option(help="The other catalogue: a file or a folder.")],
    start: Annotated[str, typer.Option("--from", help="Billing periods that begin on or after this day.")],
    end: Annotated[str, typer.Option("--to", help="Billing periods that begin before this day.")],
    move: Annotated[list[str] | None, typer.Option(help="PLAN=PLAN: its consumers go to that plan there.")] = None,
    consumer: Annotated[str | None, typer.Option(help="Only this consumer.")] = None,
    periods: Annotated[bool, typer.Option("--periods", help="One row per billing period, not per consumer.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Also write one row per billing period to this file.")] = None,
    format: Format = FORMAT,
) -> None:
    """Rate the book's history again under another catalogue, beside what it comes to under the contracts in force.

    Nothing is written to the book. Winners pay less, losers pay more; who pays most more comes first.
    """
    settings = settings_of(context)
    current, other = load_catalogue(settings), compile_catalogue(read_sources(catalog))
    begins, ends = instant(start), instant(end)
    assert begins is not None
    assert ends is not None
    if ends <= begins:
        _refuse("--to", f"{stamp(ends)} is not after --from {stamp(begins)}", "--to is the first day left out")
    moves = dict(_move(entry, set(current.plans), set(other.plans)) for entry in move or [])
    with open_book(settings) as book:
        contracts = gather(book, current, now=now())
        with progress_bar("rating history twice") as progress:
            simulation = simulate(
                book,
                contracts.subscriptions,
                contracts.plan,
                other.plans,
                span=Period(begins, ends),
                moves=moves,
                consumer=consumer,
                progress=progress,
            )
    if parquet is not None:
        write_parquet(simulation, parquet)
    if periods:
        show(period_rows(simulation), PERIOD_COLUMNS, format)
    else:
        consumers(simulation, format)
    if format is Format.TABLE:
        revenue(simulation)
    warn((*contracts.findings, *simulation.findings))


def consumers(simulation: Simulation, format: Format) -> None:
    """One row per consumer, who pays most more first."""
    rows = [
        {
            "consumer": one.consumer,
            "customer": one.customer,
            "plan": one.plan,
            "periods": one.periods,
            "before": one.before.digits,
            "after": one.after.digits,
            "change": one.change.digits,
            "percent": fixed_point(100 * one.change.exact / one.before.exact, 1) if one.before.minor else None,
            "currency": str(one.before.currency),
        }
        for one in simulation.changes
    ]
    # A terminal is narrow: the payer and the count of periods are for programs.
    short = tuple(column for column in COLUMNS if column not in ("customer", "periods"))
    show(rows, short if format is Format.TABLE else COLUMNS, format)


def revenue(simulation: Simulation) -> None:
    """Sums for people: revenue, winners and losers."""
    for currency, (before, after) in simulation.revenue.items():
        changes = [one for one in simulation.changes if one.before.currency == currency]
        more = sum(one.change.minor > 0 for one in changes)
        less = sum(one.change.minor < 0 for one in changes)
        console.print(
            f"revenue {before.digits} -> {after.digits} {currency} ({(after - before).digits}): "
            f"{more} pay more, {less} pay less, {len(changes) - more - less} the same",
            soft_wrap=True,
        )
    if not simulation.rerated:
        console.print(f"no billing period begins in {simulation.span}")


def period_rows(simulation: Simulation) -> list[dict[str, Any]]:
    return [
        {
            "consumer": one.subscription.consumer,
            "customer": one.subscription.payer,
            "subscription": one.subscription.key,
            "plan": one.plan_after,
            "start": stamp(one.period.start),
            "end": stamp(one.period.end),
            "before": one.before.digits,
            "after": one.after.digits,
            "change": one.change.digits,
            "currency": str(one.before.currency),
        }
        for one in simulation.rerated
    ]


def write_parquet(simulation: Simulation, path: Path) -> None:
    """One row per billing period; amounts are decimals of 4 places, which holds every currency.

    Raises:
        SpecError: pyarrow is not installed.
    """
    try:
        import pandas
        import pyarrow
    except ImportError:
        _refuse("--parquet", "pyarrow is not installed", 'pip install "rating-engine[parquet]"')
    frame = pandas.DataFrame(period_rows(simulation), columns=list(PERIOD_COLUMNS))
    amount = pandas.ArrowDtype(pyarrow.decimal128(38, 4))
    for column in ("before", "after", "change"):
        exact = [Decimal(text).quantize(Decimal("0.0001")) for text in frame[column]]
        frame[column] = pandas.array(exact, dtype=amount)
    instants = pandas.ArrowDtype(pyarrow.timestamp("s", "UTC"))
    frame["start"] = pandas.array([one.period.start for one in simulation.rerated], dtype=instants)
    frame["end"] = pandas.array([one.period.end for one in simulation.rerated], dtype=instants)
    frame.to_parquet(path, engine="pyarrow", index=False)


def span_of(text: str, zone: ZoneInfo) -> Period:
    """The period a person names, from midnight to midnight of that zone."""
    days = days_of(text)
    assert days is not None
    return _days(*days, zone)


def last_month(moment: datetime, zone: ZoneInfo) -> Period:
    """The calendar month before the one that contains `moment`."""
    first = moment.astimezone(zone).date().replace(day=1)
    return _days((first - timedelta(days=1)).replace(day=1), first, zone)


def _days(first: date, after: date, zone: ZoneInfo) -> Period:
    start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, after))
    return Period(start, end)


def _move(entry: str, here: set[str], there: set[str]) -> tuple[str, str]:
    plan, equals, target = entry.partition("=")
    if not equals:
        _refuse("--move", f'"{entry}" is not PLAN=PLAN', "write --move pro=scale")
    if plan not in here:
        _refuse("--move", f'no plan is called "{plan}"', or_one_of(plan, here))
    if target not in there:
        _refuse("--move", f'the other catalogue has no plan "{target}"', or_one_of(target, there))
    return plan, target


def _refuse(where: str, what: str, hint: str) -> NoReturn:
    raise SpecError((Finding(where, what, hint),))
