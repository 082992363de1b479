"""`rating accrue`: usage, allowance and amount to date of every open subscription."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book
from rating.cli.bill import subscribed
from rating.cli.frame import DONE, FORMAT, LOOK, Format, must_look, now, settings_of, show, stderr, warn
from rating.core.money import decimal_text, fixed_point, round_amount
from rating.core.periods import stamp
from rating.jobs import accrue as job
from rating.jobs.contracts import gather

COLUMNS = ("consumer", "plan", "charge", "used", "included", "unit", "share", "accrued", "currency", "period")


def add(app: typer.Typer) -> None:
    app.command("accrue")(command)


def command(
    context: typer.Context,
    consumer: Annotated[str | None, typer.Option(help="Only this consumer.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show only; leave the book's accruals as they are.")
    ] = False,
    format: Format = FORMAT,
) -> None:
    """Show what every subscription has used and owes in its open period, from closed windows only.

    Amounts are rounded for reading; the exact ones are kept in the book. Usage of consumers nobody subscribed is listed
    at the end: it is kept, never dropped.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    with open_book(settings) as book:
        contracts = gather(book, catalogue, now=moment)
        warn(contracts.findings)
        subscribed(contracts, consumer)
        accrued = job.accrue(book, contracts, now=moment, consumer=consumer)
        if not dry_run and consumer is None:
            job.show(book, accrued)
    show(list(_rows(accrued)), COLUMNS, format)
    for meter, end in sorted(accrued.through.items()):
        stderr.print(f"meter {meter}: through {stamp(end)}")
    strangers = {meter: consumers for meter, consumers in accrued.unbilled.items() if consumers}
    for meter, consumers in sorted(strangers.items()):
        names = list(consumers)
        listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        amount = decimal_text(sum(consumers.values(), Fraction(0)))
        stderr.print(
            f"meter {meter}: {amount} counted this month for nobody: {listed}; `rating subscriptions add`",
            soft_wrap=True,
        )
    raise typer.Exit(LOOK if strangers or must_look(contracts.findings) else DONE)


def _rows(accrued: job.Accrued) -> Iterator[dict[str, object]]:
    for group in accrued.plans:
        currency = group.currency
        used_by = {entry.card.key: entry.rated.quantity.fractions() for entry in group.cards}
        owed_by = {entry.card.key: entry.rated.amount.fractions() for entry in group.cards}
        for index, subscription in enumerate(group.subscriptions):
            shared = {
                "consumer": subscription.consumer,
                "plan": group.plan.key,
                "currency": currency.code,
                "period": str(group.period),
            }
            if group.fee:
                fee = round_amount(group.fee, currency, group.plan.rounding)
                yield {**shared, "charge": "fee", "accrued": fee.digits}
            for entry in group.cards:
                used = used_by[entry.card.key][index]
                included = entry.card.included
                amount = round_amount(owed_by[entry.card.key][index], currency, group.plan.rounding)
                yield {
                    **shared,
                    "charge": entry.card.key,
                    "used": decimal_text(used),
                    "included": decimal_text(included) if included else "",
                    "unit": entry.card.meter.unit,
                    "share": f"{fixed_point(100 * used / included, 1)}%" if included else "",
                    "accrued": amount.digits,
                }
