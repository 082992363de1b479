"""`rating subscriptions`: who is on which plan, from the catalogue and from the book; subscribe, cancel, move."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Annotated, NoReturn

import typer

from rating.bootstrap import load_catalogue, open_book
from rating.cli.frame import FORMAT, LOOK, Format, console, now, settings_of, show, warn
from rating.core.catalogue import Catalogue
from rating.core.periods import align, stamp
from rating.core.subscriptions import CALENDAR, Subscription, merge
from rating.errors import Finding, SpecError
from rating.ports import Book
from rating.specs.fields import anchor as read_anchor
from rating.specs.fields import moment
from rating.specs.nearest import or_one_of

COLUMNS = ("subscription", "consumer", "customer", "plan", "start", "end", "anchor", "kept in")

CONSUMER = Annotated[str, typer.Argument(help="The consumer, as the meter's consumer label names it.")]
PLAN = Annotated[str, typer.Argument(help="A plan of the catalogue.")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Check and say what would be kept, keep nothing.")]


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="Who is on which plan: list, add, cancel, move.", no_args_is_help=True)
    app.add_typer(group, name="subscriptions")
    group.command("list")(list_all)
    group.command("add")(subscribe)
    group.command("cancel")(cancel)
    group.command("move")(move)


def list_all(
    context: typer.Context,
    consumer: Annotated[str | None, typer.Option(help="Only this consumer.")] = None,
    plan: Annotated[str | None, typer.Option(help="Only this plan.")] = None,
    format: Format = FORMAT,
) -> None:
    """List every subscription, of the catalogue and of the book. Exit code 3 when some cannot be billed."""
    settings = settings_of(context)
    catalogue = load_catalogue(settings)
    with open_book(settings) as book:
        kept = book.subscriptions()
    merged, findings = merge(catalogue.subscriptions, kept, catalogue.plans)
    in_book = {subscription.key for subscription in kept}
    rows = [
        {
            "subscription": one.key,
            "consumer": one.consumer,
            "customer": one.payer,
            "plan": one.plan,
            "start": stamp(one.start),
            "end": stamp(one.end) if one.end else "",
            "anchor": one.anchor.isoformat(),
            "kept in": "book" if one.key in in_book else "catalogue",
        }
        for one in merged
        if consumer in (None, one.consumer) and plan in (None, one.plan)
    ]
    # On paper the name says consumer, plan and first day already.
    show(rows, ("subscription", "customer", "end", "kept in") if format is Format.TABLE else COLUMNS, format)
    warn(findings)
    if findings:
        raise typer.Exit(LOOK)


def subscribe(
    context: typer.Context,
    consumer: CONSUMER,
    plan: PLAN,
    start: Annotated[str, typer.Option(help="First day: 2026-10-01, or an instant on a window's start.")],
    end: Annotated[str | None, typer.Option(help="First day no longer billed; open when absent.")] = None,
    customer: Annotated[str, typer.Option(help="Who pays; the consumer when absent.")] = "",
    anchor: Annotated[
        str | None, typer.Option(help="Day periods begin on: 1 to 31, a weekday, a date, or start. Calendar if absent.")
    ] = None,
    dry_run: DRY_RUN = False,
) -> None:
    """Subscribe a consumer to a plan, kept in the book. The same command twice is one subscription."""
    settings = settings_of(context)
    catalogue = load_catalogue(settings)
    begins = _instant(start, catalogue, "--start")
    ends = None if end is None else _instant(end, catalogue, "--end")
    wanted = Subscription(
        consumer=consumer,
        plan=plan,
        start=begins,
        end=ends,
        customer=customer,
        zone=catalogue.zone,
        anchor=CALENDAR if anchor is None else _anchor(anchor, begins, catalogue),
    )
    with open_book(settings) as book:
        _checked(wanted, catalogue, book.subscriptions())
        _keep(book, wanted, dry_run)


def cancel(
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="Its name as `rating subscriptions list` shows it.")],
    end: Annotated[str, typer.Option(help="First day no longer billed.")],
    dry_run: DRY_RUN = False,
) -> None:
    """End a subscription that is kept in the book."""
    settings = settings_of(context)
    catalogue = load_catalogue(settings)
    ends = _instant(end, catalogue, "--end")
    with open_book(settings) as book:
        known = {one.key: one for one in book.subscriptions()}
        if subscription not in known:
            _refuse_unknown(subscription, catalogue, known)
        _on_a_window(ends, known[subscription].plan, catalogue, "--end")
        if not dry_run:
            book.cancel(subscription, end=ends, at=now())
        console.print(f"{'would end' if dry_run else 'ended'} {subscription} at {stamp(ends)} UTC")


def move(
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="Its name as `rating subscriptions list` shows it.")],
    plan: Annotated[str, typer.Argument(help="The plan to move to.")],
    since: Annotated[str, typer.Option("--from", help="First day on the new plan.")],
    dry_run: DRY_RUN = False,
) -> None:
    """Move a consumer to another plan: one subscription ends where the next begins, on the same anchor and payer.

    Repeating the command after an interruption completes it.
    """
    settings = settings_of(context)
    catalogue = load_catalogue(settings)
    begins = _instant(since, catalogue, "--from")
    with open_book(settings) as book:
        known = {one.key: one for one in book.subscriptions()}
        if subscription not in known:
            _refuse_unknown(subscription, catalogue, known)
        old = known[subscription]
        new = replace(old, plan=plan, start=begins, end=None)
        if begins <= old.start:
            _refuse(
                "--from", f"{subscription} starts {stamp(old.start)}, not before {stamp(begins)}", "choose a later day"
            )
        if plan == old.plan:
            _refuse("plan", f'{subscription} is on "{plan}" already', or_one_of("", set(catalogue.plans) - {plan}))
        others = [one for one in known.values() if one.key not in (old.key, new.key)]
        ended = replace(old, end=begins)
        _on_a_window(begins, old.plan, catalogue, "--from")
        _checked(new, catalogue, (*others, ended))
        if not dry_run:
            # Ended first: if the second step is lost, nothing is billed twice, and the same command repeats it.
            book.cancel(old.key, end=begins, at=now())
        console.print(f"{'would end' if dry_run else 'ended'} {old.key} at {stamp(begins)} UTC")
        _keep(book, new, dry_run)


def _keep(book: Book, subscription: Subscription, dry_run: bool) -> None:
    if dry_run:
        console.print(f"would keep {subscription.key}")
    elif book.subscribe(subscription, at=now()):
        console.print(f"kept {subscription.key}")
    else:
        console.print(f"{subscription.key} was kept before")


def _checked(wanted: Subscription, catalogue: Catalogue, kept: tuple[Subscription, ...]) -> None:
    if wanted.plan not in catalogue.plans:
        _refuse("plan", f'the catalogue has no plan "{wanted.plan}"', or_one_of(wanted.plan, catalogue.plans))
    if wanted.end is not None and wanted.end <= wanted.start:
        _refuse("--end", f"{stamp(wanted.end)} is not after the start {stamp(wanted.start)}", "choose a later day")
    _on_a_window(wanted.start, wanted.plan, catalogue, "--start")
    if wanted.end is not None:
        _on_a_window(wanted.end, wanted.plan, catalogue, "--end")
    others = [one for one in kept if one.key != wanted.key]
    _, before = merge(catalogue.subscriptions, others, catalogue.plans)
    _, after = merge(catalogue.subscriptions, (*others, wanted), catalogue.plans)
    new = tuple(finding for finding in after if finding not in before)
    if new:
        raise SpecError(new)


def _on_a_window(instant: datetime, plan: str, catalogue: Catalogue, flag: str) -> None:
    for card in catalogue.plans[plan].cards if plan in catalogue.plans else ():
        boundary = align(instant, card.meter.window)
        if boundary != instant:
            _refuse(
                flag,
                f'{stamp(instant)} UTC lies inside a window of meter "{card.meter.name}"',
                f"write {boundary:%Y-%m-%dT%H:%MZ}",
            )


def _refuse_unknown(name: str, catalogue: Catalogue, known: dict[str, Subscription]) -> None:
    if any(one.key == name for one in catalogue.subscriptions):
        _refuse(name, "is written in the catalogue", "give it an `end:` there, and write the next one beside it")
    _refuse(
        name, "there is no such subscription in the book", or_one_of(name, known, "see `rating subscriptions list`")
    )


def _instant(text: str, catalogue: Catalogue, flag: str) -> datetime:
    try:
        written = moment(text)
    except ValueError as error:
        _refuse(flag, *_split(error))
    if isinstance(written, datetime):
        return written
    return datetime.combine(written, time(), catalogue.zone).astimezone(UTC)


def _anchor(text: str, start: datetime, catalogue: Catalogue) -> date:
    try:
        written = read_anchor(int(text) if text.isdecimal() else text)
    except ValueError as error:
        _refuse("--anchor", *_split(error))
    return written if isinstance(written, date) else start.astimezone(catalogue.zone).date()


def _split(error: ValueError) -> tuple[str, str]:
    what, _, hint = str(error).partition("; ")
    return what, hint


def _refuse(where: str, what: str, hint: str) -> NoReturn:
    raise SpecError((Finding(where, what, hint),))
