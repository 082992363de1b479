"""`rating stripe reconcile`: what stands at gateways beside our book, both ways; and what was lost on its way to us."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book
from rating.cli.frame import DONE, FORMAT, LOOK, Format, console, days_of, now, progress_bar, settings_of, show
from rating.cli.publish import specs_of
from rating.cli.settle import listening_of
from rating.core.periods import Period
from rating.errors import Finding, SpecError
from rating.jobs.contracts import gather
from rating.jobs.offer import offering
from rating.jobs.reconcile import compare, told_until
from rating.jobs.settle import settle, take_up
from rating.specs.gateways import collection

COLUMNS = ("gateway", "kind", "where", "what", "hint")


def add_to(group: typer.Typer) -> None:
    group.command("reconcile")(reconcile)


def reconcile(
    context: typer.Context,
    period: Annotated[
        str | None, typer.Option(help="Invoices of this billing period, 2026-10; those of the last 90 days if absent.")
    ] = None,
    gateway: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only compare: do not take up what was lost on its way to us.")
    ] = False,
    format: Format = FORMAT,
) -> None:
    """Compare every gateway with the book, in both directions. Exit code 3 when anything differs.

    First what happened there and was not told us is asked for and settled: a gateway remembers 30 days. Nothing is
    changed at the gateway.
    """
    settings, moment = settings_of(context), now()
    specs = specs_of(settings)
    listening = [one for one in listening_of(settings) if gateway in (None, one.reading.name)]
    if not listening:
        raise SpecError((Finding("--gateway", f"no gateway is called {gateway}", f"known are {', '.join(specs)}"),))
    who = collection(specs)
    days = days_of(period)
    span = None if days is None else Period(*(datetime.combine(day, time(), UTC) for day in days))
    found = []
    with open_book(settings) as book:
        contracts = gather(book, load_catalogue(settings), now=moment)
        for one in listening:
            name = one.reading.name
            if not dry_run:
                taken = take_up(book, one.reader, since=told_until(book, name, moment), clock=now)
                settle(
                    book, contracts, [one.reader], now=moment, wanted=offering(contracts, [one.usage], who, now=moment)
                )
                if taken and format is Format.TABLE:
                    console.print(f"{name}: {taken} events had not reached us")
            with progress_bar(f"reading {name}") as moved:
                compared = compare(
                    book,
                    contracts,
                    one.reading,
                    one.reader,
                    who,
                    now=moment,
                    period=span,
                    since=one.since,
                    usage=one.usage,
                    read=lambda what, count: moved(count, count),
                )
            found.append(compared)
    rows = [
        {
            "gateway": compared.gateway,
            "kind": one.kind.value,
            "where": one.finding.where,
            "what": one.finding.what,
            "hint": one.finding.hint,
        }
        for compared in found
        for one in compared.differs
    ]
    if rows or format is not Format.TABLE:
        show(rows, COLUMNS, format)
    if format is Format.TABLE:
        for compared in found:
            console.print(
                f"{compared.gateway}: {compared.ours} invoices of ours, {compared.papers} there, "
                f"{len(compared.differs)} differences, {compared.under_way} under way",
                soft_wrap=True,
            )
    raise typer.Exit(LOOK if rows else DONE)
