"""`rating stripe correct`: charge or credit at gateways that rate what late usage changed of periods final there."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated, Any

import typer

from rating.bootstrap import gateway_specs, load_catalogue, open_book, open_listening, open_offer_gateways
from rating.cli.frame import DONE, FORMAT, LOOK, Format, now, settings_of, show, stderr
from rating.cli.offers import GATEWAY, metered_specs
from rating.errors import Finding, SpecError
from rating.jobs import contracts
from rating.jobs.correct_periods import Corrected
from rating.jobs.correct_periods import correct as corrected
from rating.specs.gateways import collection

COLUMNS = ("gateway", "customer", "period", "charged", "amount", "remote", "said")


def add_to(group: typer.Typer) -> None:
    group.command("correct")(correct)


def correct(
    context: typer.Context,
    gateway: GATEWAY = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be charged; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before real money is moved.")] = False,
    format: Format = FORMAT,
) -> None:
    """Charge, or credit, with each customer's next invoice what late usage changed of periods that are final there.

    Twice is once: what stands there is looked at first. Exit code 3 when a period differs for another reason.
    """
    settings, moment = settings_of(context), now()
    specs = metered_specs(settings, gateway)
    listening = {one.reading.name: one for one in open_listening(specs)}
    who = collection(gateway_specs(settings))
    rows: list[dict[str, Any]] = []
    left = False
    with open_book(settings) as book:
        gathered = contracts.gather(book, load_catalogue(settings), now=moment)
        for served in open_offer_gateways(specs):
            name = served.name
            run = partial(
                corrected,
                book,
                gathered,
                served,
                listening[name].reading,
                takes=lambda customer, name=name: who.gateway_of(customer) == name,  # type: ignore[misc]
                now=moment,
            )
            found = run(dry_run=True)
            ready = [one for one in found if not one.why_not]
            left = left or len(ready) < len(found)
            if ready and not (dry_run or yes) and specs[name].real_money:
                _asked(name, ready)
            if not dry_run:
                # Also with nothing ready: what a crash has left is noted.
                found = run(dry_run=False)
            rows += [_row(name, one) for one in found]
    show(rows, COLUMNS, format)
    raise typer.Exit(LOOK if left else DONE)


def _asked(gateway: str, ready: list[Corrected]) -> None:
    for one in ready:
        stderr.print(f"gateway {gateway} charges REAL MONEY: {one.correction.amount} to {one.correction.customer}")
    if not sys.stdin.isatty():
        raise SpecError((Finding("--yes", "real money would be moved and nobody can be asked", "give --yes"),))
    typer.confirm("Go on?", abort=True, err=True)


def _row(gateway: str, one: Corrected) -> dict[str, Any]:
    what = one.correction
    return {
        "gateway": gateway,
        "customer": what.customer,
        "period": what.name,
        "charged": str(what.charged),
        "amount": str(what.amount),
        "remote": one.remote or None,
        "said": one.why_not,
    }
