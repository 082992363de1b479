"""`rating items`: one-offs such as setup or consulting, which land on a subscription's next invoice, once."""

from __future__ import annotations

from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book
from rating.cli.following import AUTHOR, DRY_RUN
from rating.cli.frame import FORMAT, Format, console, now, settings_of, show
from rating.core.invoices import LineKind
from rating.core.items import Item
from rating.core.money import decimal_text, exact
from rating.core.periods import stamp
from rating.errors import BookError
from rating.jobs.contracts import gather
from rating.jobs.lives import taken_back
from rating.specs.nearest import or_one_of

LIST = ("item", "subscription", "title", "amount", "on", "invoice", "author")


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="One-off items, each on one invoice.", no_args_is_help=True)
    app.add_typer(group, name="items")
    group.command("list")(list_all)
    group.command("add")(add_item)


def list_all(
    context: typer.Context,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those on no invoice yet.")] = False,
    format: Format = FORMAT,
) -> None:
    """List one-off items and the invoice each stands on."""
    with open_book(settings_of(context)) as book:
        items, gone = book.items(), taken_back(book)
        placed = {
            line.card: invoice.number
            for invoice in book.invoices()
            if invoice.number not in gone
            for line in invoice.draft.lines
            if line.kind is LineKind.ITEM
        }
    rows = [
        {
            "item": item.key,
            "subscription": item.subscription,
            "title": item.title,
            "amount": decimal_text(item.amount),
            "on": item.on.isoformat(),
            "invoice": placed.get(item.key, "waits"),
            "author": item.author or None,
        }
        for item in items
        if not waiting or item.key not in placed
    ]
    show(rows, LIST[2:] if format is Format.TABLE else LIST, format)


def add_item(
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="Its name as `rating subscriptions list` shows it.")],
    title: Annotated[str, typer.Option(help="The text on the line item.")],
    amount: Annotated[str, typer.Option(help="In major units of the invoice's currency, before taxes.")],
    reference: Annotated[str, typer.Option(help="Tells two items of one day and title apart.")] = "",
    author: AUTHOR = "",
    dry_run: DRY_RUN = False,
) -> None:
    """Keep an item for the next invoice of a subscription. The same command on the same day is one item.

    It is neither discounted nor capped; credits pay it and the plan's taxes apply.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    try:
        worth = exact(amount)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with open_book(settings) as book:
        known = {one.key: one for one in gather(book, catalogue, now=moment).subscriptions}
        if subscription not in known:
            raise BookError(f"there is no subscription {subscription}; {or_one_of(subscription, known)}")
        one = known[subscription]
        billed = [
            i for i in book.invoices(consumer=one.consumer) for _, p in i.draft.parts if p.subscription == one.key
        ]
        last = max((invoice.draft.period.end for invoice in billed), default=None)
        if one.end is not None and last is not None and last >= one.end:
            raise BookError(
                f"subscription {subscription} ended {stamp(one.end)} and has its last invoice; no other follows"
            )
        item = Item(subscription, title, worth, moment.astimezone(one.zone).date(), reference, author)
        new = dry_run or book.add_item(item, at=moment)
    kept = "would be kept" if dry_run else "kept" if new else "was kept before"
    console.print(f"{title} over {decimal_text(worth)} for the next invoice of {subscription}: {kept}", soft_wrap=True)
