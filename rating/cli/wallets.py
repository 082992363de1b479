"""`rating wallets`: prepaid money by customer and currency; top up, give, take out, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from rating.bootstrap import load_catalogue, open_book, open_taxes
from rating.cli.frame import FORMAT, LOOK, Format, console, now, settings_of, show, stderr, warn
from rating.core.balances import paying_order
from rating.core.catalogue import Catalogue
from rating.core.money import Currency, Money, exact, round_amount
from rating.core.periods import stamp
from rating.core.wallets import Grant, GrantAccount, GrantKind, MoveKind, Wallet
from rating.jobs.contracts import gather
from rating.jobs.wallets import WalletToDate, wallets_to_date
from rating.ports import Book
from rating.specs.charges import instant_of
from rating.specs.fields import moment
from rating.specs.nearest import or_one_of

LIST = ("customer", "currency", "balance", "accrued", "would burn", "left", "low at", "low")
GRANTS = ("grant", "kind", "amount", "left", "currency", "priority", "expires", "granted", "note", "author")
HISTORY = ("time", "what", "grant", "amount", "balance", "currency", "invoice", "cause")

CUSTOMER = Annotated[str, typer.Argument(help="Who pays, as on invoices.")]
AMOUNT = Annotated[str, typer.Argument(help='In major units: "100.00".')]
CURRENCY = Annotated[str | None, typer.Option(help="ISO 4217 code; the catalogue's currency when absent.")]
REFERENCE = Annotated[
    str, typer.Option(help="Names it among the customer's grants, such as the payment's number: twice is once.")
]
EXPIRES = Annotated[
    str | None, typer.Option(help="First day it is worth nothing: 2027-01-01, or an instant; never when absent.")
]
PRIORITY = Annotated[int, typer.Option(help="Lower pays first; then what expires first, then what is oldest.")]
NOTE = Annotated[str, typer.Option(help="Said in the history.")]
AUTHOR = Annotated[str, typer.Option(help="Who says so.")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Check and say what would be kept, keep nothing.")]


def add(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Prepaid money: a customer's wallet pays invoices in its currency as they are issued, taxes included.",
        no_args_is_help=True,
    )
    app.add_typer(group, name="wallets")
    group.command("list")(list_all)
    group.command("show")(show_wallets)
    group.command("history")(history)
    group.command("topup")(topup)
    group.command("grant")(give)
    group.command("withdraw")(withdraw)
    group.command("warn")(warn_below)


def list_all(
    context: typer.Context,
    low: Annotated[bool, typer.Option("--low", help="Only those that are low.")] = False,
    format: Format = FORMAT,
) -> None:
    """List every wallet: its balance, what open periods have accrued so far, and what that would leave."""
    found = _to_date(context, None)
    show([_row(one) for one in found if one.low or not low], LIST, format)


def show_wallets(context: typer.Context, customer: CUSTOMER, format: Format = FORMAT) -> None:
    """Show a customer's wallets, grant by grant, in the order in which they pay."""
    moment_now = now()
    found = _to_date(context, customer)
    rows = [_grant(account, moment_now) for one in found for account in _in_order(one.wallet)]
    show(rows, GRANTS, format)
    if format is Format.TABLE:
        for one in found:
            low = f"; LOW, at {one.wallet.threshold} or less" if one.low else ""
            console.print(
                f"Balance {one.balance}; accrued so far {one.accrued}, which would burn {one.burns} and leave "
                f"{one.left}{low}",
                soft_wrap=True,
            )


def history(context: typer.Context, customer: CUSTOMER, format: Format = FORMAT) -> None:
    """Show all that happened to a customer's wallets, oldest first, with the balance after each step."""
    with open_book(settings_of(context)) as book:
        wallets = _known(book, customer)
        lows = [low for low in book.lows() if low.customer == customer]
    rows: list[tuple[datetime, dict[str, Any]]] = [entry for wallet in wallets for entry in _events(wallet, now())]
    rows += [
        (
            low.at,
            {
                "time": stamp(low.at.replace(microsecond=0)),
                "what": "low",
                "amount": low.threshold.digits,
                "balance": low.balance.digits,
                "currency": low.balance.currency.code,
                "cause": f"at the threshold of {low.threshold} or less",
            },
        )
        for low in lows
    ]
    show([row for _, row in sorted(rows, key=lambda entry: entry[0])], HISTORY, format)


def topup(
    context: typer.Context,
    customer: CUSTOMER,
    amount: AMOUNT,
    reference: REFERENCE,
    currency: CURRENCY = None,
    expires: EXPIRES = None,
    priority: PRIORITY = 0,
    note: NOTE = "",
    author: AUTHOR = "rating wallets",
    dry_run: DRY_RUN = False,
) -> None:
    """Put money that was received into a customer's wallet. The same reference twice is one top-up."""
    _fund(context, GrantKind.TOPUP, customer, amount, reference, currency, expires, priority, note, author, dry_run)


def give(
    context: typer.Context,
    customer: CUSTOMER,
    amount: AMOUNT,
    reference: REFERENCE,
    currency: CURRENCY = None,
    expires: EXPIRES = None,
    priority: PRIORITY = 0,
    note: NOTE = "",
    author: AUTHOR = "rating wallets",
    dry_run: DRY_RUN = False,
) -> None:
    """Give a customer money to spend. It pays after taxes: what shall lower the price is a discount of the plan."""
    _fund(context, GrantKind.GRANT, customer, amount, reference, currency, expires, priority, note, author, dry_run)


def withdraw(
    context: typer.Context,
    customer: CUSTOMER,
    reference: Annotated[str, typer.Argument(help="The grant's reference, as `rating wallets show` names it.")],
    why: Annotated[str, typer.Option(help="Paid out, granted by mistake, ...: said in the history.")],
    dry_run: DRY_RUN = False,
) -> None:
    """Take what is left of a grant out of the wallet: paid out, or ended before its time. Twice is once."""
    with open_book(settings_of(context)) as book:
        accounts = {account.grant.reference: account for one in _known(book, customer) for account in one.accounts}
        if reference not in accounts:
            raise typer.BadParameter(f"{customer} has no grant {reference!r}; {or_one_of(reference, accounts)}")
        left = Money(accounts[reference].left, accounts[reference].grant.amount.currency)
        if dry_run:
            console.print(f"would take {left} out of {reference} of {customer}")
            return
        taken = book.withdraw(customer, reference, why=why, at=now())
    if taken is None:
        console.print(f"nothing is left of {reference} of {customer}")
    else:
        console.print(f"took {Money(-taken.change, left.currency)} out of {reference} of {customer}")


def warn_below(
    context: typer.Context,
    customer: CUSTOMER,
    amount: AMOUNT,
    currency: CURRENCY = None,
    dry_run: DRY_RUN = False,
) -> None:
    """Say from what balance down a customer's wallet is low; 0 for never. Each fall to it is kept, once."""
    settings = settings_of(context)
    below = _money(amount, currency, load_catalogue(settings), least=0)
    with open_book(settings) as book:
        new = not dry_run and book.warn_below(customer, below, at=now())
    said = "would be" if dry_run else "is" if new else "already is"
    console.print(f"the wallet of {customer} {said} low at {below} or less")


def _fund(
    context: typer.Context,
    kind: GrantKind,
    customer: str,
    amount: str,
    reference: str,
    currency: str | None,
    expires: str | None,
    priority: int,
    note: str,
    author: str,
    dry_run: bool,
) -> None:
    settings, moment_now = settings_of(context), now()
    catalogue = load_catalogue(settings)
    money = _money(amount, currency, catalogue, least=1)
    try:
        end = None if expires is None else instant_of(moment(expires), catalogue.zone)
        grant = Grant(customer, reference, money, kind, priority, end, note, author)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if end is not None and end <= moment_now:
        raise typer.BadParameter(f"--expires: {stamp(end)} is past, it would be worth nothing; choose a later day")
    with open_book(settings) as book:
        contracts = gather(book, catalogue, now=moment_now)
        payers = {subscription.payer for subscription in contracts.subscriptions}
        new = not dry_run and book.fund(grant, at=moment_now)
        [wallet] = [one for one in book.wallets(customer) if one.currency == money.currency] or [
            Wallet(customer, money.currency)
        ]
    said = "would put" if dry_run else "put" if new else "had put"
    console.print(
        f"{said} {money} into the wallet of {customer} as {reference}; it holds {wallet.worth(now())}",
        soft_wrap=True,
    )
    if customer not in payers:
        stderr.print(
            f"nobody who pays is called {customer}, so nothing draws on it yet; {or_one_of(customer, payers)}",
            soft_wrap=True,
        )
        raise typer.Exit(LOOK)


def _money(text: str, code: str | None, catalogue: Catalogue, least: int) -> Money:
    try:
        currency = catalogue.currency if code is None else Currency(code)
        amount = exact(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    money = round_amount(amount, currency)
    if money.exact != amount:
        raise typer.BadParameter(f"{text} has more than the {currency.exponent} decimals of {currency}; round it first")
    if money.minor < least:
        raise typer.BadParameter(f"{money} is too little; write {'more than 0' if least else '0 or more'}")
    return money


def _to_date(context: typer.Context, customer: str | None) -> tuple[WalletToDate, ...]:
    settings, moment_now = settings_of(context), now()
    catalogue = load_catalogue(settings)
    with open_book(settings) as book:
        if customer is not None:
            _known(book, customer)
        contracts = gather(book, catalogue, now=moment_now)
        warn(contracts.findings)
        found = wallets_to_date(book, contracts, now=moment_now, customer=customer, taxes=open_taxes(settings))
    for why in dict.fromkeys(why for one in found for why in one.untaxed):
        stderr.print(f"accrued is shown without taxes: {why}", soft_wrap=True)
    return found


def _known(book: Book, customer: str) -> tuple[Wallet, ...]:
    wallets = book.wallets(customer)
    if not wallets:
        names = {wallet.customer for wallet in book.wallets()}
        raise typer.BadParameter(f"{customer!r} has no wallet; {or_one_of(customer, names)}")
    return wallets


def _row(one: WalletToDate) -> dict[str, Any]:
    threshold = one.wallet.threshold
    return {
        "customer": one.wallet.customer,
        "currency": one.wallet.currency.code,
        "balance": one.balance.digits,
        "accrued": one.accrued.digits,
        "would burn": one.burns.digits,
        "left": one.left.digits,
        "low at": threshold.digits if threshold is not None and threshold.minor else None,
        "low": "yes" if one.low else "no",
    }


def _in_order(wallet: Wallet) -> list[GrantAccount]:
    return sorted(wallet.accounts, key=lambda account: paying_order(account.credit))


def _grant(account: GrantAccount, at: datetime) -> dict[str, Any]:
    grant = account.grant
    currency = grant.amount.currency
    return {
        "grant": grant.reference,
        "kind": grant.kind.value,
        "amount": grant.amount.digits,
        "left": Money(account.worth(at), currency).digits,
        "currency": currency.code,
        "priority": grant.priority,
        "expires": None if grant.expires is None else stamp(grant.expires),
        "granted": stamp(account.granted_at.replace(microsecond=0)),
        "note": grant.note or None,
        "author": grant.author or None,
    }


def _events(wallet: Wallet, until: datetime) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """Moves as they were kept, and what expired meanwhile, which is no entry but a fact of time."""
    for account in wallet.accounts:
        grant = account.grant
        for move in account.moves:
            what = grant.kind.value if move.kind is MoveKind.GRANTED else move.kind.value
            cause = grant.note if move.kind is MoveKind.GRANTED else move.cause
            yield move.at, _event(wallet, move.at, what, grant, move.change, move.invoice, cause)
        ends = grant.expires
        if ends is not None and ends <= until:
            gone = next((move.after for move in reversed(account.moves) if move.at < ends), 0)
            if gone:
                yield ends, _event(wallet, ends, "expired", grant, -gone, "", "")


def _event(
    wallet: Wallet, at: datetime, what: str, grant: Grant, change: int, invoice: str, cause: str
) -> dict[str, Any]:
    return {
        "time": stamp(at.replace(microsecond=0)),
        "what": what,
        "grant": grant.reference,
        "amount": Money(change, wallet.currency).digits,
        "balance": wallet.balance(at).digits,
        "currency": wallet.currency.code,
        "invoice": invoice or None,
        "cause": cause or None,
    }
