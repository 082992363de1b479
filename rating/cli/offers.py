"""`rating stripe plan` and `apply`: what of the catalogue has to stand at a gateway that rates by itself."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from rating.bootstrap import gateway_specs, load_catalogue, open_book, open_offer_gateways
from rating.cli.frame import DONE, FORMAT, Format, console, now, settings_of, show, stderr
from rating.core.money import decimal_text
from rating.core.offers import Offered, RemotePrice
from rating.core.provisions import Provision
from rating.core.remoteprices import Mode, RemoteTier
from rating.errors import EdgeError, Finding, SpecError
from rating.jobs import contracts
from rating.jobs.offer import apply, changes, offered
from rating.jobs.uncarried import left_out
from rating.ports import Book, UsageGateway
from rating.settings import Settings
from rating.specs.gateways import GatewaySpec, RecordsSpec, StripeSpec, collection

COLUMNS = ("gateway", "action", "what", "key", "title", "detail", "remote")
GATEWAY = Annotated[str | None, typer.Option(help="Only this gateway; all in metered mode when absent.")]


def add_to(group: typer.Typer) -> None:
    group.command("plan")(plan)
    group.command("apply")(apply_plan)


def plan(context: typer.Context, gateway: GATEWAY = None, format: Format = FORMAT) -> None:
    """Show what `rating stripe apply` would make, change and put away; changes nothing.

    What cannot be metered is listed with its reason: collect it by a gateway with `mode: invoices`.
    """
    settings = settings_of(context)
    specs = metered_specs(settings, gateway)
    rows: list[dict[str, Any]] = []
    with open_book(settings) as book:
        for served in open_offer_gateways(specs):
            wanted = _wanted(book, settings, served)
            rows += _rows(served.name, changes(served, wanted))
            rows += _reasons(served.name, wanted.findings)
            rows += _reasons(served.name, [one.finding for one in left_out(book, served.name, wanted, now=now())])
    show(rows, COLUMNS, format)
    if format is Format.TABLE:
        console.print(_summary(rows), soft_wrap=True)


def apply_plan(
    context: typer.Context,
    gateway: GATEWAY = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    format: Format = FORMAT,
) -> None:
    """Make products, meters and prices stand there as `rating stripe plan` shows; twice changes nothing.

    Prices that are no longer offered are put away; whoever is on one stays on it until the next billing period.
    """
    settings = settings_of(context)
    specs = metered_specs(settings, gateway)
    rows: list[dict[str, Any]] = []
    with open_book(settings) as book:
        for served in open_offer_gateways(specs):
            wanted = _wanted(book, settings, served)
            for finding in wanted.findings:
                stderr.print(str(finding), soft_wrap=True)
            ahead = changes(served, wanted)
            if not ahead:
                continue
            _agreed(served.name, ahead, specs[served.name], yes)
            made: list[Provision] = []
            try:
                apply(book, served, wanted, now=now(), done=lambda one, said, made=made: made.append(one))  # type: ignore[misc]
            except EdgeError:
                # What was done is said before the sentence about what was not.
                show(_rows(served.name, made), COLUMNS, format)
                raise
            rows += _rows(served.name, made)
    show(rows, COLUMNS, format)
    if format is Format.TABLE:
        console.print(_summary(rows), soft_wrap=True)
    raise typer.Exit(DONE)


def metered_specs(settings: Settings, only: str | None) -> dict[str, GatewaySpec]:
    """The gateways in metered mode.

    Raises:
        SpecError: there is none, or none of that name.
    """
    found = gateway_specs(settings)
    specs = {name: spec for name, spec in found.items() if isinstance(spec, StripeSpec) and spec.mode == "metered"}
    named = None if only is None else found.get(only)
    if isinstance(named, RecordsSpec) and named.mode == "usage":
        hint = "make them there by hand; `rating publish --dry-run` says what is missing"
        raise SpecError((Finding("--gateway", f'prices of "{only}" are not made from the catalogue', hint),))
    if only is not None and only not in specs:
        raise SpecError((Finding("--gateway", f'no gateway in metered mode is called "{only}"', _known(specs)),))
    if not specs:
        hint = "write `mode: metered` for one in the file of RATING_GATEWAYS"
        raise SpecError((Finding("RATING_GATEWAYS", "no gateway is in metered mode", hint),))
    return {name: spec for name, spec in specs.items() if only in (None, name)}


def _known(specs: Iterable[str]) -> str:
    return f"known are {', '.join(specs)}" if specs else "write `mode: metered` for it"


def _wanted(book: Book, settings: Settings, gateway: UsageGateway) -> Offered:
    moment = now()
    gathered = contracts.gather(book, load_catalogue(settings), now=moment)
    who = collection(gateway_specs(settings))
    return offered(gathered, gateway, takes=lambda customer: who.gateway_of(customer) == gateway.name, now=moment)


def _rows(gateway: str, provisions: Iterable[Provision]) -> Iterator[dict[str, Any]]:
    for one in provisions:
        yield {
            "gateway": gateway,
            "action": one.act.value,
            "what": one.thing.value,
            "key": one.key,
            "title": one.title,
            "detail": f"was {one.before}" if one.before else _detail(one),
            "remote": one.remote or None,
        }


def _detail(one: Provision) -> str:
    if one.price is None or one.thing.value != "price" or one.act.value == "archive":
        return ""
    return _schedule(one.price)


def _schedule(price: RemotePrice) -> str:
    """A price as it will be written there, in minor units for each metered unit."""
    schedule, each = price.schedule, f"of the smallest unit of {price.currency}"
    match schedule.mode:
        case Mode.PER_UNIT:
            return f"{decimal_text(schedule.unit)} {each}"
        case Mode.PACKAGE:
            rounded = "started" if schedule.round_up else "full"
            return f"{decimal_text(schedule.unit)} {each} for each {rounded} package of {schedule.divide_by}"
    return f"{schedule.mode.value}: {'; '.join(map(_tier, schedule.tiers))} {each}"


def _tier(tier: RemoteTier) -> str:
    bound = "then" if tier.up_to is None else f"up to {tier.up_to}"
    return f"{bound} {decimal_text(tier.unit)}{f' and {tier.flat}' if tier.flat else ''}"


def _reasons(gateway: str, findings: Iterable[Finding]) -> Iterator[dict[str, Any]]:
    for one in findings:
        what, _, key = one.where.partition(" ")
        yield {"gateway": gateway, "action": "cannot", "what": what, "key": key, "detail": f"{one.what}; {one.hint}"}


def _summary(rows: list[dict[str, Any]]) -> str:
    words = {"create": "made", "change": "renamed", "revive": "taken out again", "archive": "put away"}
    counts = Counter(row["action"] for row in rows)
    said = [f"{count} {words.get(action, 'that cannot be metered')}" for action, count in counts.items()]
    return ", ".join(said) if said else "everything stands there as it is wanted"


def _agreed(gateway: str, ahead: Iterable[Provision], spec: GatewaySpec, yes: bool) -> None:
    """Show what will be done, and ask; real money is said to be real."""
    if yes:
        return
    if spec.real_money:
        stderr.print(f"gateway {gateway} is a live account: its prices bill REAL MONEY", soft_wrap=True)
    if not sys.stdin.isatty():
        raise SpecError(
            (Finding("--yes", "the catalogue would be changed there and nobody can be asked", "give --yes"),)
        )
    show(list(_rows(gateway, ahead)), COLUMNS, Format.TABLE)
    typer.confirm("Go on?", abort=True, err=True)
