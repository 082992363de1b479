"""`rating subscriptions`: who is on which plan, of catalogue and book; subscribe, cancel, move, pause."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Annotated, NoReturn

import typer

from rating.bootstrap import load_catalogue, open_book
from rating.cli.frame import FORMAT, LOOK, Format, console, now, settings_of, show, warn
from rating.core.catalogue import Catalogue
from rating.core.periods import align, stamp
from rating.core.subscriptions import CALENDAR, Subscription, merge, pausable, resumable
from rating.errors import Finding, SpecError
from rating.jobs.contracts import gather
from rating.jobs.lives import taken_back
from rating.jobs.subscribing import period_end, window_end
from rating.ports import Book
from rating.specs.fields import anchor as read_anchor
from rating.specs.fields import moment
from rating.specs.nearest import or_one_of

COLUMNS = ("subscription", "consumer", "customer", "plan", "start", "end", "anchor", "kept in")

CONSUMER = Annotated[str, typer.Argument(help="The consumer, as the meter's consumer label names it.")]
PLAN = Annotated[str, typer.Argument(help="A plan of the catalogue.")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Check and say what would be kept, keep nothing.")]


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="Who is on which plan: list, add, cancel, move, pause, resume.", no_args_is_help=True)
    app.add_typer(group, name="subscriptions")
    group.command("list")(list_all)
    group.command("add")(subscribe)
    group.command("cancel")(cancel)
    group.command("move")(move)
    group.command("pause")(pause)
    group.command("resume")(resume)


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
    end: Annotated[str | None, typer.Option(help="First day no longer billed.")] = None,
    immediately: Annotated[bool, typer.Option("--now", help="With the usage windows that are open now.")] = False,
    at_period_end: Annotated[bool, typer.Option("--at-period-end", help="With the billing period of today.")] = False,
    dry_run: DRY_RUN = False,
) -> None:
    """End a subscription that is kept in the book: on a day, now, or with its billing period.

    What was charged in advance beyond its end is given back on its last invoice.
    """
    if sum((end is not None, immediately, at_period_end)) != 1:
        _refuse("--end", "a subscription ends once", "write one of --end DAY, --now and --at-period-end")
    settings = settings_of(context)
    catalogue = load_catalogue(settings)
    with open_book(settings) as book:
        known = {one.key: one for one in book.subscriptions()}
        if subscription not in known:
            _refuse_unknown(subscription, catalogue, known)
        if end is not None:
            ends = _instant(end, catalogue, "--end")
        else:
            contracts = gather(book, catalogue, now=now())
            ends = (window_end if immediately else period_end)(known[subscription], contracts, now())
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


def pause(
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="Its name as `rating subscriptions list` shows it.")],
    start: Annotated[str, typer.Option("--from", help="First day that is not billed.")],
    dry_run: DRY_RUN = False,
) -> None:
    """Pause a subscription: from then on neither fees nor usage are billed, until it is resumed.

    Parts of a period before and after a pause have their parts of fee and allowance, and begin their tiers anew.
    """
    settings = settings_of(context)
    catalogue = load_catalogue(settings)
    with open_book(settings) as book:
        one = _known(book, catalogue, subscription)
        begins = _instant(start, catalogue, "--from")
        _on_a_window(begins, one.plan, catalogue, "--from")
        _not_billed(book, one, begins, "--from")
        new = pausable(one.key, begins, one.pauses) if dry_run else book.pause(one.key, start=begins, at=now())
    _said("pause", "paused", one.key, begins, dry_run, new)


def resume(
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="Its name as `rating subscriptions list` shows it.")],
    on: Annotated[str, typer.Option("--on", help="First day that is billed again.")],
    dry_run: DRY_RUN = False,
) -> None:
    """End the pause of a subscription."""
    settings = settings_of(context)
    catalogue = load_catalogue(settings)
    with open_book(settings) as book:
        one = _known(book, catalogue, subscription)
        ends = _instant(on, catalogue, "--on")
        _on_a_window(ends, one.plan, catalogue, "--on")
        _not_billed(book, one, ends, "--on")
        new = resumable(one.key, ends, one.pauses) is not None if dry_run else book.resume(one.key, end=ends, at=now())
    _said("resume", "resumed", one.key, ends, dry_run, new)


def _known(book: Book, catalogue: Catalogue, name: str) -> Subscription:
    known = {one.key: one for one in gather(book, catalogue, now=now()).subscriptions}
    if name not in known:
        _refuse(name, "there is no such subscription", or_one_of(name, known, "see `rating subscriptions list`"))
    return known[name]


def _not_billed(book: Book, one: Subscription, instant: datetime, flag: str) -> None:
    """An issued invoice does not change: what it billed cannot be paused afterwards."""
    gone = taken_back(book)
    for invoice in book.invoices(consumer=one.consumer):
        for _, part in invoice.draft.parts:
            own = part.subscription == one.key and invoice.number not in gone and not part.opening
            if own and instant < part.period.end:
                _refuse(
                    flag,
                    f"invoice {invoice.number} has billed until {stamp(part.period.end)}",
                    f"choose that day or a later one, or take it back with `rating invoices void {invoice.number}`",
                )


def _said(verb: str, done: str, key: str, instant: datetime, dry_run: bool, new: bool) -> None:
    what = f"would {verb}" if dry_run else done if new else f"had {done} before"
    console.print(f"{what} {key} at {stamp(instant)} UTC", soft_wrap=True)


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
