"""`rating publish`: carry issued invoices, or usage, to whoever collects them."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Annotated

import typer

from rating.bootstrap import gateway_specs, open_book, open_gateways
from rating.cli import metered
from rating.cli.frame import DONE, FAILED, FORMAT, LOOK, Format, console, now, progress_bar, settings_of, show, stderr
from rating.core.money import total
from rating.core.periods import stamp
from rating.core.publications import Dispatch, InvoiceDispatch, Outcome, Progress, State
from rating.errors import BookError, EdgeRefused, Finding, SpecError
from rating.jobs.publish import Waiting, publish, redescribed, waiting
from rating.ports import Book
from rating.settings import Settings
from rating.specs.gateways import GatewaySpec, collection

PLANNED = ("gateway", "customer", "subject", "state", "action")
ENTERED = ("gateway", "subject", "outcome", "said")
PARKED = ("gateway", "subject", "attempts", "at", "said")


def add(app: typer.Typer) -> None:
    app.command("publish")(command)


def command(
    context: typer.Context,
    only: Annotated[str, typer.Option(help="Only this invoice and what follows on it, INV-000042.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be carried; call nobody.")] = False,
    parked: Annotated[bool, typer.Option("--parked", help="List what waits for a person; carry nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before real money is moved.")] = False,
    format: Format = FORMAT,
) -> None:
    """Carry what was issued to the gateways of RATING_GATEWAYS, each paper once, whatever was stopped before.

    A gateway with `mode: metered` is told subscriptions and usage instead, and rates them by the prices that
    `rating stripe apply` has made. One with `mode: usage` is told usage alone, for prices and subscriptions made there.

    A gateway with a key for real money says first what it will do, and asks. Exit code 1 when something failed and
    will be tried again, 3 when something is parked: see `--parked`, then `rating stripe retry`.
    """
    settings = settings_of(context)
    specs = specs_of(settings)
    with open_book(settings) as book:
        if parked:
            raise typer.Exit(list_parked(book, list(specs), format))
        served = open_gateways(specs)
        who = collection(specs)
        left = waiting(book, served, who, only=only)
        if only and book.invoice(only) is None:
            raise BookError(f"the book holds no invoice {only}; `rating invoices list` shows them")
        if dry_run:
            usage = () if only else metered.tell(book, settings, specs, dry_run=True)
            show([*_planned(book, left), *metered.planned(usage)], PLANNED, format)
            metered.say(usage)
            return
        _may_move_money(book, settings, left, specs, yes, usage=not only)
        with progress_bar("carrying papers") as moved:
            told = 0

            def entered(progress: Progress, of: int) -> None:
                nonlocal told
                told += 1
                moved(told, max(of, told))

            done = publish(book, served, who, now=now(), clock=now, only=only, entered=entered)
        usage = () if only else metered.tell(book, settings, specs)
    rows: list[dict[str, object]] = [
        {"gateway": one.gateway, "subject": one.subject, "outcome": one.outcome.value, "said": one.said}
        for one in done.entries
    ]
    if format is Format.TABLE:
        rows = [row for row in rows if row["outcome"] != Outcome.DONE.value]
    rows += metered.entered(usage)
    if rows or format is not Format.TABLE:
        show(rows, ENTERED, format)
    counted = Counter(one.outcome for one in done.entries)
    for sentence in done.said:
        stderr.print(sentence, soft_wrap=True)
    metered.say(usage)
    if format is Format.TABLE:
        console.print(
            f"{counted[Outcome.DONE]} carried, {counted[Outcome.FAILED]} failed and tried again later, "
            f"{done.parked + sum(one.parked for one in usage)} parked, {done.later} left"
        )
    if done.parked or any(one.parked for one in usage):
        raise typer.Exit(LOOK)
    away = any(one.reported.away for one in usage)
    raise typer.Exit(FAILED if counted[Outcome.FAILED] or away else DONE)


def specs_of(settings: Settings) -> dict[str, GatewaySpec]:
    """Raises:
    SpecError: no gateway is named.
    """
    specs = gateway_specs(settings)
    if not specs:
        hint = "write gateways: {main: {kind: stripe, key: sk_test_...}} into a file and name it"
        raise SpecError((Finding("RATING_GATEWAYS", "no gateway is named", hint),))
    return specs


def list_parked(book: Book, gateways: list[str], format: Format) -> int:
    """What waits for a person at these gateways. Returns the exit code."""
    rows = [
        {
            "gateway": one.progress.gateway,
            "subject": one.progress.subject,
            "attempts": one.progress.number,
            "at": stamp(one.at.replace(microsecond=0)),
            "said": one.progress.said,
        }
        for name in gateways
        for one in book.parked(name)
    ]
    show(rows, PARKED, format)
    return LOOK if rows else DONE


def _planned(book: Book, left: tuple[Waiting, ...]) -> list[dict[str, object]]:
    return [
        {
            "gateway": one.name,
            "customer": link.customer,
            "subject": link.subject,
            "state": one.state(link).value,
            "action": _preview(book, one, link),
        }
        for one in left
        for link in one.dispatches
    ]


def _preview(book: Book, one: Waiting, link: Dispatch) -> str:
    try:
        said = one.served.gateway.preview(link)
        return f"{said}, after the new details of {link.customer}" if redescribed(book, one.name, link) else said
    except EdgeRefused as refused:
        return f"cannot: {refused}"


def _may_move_money(
    book: Book, settings: Settings, left: tuple[Waiting, ...], specs: dict[str, GatewaySpec], yes: bool, usage: bool
) -> None:
    """Say what a key for real money will do, and ask."""
    real = [one for one in left if specs[one.name].real_money]
    for one in real:
        stderr.print(said(one), soft_wrap=True)
    told: list[str] = []
    if usage and any(spec.real_money for spec in specs.values()):
        told = metered.real_money(metered.tell(book, settings, specs, dry_run=True), specs)
        for sentence in told:
            stderr.print(sentence, soft_wrap=True)
    if not (told or any(one.dispatches for one in real)) or yes:
        return
    if not sys.stdin.isatty():
        raise SpecError((Finding("--yes", "real money would be moved and nobody can be asked", "give --yes"),))
    typer.confirm("Go on?", abort=True, err=True)


def said(one: Waiting) -> str:
    """What a gateway will do, in one sentence."""
    invoices = [
        link.invoice
        for link in one.dispatches
        if isinstance(link, InvoiceDispatch) and one.state(link) is State.WAITING
    ]
    currencies = dict.fromkeys(invoice.draft.currency for invoice in invoices)
    sums = [
        str(total([invoice.total for invoice in invoices if invoice.draft.currency == currency], currency))
        for currency in currencies
    ]
    over = f" over {' and '.join(sums)}" if sums else ""
    return (
        f"gateway {one.name} collects REAL MONEY: {len(invoices)} invoices{over}, "
        f"{len(one.dispatches)} papers and steps in all"
    )
