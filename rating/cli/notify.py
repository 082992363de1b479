"""`rating notify`: what was told to whom, what became of it, and what would be told now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer

from rating.bootstrap import load_catalogue, open_book, open_notifiers, open_source
from rating.cli.frame import (
    DONE,
    FAILED,
    FORMAT,
    LOOK,
    Format,
    console,
    instant,
    now,
    settings_of,
    show,
    stderr,
)
from rating.core.conversions import Approach, monthly_gain
from rating.core.deliveries import Delivery, Outcome, State, due_at, state
from rating.core.money import decimal_text, grouped, round_amount
from rating.core.notices import INBOX, Kind, Notification, Planned, Preference, Told, Topic
from rating.core.notifications import planned
from rating.core.periods import stamp
from rating.core.plans import Plan
from rating.errors import BookError, Finding, SpecError
from rating.jobs import contracts
from rating.jobs.accrue import accrue
from rating.jobs.deliver import deliver, revive
from rating.jobs.notify import notify
from rating.jobs.pipeline import pipeline
from rating.ports import Book
from rating.specs.wording import worded
from rating.web.doors import tokens_of
from rating.web.tokens import Purpose
from rating.web.unsubscribe import link

LIST = ("id", "told", "kind", "customer", "consumer", "plan", "period", "meter", "mark", "used", "allowance", "ways")
SHORT = ("id", "told", "kind", "about", "mark", "used", "ways")
PIPELINE = ("consumer", "customer", "plan", "next plan", "told", "at", "last", "converted", "gain", "currency")
WAYS = ("id", "channel", "state", "recipient", "attempt", "at", "outcome", "said", "next")
DEAD = ("id", "channel", "kind", "customer", "attempts", "last", "said")
NEWS = ("kind", "customer", "consumer", "meter", "mark", "used", "allowance", "ways", "subject")


def add(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Notifications: what was told, what is under way, what is dead.", invoke_without_command=True
    )
    group.callback()(default)
    group.command("list")(list_notifications)
    group.command("show")(show_notification)
    group.command("pipeline")(list_pipeline)
    group.command("dead")(dead)
    group.command("retry")(retry)
    group.command("preview")(preview)
    group.command("send")(send)
    group.command("prefer")(prefer)
    group.command("token")(token)
    app.add_typer(group, name="notify")


SINCE = typer.Option(None, "--since", help="Only what was told at this time or later, 2026-10-01.")
CUSTOMER = typer.Option(None, help="Only this customer.")
NAME = Annotated[str, typer.Argument(help="The notification's id, n-0123456789abcdef.")]


def default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_notifications(context, None, None, Format.TABLE)


def list_notifications(
    context: typer.Context, customer: str | None = CUSTOMER, since: str | None = SINCE, format: Format = FORMAT
) -> None:
    """List what was told, oldest first, with how far it has come on each of its ways."""
    with open_book(settings_of(context)) as book:
        told = book.notifications(customer=customer, since=instant(since))
        ways: dict[str, list[Delivery]] = {}
        for one in book.deliveries():
            ways.setdefault(one.told.notification.id, []).append(one)
    rows = [_row(one, ways.get(one.notification.id, [])) for one in told]
    show(rows, SHORT if format is Format.TABLE else LIST, format)


def show_notification(context: typer.Context, name: NAME, format: Format = FORMAT) -> None:
    """Show one notification: its words, its numbers, and every attempt on each of its ways."""
    with open_book(settings_of(context)) as book:
        told = found(book, name)
        ways = book.deliveries(name)
        heard = _heard(book, told)
    if format is not Format.TABLE:
        show(list(_attempts(ways)), WAYS, format)
        return
    one = told.notification
    words = worded(one, "en", at=told.at, to_customer=False)
    console.print(f"{one.id}, {one.kind}, told {stamp(told.at.replace(microsecond=0))}", style="bold")
    console.print(words.subject)
    for line in words.lines:
        console.print(f"  {line}", soft_wrap=True)
    console.print(f"  About: {one.key}", soft_wrap=True)
    if heard:
        console.print(f"  {heard}", soft_wrap=True)
    show(list(_attempts(ways)), WAYS, format)


def list_pipeline(context: typer.Context, format: Format = FORMAT) -> None:
    """List subscriptions that were told of their next plan in the last 90 days, and since when they are on it.

    `gain` is by how much the fees are higher there, a month's worth.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    with open_book(settings) as book:
        gathered = contracts.gather(book, catalogue, now=moment)
        found = pipeline(book, gathered, now=moment)
    show([_approach(one, gathered.current.plans) for one in found], PIPELINE, format)


def dead(context: typer.Context, format: Format = FORMAT) -> None:
    """List dead letters: declined, or failed too often. Exit code 3 when there are some.

    Mend what the last answer says, then `rating notify retry ID`.
    """
    with open_book(settings_of(context)) as book:
        letters = [one for one in book.deliveries() if state(one.attempts) is State.DEAD]
    rows = [
        {
            "id": one.told.notification.id,
            "channel": one.planned.channel,
            "kind": one.told.notification.kind.value,
            "customer": one.told.notification.customer or None,
            "attempts": len(one.attempts),
            "last": stamp(one.attempts[-1].at.replace(microsecond=0)),
            "said": one.attempts[-1].attempt.said,
        }
        for one in letters
    ]
    show(rows, DEAD, format)
    raise typer.Exit(LOOK if letters else DONE)


def retry(
    context: typer.Context,
    name: NAME,
    channel: Annotated[str | None, typer.Option(help="Only on this way.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent again; send nothing.")] = False,
) -> None:
    """Try a dead delivery again, now. Exit code 1 when it fails once more."""
    settings, moment = settings_of(context), now()
    notifiers = open_notifiers(settings)
    routing = load_catalogue(settings).notifications
    with open_book(settings) as book:
        found(book, name)
        if dry_run:
            for one in book.deliveries(name):
                if state(one.attempts) is State.DEAD and channel in (None, one.planned.channel):
                    console.print(f"would go out again by {one.planned.channel}:", style="bold")
                    notifier = notifiers.get(one.planned.channel)
                    console.print(notifier.preview(one) if notifier else "no channel of that name is known")
            return
        revive(book, name, channel, now=moment)
        done = deliver(
            book, notifiers, routing, now=moment, unsubscribe=link(settings.public_url, tokens_of(settings)), only=name
        )
    for attempt in done.attempts:
        console.print(f"{attempt.channel}: {attempt.outcome}: {attempt.said}", soft_wrap=True)
    if not done.attempts:
        console.print("a running engine delivers it, or quiet hours keep it waiting; `rating notify show` tells")
    failed = any(attempt.outcome in (Outcome.FAILED, Outcome.REFUSED) for attempt in done.attempts)
    raise typer.Exit(FAILED if failed else DONE)


def preview(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A notification of the book; without one, an example.")] = None,
    kind: Annotated[Kind, typer.Option(help="The kind of the example.")] = Kind.ALLOWANCE_REACHED,
    channel: Annotated[
        str | None, typer.Option(help="As this channel would send it; all of its ways when absent.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="en, de or fr.")] = None,
) -> None:
    """Show exactly what a channel would send. Sends nothing and keeps nothing."""
    from rating.specs.examples import example

    settings, moment = settings_of(context), now()
    notifiers = open_notifiers(settings)
    if channel is not None and channel not in notifiers:
        raise SpecError(
            (Finding("--channel", f'no channel is called "{channel}"', f"known are {', '.join(notifiers)}"),)
        )
    routing = load_catalogue(settings).notifications
    if name is None:
        one = example(kind, moment)
        theirs = [other for other, notifier in notifiers.items() if notifier.to_customer]
        told = Told(one, moment)
        ways = planned(one, routing, theirs, (INBOX,)) or (Planned(INBOX),)
    else:
        with open_book(settings) as book:
            told = found(book, name)
        ways = told.notification.planned
    for way in ways if channel is None else (next((w for w in ways if w.channel == channel), Planned(channel)),):
        shown = Planned(way.channel, way.recipient or "customer@example.com", language or way.language, way.quiet)
        notifier = notifiers.get(way.channel)
        console.print(f"-- by {way.channel}", style="bold")
        if notifier is None:
            console.print(f'no channel is called "{way.channel}"; write it into the file of RATING_CHANNELS')
        else:
            console.print(notifier.preview(Delivery(told, shown)), soft_wrap=True)


def send(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be told and sent; keep nothing and send nothing.")
    ] = False,
    format: Format = FORMAT,
) -> None:
    """Tell what is news now, and deliver what is due: what `rating run` does at every tick.

    Exit code 3 when news wait because usage is held.
    """
    settings, moment = settings_of(context), now()
    catalogue, notifiers = load_catalogue(settings), open_notifiers(settings)
    with open_book(settings) as book:
        gathered = contracts.gather(book, catalogue, now=moment)
        accrued = accrue(book, gathered, now=moment)
        news = notify(book, gathered, accrued, open_source(settings), notifiers, now=moment, dry_run=dry_run)
        show([_news(one) for one in news.notifications], NEWS, format)
        for waiting in news.waiting:
            stderr.print(f"news about {waiting.consumer} wait: {waiting.why}", soft_wrap=True)
        if dry_run:
            due = [one for one in book.undelivered() if (at := due_at(one)) is not None and at <= moment]
            stderr.print(f"{len(due)} deliveries of earlier notifications are due; nothing was kept or sent")
        else:
            unsubscribe = link(settings.public_url, tokens_of(settings))
            done = deliver(book, notifiers, catalogue.notifications, now=moment, unsubscribe=unsubscribe)
            for attempt in done.attempts:
                stderr.print(
                    f"{attempt.notification} by {attempt.channel}: {attempt.outcome}: {attempt.said}", soft_wrap=True
                )
    raise typer.Exit(LOOK if news.waiting else DONE)


def prefer(
    context: typer.Context,
    customer: Annotated[str | None, typer.Argument(help="Who pays.")] = None,
    topic: Annotated[Topic | None, typer.Option(help="usage or account.")] = None,
    off: Annotated[bool, typer.Option("--off", help="No more mails about it.")] = False,
    on: Annotated[bool, typer.Option("--on", help="Mails about it again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be kept; keep nothing.")] = False,
    format: Format = FORMAT,
) -> None:
    """List what customers want mails about, or keep what one of them said on the telephone."""
    with open_book(settings_of(context)) as book:
        if off or on:
            if off == on or customer is None or topic is None:
                raise typer.BadParameter("name a customer, a --topic, and one of --off and --on")
            said = Preference(customer, topic, on, "command")
            if dry_run:
                console.print(f"would keep: {customer} {'wants' if on else 'wants no'} mails about {topic}")
            elif book.prefer(said, at=now()):
                console.print(f"kept: {customer} {'wants' if on else 'wants no'} mails about {topic}")
            else:
                console.print("that stands already")
            return
        rows = [
            {
                "customer": one.customer,
                "topic": one.topic.value,
                "wanted": "yes" if one.wanted else "no",
                "since": stamp(at.replace(microsecond=0)),
                "source": one.source,
            }
            for one, at in book.preferences(customer)
        ]
    show(rows, ("customer", "topic", "wanted", "since", "source"), format)


def token(
    context: typer.Context,
    customer: Annotated[str, typer.Argument(help="Who pays.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how long it is good.")] = 30,
) -> None:
    """Print a token that opens this customer's inbox at /inbox. Whoever has it can read it: treat it as a password."""
    tokens = tokens_of(settings_of(context))
    if tokens is None:
        raise SpecError((Finding("RATING_TOKEN_SECRET", "is not set", "set the one that the engine runs with"),))
    console.print(
        tokens.make(Purpose.INBOX, {"customer": customer}, until=now() + timedelta(days=days)), soft_wrap=True
    )


def found(book: Book, name: str) -> Told:
    """The notification of that id.

    Raises:
        BookError: there is none.
    """
    told = book.notification(name)
    if told is None:
        raise BookError(f"the book holds no notification {name}; `rating notify list` shows those it holds")
    return told


def _heard(book: Book, told: Told) -> str:
    one = told.notification
    if one.hinted_at is None:
        return "Nobody had to ask: it follows from closed windows and dates."
    seconds = (told.at - one.hinted_at).total_seconds()
    alert = next((heard.alert for heard in book.heard(one.hinted_at) if heard.alert.key == one.hint), None)
    name = "an alert" if alert is None else f"{alert.name}, raised {stamp(alert.started.replace(microsecond=0))},"
    return f"{name} made us look {seconds:.1f} s before."


def _row(told: Told, ways: list[Delivery]) -> dict[str, Any]:
    return {
        "id": told.notification.id,
        "told": stamp(told.at.replace(microsecond=0)),
        "about": " ".join(
            filter(None, (told.notification.customer or told.notification.alert, told.notification.meter))
        ),
        **_about(told.notification),
        "ways": ", ".join(f"{one.planned.channel}: {state(one.attempts)}" for one in ways) or "none",
    }


def _news(one: Notification) -> Mapping[str, Any]:
    return _about(one) | {
        "ways": ", ".join(way.channel for way in one.planned) or "none",
        "subject": worded(one, "en", at=now(), to_customer=False).subject,
    }


def _about(one: Notification) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "customer": one.customer or None,
        "consumer": one.consumer or one.alert or None,
        "plan": one.plan or None,
        "period": None if one.period is None else f"{one.period.start:%Y-%m-%d}",
        "meter": one.meter or None,
        # A key of 64 hexadecimal digits tells people nothing.
        "mark": (one.mark if len(one.mark) < 40 else None) or None,
        "used": grouped(decimal_text(one.used)) if one.meter else None,
        "allowance": grouped(decimal_text(one.allowance)) if one.meter else None,
    }


def _approach(one: Approach, plans: Mapping[str, Plan]) -> dict[str, Any]:
    gain = monthly_gain(one, plans)
    return {
        "consumer": one.consumer,
        "customer": one.customer,
        "plan": one.plan,
        "next plan": one.next_plan,
        "told": stamp(one.first_at.replace(microsecond=0)),
        "at": " ".join(one.marks) or None,
        "last": stamp(one.last_at.replace(microsecond=0)),
        "converted": None if one.converted_at is None else stamp(one.converted_at),
        "gain": None if gain is None else round_amount(gain, plans[one.plan].currency).digits,
        "currency": None if gain is None else plans[one.plan].currency.code,
    }


def _attempts(ways: tuple[Delivery, ...]) -> Iterator[dict[str, Any]]:
    for one in ways:
        due = due_at(one)
        base = {
            "id": one.told.notification.id,
            "channel": one.planned.channel,
            "state": state(one.attempts).value,
            "recipient": one.planned.recipient or None,
        }
        after = None if due is None else stamp(due.replace(microsecond=0))
        if not one.attempts:
            yield base | {"next": after}
        for made in one.attempts:
            last = made is one.attempts[-1]
            yield base | {
                "attempt": made.attempt.number,
                "at": stamp(made.at.replace(microsecond=0)),
                "outcome": made.attempt.outcome.value,
                "said": made.attempt.said,
                "next": after if last else None,
            }
