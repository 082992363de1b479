"""`rating bill`: issue the invoices that are due."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book, open_taxes
from rating.cli.frame import (
    DONE,
    FORMAT,
    LOOK,
    Format,
    days_of,
    days_text,
    must_look,
    now,
    progress_bar,
    settings_of,
    show,
    stderr,
    warn,
)
from rating.core.billing import billing_periods
from rating.core.invoices import Draft
from rating.core.periods import stamp
from rating.jobs.bill import Billed, bill
from rating.jobs.contracts import Contracts, gather, keep

COLUMNS = ("invoice", "customer", "consumer", "plan", "period", "lines", "total", "currency")


def add(app: typer.Typer) -> None:
    app.command("bill")(command)


def command(
    context: typer.Context,
    period: Annotated[
        str | None, typer.Option(help="Only billing periods that start in 2026-10, 2026-Q4 or 2026, or on 2026-10-15.")
    ] = None,
    consumer: Annotated[str | None, typer.Option(help="Only this consumer.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Rate and show, issue nothing.")] = False,
    format: Format = FORMAT,
) -> None:
    """Issue every invoice whose billing period has ended, each once.

    An invoice is issued only when every usage window of its period is closed: one that waits is listed with the
    windows it waits for, and the exit code is 3; so it is where nobody can say how a customer is taxed, and where
    contracts contradict each other.
    """
    settings, moment = settings_of(context), now()
    catalogue, span = load_catalogue(settings), days_of(period)
    with open_book(settings) as book:
        if not dry_run:
            keep(book, catalogue, now=moment)
        contracts = gather(book, catalogue, now=moment)
        warn(contracts.findings)
        subscribed(contracts, consumer)
        with progress_bar("rating invoices") as progress:
            billed = bill(
                book,
                contracts,
                now=moment,
                starting=span,
                consumer=consumer,
                dry_run=dry_run,
                taxes=open_taxes(settings),
                progress=progress,
            )
    for note in billed.credited:
        about = f"credit note {note.number} over {note.total} about {note.draft.invoice}"
        stderr.print(f"{about}: late usage data", soft_wrap=True)
    nothing = not (billed.issued or billed.drafts or billed.postponed)
    _print(billed, dry_run, format, _next(contracts, consumer, moment) if nothing else None)
    raise typer.Exit(LOOK if billed.postponed or must_look(contracts.findings) else DONE)


def subscribed(contracts: Contracts, consumer: str | None) -> None:
    """Let pass a consumer that has ever been on a plan, and no name at all.

    Raises:
        typer.BadParameter: nobody of that name has a subscription.
    """
    if consumer is not None and all(consumer != known.consumer for known in contracts.subscriptions):
        raise typer.BadParameter(f"no subscription of consumer {consumer!r}; see `rating subscriptions list`")


def _next(contracts: Contracts, consumer: str | None, moment: datetime) -> datetime | None:
    """When the next billing period of a running subscription ends."""
    ends = (
        period.end
        for subscription in contracts.subscriptions
        if consumer in (None, subscription.consumer)
        for period, _, _ in billing_periods(subscription, contracts.plan, moment)
        if period.end > moment
    )
    return min(ends, default=None)


def _print(billed: Billed, dry_run: bool, format: Format, next_end: datetime | None) -> None:
    if dry_run:
        rows = [_row("(dry run)", draft) for draft in billed.drafts]
    else:
        rows = [_row(invoice.number, invoice.draft) for invoice in billed.issued]
    if rows or format is not Format.TABLE:
        show(rows, COLUMNS, format)
    elif not billed.postponed:
        soonest = f"; the next billing period ends at {stamp(next_end)} UTC" if next_end else ""
        stderr.print(f"no invoice is due{soonest}", soft_wrap=True)
    for item in billed.postponed:
        subscription, where = item.due.subscription.key, f"{item.due.period}"
        stderr.print(f"waiting: {subscription}, {where}: {'; '.join(item.reasons)}", soft_wrap=True)
    if billed.postponed:
        stderr.print(
            f"invoices that wait for their usage: {len(billed.postponed)}; run `rating collect`, then "
            "`rating windows list --held` for what only a person can settle",
            soft_wrap=True,
        )


def _row(number: str, draft: Draft) -> dict[str, object]:
    return {
        "invoice": number,
        "customer": draft.customer,
        "consumer": " ".join(dict.fromkeys(part.consumer for _, part in draft.parts)),
        "plan": " ".join(dict.fromkeys(part.plan for _, part in draft.parts)),
        "period": days_text(draft),
        "lines": len(draft.lines),
        "total": draft.total.digits,
        "currency": draft.currency.code,
    }
