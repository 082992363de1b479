"""`rating plans`: what plans cost, where two of them cross, and what a new catalogue would change for whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from rating.bootstrap import load_catalogue, open_book, read_sources
from rating.cli.frame import FORMAT, Format, console, now, settings_of, show, warn
from rating.cli.simulate import consumers, last_month, revenue, span_of
from rating.core.bends import Comparison, Stretch, compare
from rating.core.catalogue import Catalogue
from rating.core.meters import Meter
from rating.core.money import decimal_text, fixed_point
from rating.core.periods import stamp
from rating.core.plans import Plan
from rating.core.pricetables import (
    Point,
    agreements,
    curve,
    fee_rows,
    plan_agreements,
    pool_agreements,
    price_rows,
)
from rating.core.ratecards import RateCard
from rating.core.subscriptions import merge
from rating.errors import Finding, PricingError, SpecError
from rating.jobs.simulate import simulate
from rating.specs.changes import changes
from rating.specs.compile import compile_catalogue
from rating.specs.fields import quantity
from rating.specs.nearest import or_one_of

PRICE_COLUMNS = ("charge", "meter", "what", "above", "up to", "unit price", "flat", "currency")
BAR = 36
"""Characters of the longest bar of a chart."""


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="What plans cost: list, show, compare, diff.", no_args_is_help=True)
    app.add_typer(group, name="plans")
    group.command("list")(list_plans)
    group.command("show")(show_plan)
    group.command("compare")(compare_plans)
    group.command("diff")(diff)


def list_plans(context: typer.Context, format: Format = FORMAT) -> None:
    """List the plans of the catalogue."""
    catalogue = load_catalogue(settings_of(context))
    rows = [
        {
            "plan": plan.key,
            "name": plan.title,
            "fee": fixed_point(plan.fee, plan.currency.exponent),
            "currency": str(plan.currency),
            "period": str(plan.cadence),
            "charges": ", ".join(card.key for card in plan.cards),
            "upsell": plan.upsell.plan if plan.upsell else "",
        }
        for plan in catalogue.plans.values()
    ]
    show(rows, ("plan", "name", "fee", "currency", "period", "charges", "upsell"), format)


def show_plan(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(help="A plan of the catalogue.")],
    format: Format = FORMAT,
) -> None:
    """Show a plan's prices, and a chart of the amount against usage for each of its charges."""
    chosen = _plan(load_catalogue(settings_of(context)), plan)
    rows = list(_price_table(chosen))
    title = f"{chosen.title}, each {chosen.cadence}, in {chosen.currency}"
    if format is not Format.TABLE:
        show(rows, PRICE_COLUMNS, format)
        return
    show(rows, ("charge", "what", "above", "up to", "unit price", "flat"), format, title)
    for card in chosen.cards:
        console.print()
        for line in chart(card, str(chosen.currency), chosen.currency.exponent):
            console.print(line, soft_wrap=True)


def _price_table(plan: Plan) -> Iterator[dict[str, Any]]:
    currency = str(plan.currency)
    if plan.fee:
        yield {"charge": "fee", "what": "fee", "flat": decimal_text(plan.fee), "currency": currency}
    for row in fee_rows(plan):
        yield {"charge": "fee", "what": row.what, "flat": decimal_text(row.flat), "currency": currency}
    for card in plan.cards:
        named = {
            "charge": card.key if card.since is None else f"{card.key} from {stamp(card.since)}",
            "meter": card.meter.name,
            "currency": currency,
        }
        for row in price_rows(card):
            yield named | {
                "what": row.what,
                "above": decimal_text(row.above),
                "up to": None if row.up_to is None else decimal_text(row.up_to),
                "unit price": None if row.unit_price is None else decimal_text(row.unit_price),
                "flat": decimal_text(row.flat) if row.flat else None,
            }
        for agreed in agreements(card):
            yield named | {"what": agreed}
    for pool, given in pool_agreements(plan):
        yield {"charge": f"pool {pool}", "what": given, "currency": currency}
    for agreed in plan_agreements(plan):
        yield {"charge": "invoice", "what": agreed, "currency": currency}


def chart(card: RateCard, currency: str, exponent: int) -> Iterator[str]:
    """A bar per quantity: how much it costs, what one unit then costs, and where the allowance and the tiers end."""
    yield f"{card.title}: amount in {currency} against {card.meter.unit}s, and what each then costs"
    try:
        points = curve(card)
    except PricingError as error:
        yield f"  no chart: {error}"
        return
    largest = max(point.amount for point in points)
    width = max(len(f"{point.quantity.__floor__():,}") for point in points)
    for point in points:
        yield _bar(point, largest, width, exponent)


def _bar(point: Point, largest: Fraction, width: int, exponent: int) -> str:
    eighths = int(point.amount * BAR * 8 / largest) if largest > 0 and point.amount > 0 else 0
    whole, rest = divmod(eighths, 8)
    bar = "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    each = "" if point.each is None else f"{fixed_point(point.each, 6).rstrip('0').rstrip('.')} each"
    shown = f"{point.quantity.numerator:,}" if point.quantity.denominator == 1 else decimal_text(point.quantity)
    marks = "  ".join(f"<- {mark}" for mark in point.marks)
    amount = f"{fixed_point(point.amount, exponent):>12}"
    return f"  {shown:>{width}} {bar:<{BAR}} {amount}  {each:<16} {marks}".rstrip()


def compare_plans(
    context: typer.Context,
    first: Annotated[str, typer.Argument(help="A plan of the catalogue.")],
    second: Annotated[str, typer.Argument(help="Another plan.")],
    meter: Annotated[str | None, typer.Option(help="Only against usage of this meter.")] = None,
    usage: Annotated[
        list[str] | None, typer.Option("--usage", "-u", help="METER=QUANTITY of the meters held fixed; 0 if not given.")
    ] = None,
    format: Format = FORMAT,
) -> None:
    """Where two plans cross: from which exact usage of a meter on which of them is cheaper."""
    catalogue = load_catalogue(settings_of(context))
    plans = _plan(catalogue, first), _plan(catalogue, second)
    meters = {card.meter.name: card.meter for plan in plans for card in plan.cards}
    if meter is not None and meter not in meters:
        _refuse("--meter", f'neither plan prices a meter "{meter}"', or_one_of(meter, meters))
    fixed = _quantities(usage or [], meters)
    rows = []
    for name in [meter] if meter is not None else [name for name in meters if name not in fixed]:
        comparison = compare(*plans, meters[name], fixed)
        rows += [_stretch(stretch, meters[name], plans) for stretch in comparison.stretches]
        if comparison.through is not None and format is Format.TABLE:
            console.print(f"{name}: compared up to {_through(comparison)}", soft_wrap=True)
    show(rows, ("meter", "from", "to", "cheaper", "lines meet at"), format, f"{first} and {second}, one period")


def _stretch(stretch: Stretch, meter: Meter, plans: tuple[Plan, Plan]) -> dict[str, Any]:
    return {
        "meter": meter.name,
        "from": decimal_text(stretch.start),
        "to": None if stretch.end is None else decimal_text(stretch.end),
        "cheaper": {-1: plans[0].key, 0: "the same", 1: plans[1].key}[stretch.cheaper],
        "lines meet at": None if stretch.crossing is None else decimal_text(stretch.crossing, 6),
    }


def _through(comparison: Comparison) -> str:
    assert comparison.through is not None
    return decimal_text(comparison.through)


def diff(
    context: typer.Context,
    old: Annotated[Path, typer.Argument(help="The catalogue as it is: a file or a folder.")],
    new: Annotated[Path, typer.Argument(help="The catalogue as it would be.")],
    period: Annotated[str | None, typer.Option(help="Usage of 2026-10, 2026-Q4 or 2026; last month if absent.")] = None,
    fields_only: Annotated[bool, typer.Option("--fields", help="Only what is written differently; no book.")] = False,
    format: Format = FORMAT,
) -> None:
    """What a new catalogue changes: every field, and the money of each consumer on real usage. Changes nothing."""
    before, after = (compile_catalogue(read_sources(path)) for path in (old, new))
    rows = [{"what": change.what, "before": change.before, "after": change.after} for change in changes(before, after)]
    if fields_only:
        show(rows, ("what", "before", "after"), format)
        return
    settings, moment = settings_of(context), now()
    span = span_of(period, before.zone) if period else last_month(moment, before.zone)
    with open_book(settings) as book:
        subscriptions, findings = merge(before.subscriptions, book.subscriptions(), before.plans)
        simulation = simulate(
            book,
            subscriptions,
            lambda key, _: (before.plans[key], before.digest),
            after.plans,
            span=span,
        )
    if format is Format.TABLE:
        show(rows, ("what", "before", "after"), format, "written differently")
    consumers(simulation, format)
    if format is Format.TABLE:
        revenue(simulation)
    warn((*findings, *simulation.findings))


def _plan(catalogue: Catalogue, key: str) -> Plan:
    if key not in catalogue.plans:
        _refuse("PLAN", f'no plan is called "{key}"', or_one_of(key, catalogue.plans))
    return catalogue.plans[key]


def _quantities(usage: list[str], meters: Mapping[str, Meter]) -> dict[str, Fraction]:
    quantities = {}
    for entry in usage:
        name, equals, text = entry.partition("=")
        if not equals or name not in meters:
            _refuse("--usage", f'"{entry}" is not METER=QUANTITY of these plans', or_one_of(name, meters))
        try:
            quantities[name] = quantity(text)
        except ValueError as error:
            _refuse("--usage", str(error), "")
    return quantities


def _refuse(where: str, what: str, hint: str) -> NoReturn:
    raise SpecError((Finding(where, what, hint),))
