"""`rating quote`: what a usage would cost, under a plan of the catalogue or under prices read from standard input."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, NoReturn

import typer

from rating.bootstrap import load_catalogue
from rating.cli.frame import FORMAT, WRONG_INPUT, Format, now, settings_of, show
from rating.core.charges import Kind, explain, rate, rate_mixed
from rating.core.column import Column
from rating.core.drafts import MeteredUsage, served
from rating.core.invoices import LineItem, LineKind
from rating.core.meters import Meter
from rating.core.money import decimal_text, exact, round_amount, total
from rating.core.parts import parts
from rating.core.periods import Period, billing_period
from rating.core.plans import FeeDue, Plan
from rating.core.prices.bands import Banded
from rating.core.prices.matrix import Matrix
from rating.core.ratecards import RateCard
from rating.core.settlements import settle
from rating.core.standing import NOTHING_BEFORE
from rating.core.subscriptions import Subscription
from rating.errors import Finding, RatingError, SpecError
from rating.specs.interchange import quote as answer
from rating.specs.nearest import or_one_of

CALENDAR = date(2000, 1, 1)
"""Calendar periods: a quote is for nobody in particular."""
COLUMNS = ("line", "what", "quantity", "unit_price", "amount")


def add(app: typer.Typer) -> None:
    app.command("quote")(quote)


def quote(
    context: typer.Context,
    plan: Annotated[str | None, typer.Argument(help="A plan of the catalogue.")] = None,
    usage: Annotated[
        list[str] | None, typer.Option("--usage", "-u", help="METER=QUANTITY or METER[KIND]=QUANTITY, often.")
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="JSON lines of price and usage in, exact and rounded amounts out.")
    ] = False,
    format: Format = FORMAT,
) -> None:
    """What a usage would cost for one whole billing period, tier by tier; or JSON lines with --stdin.

    A line that cannot be answered becomes an "error" in its place; the exit code is then 2.
    """
    if stdin:
        if not _answer_lines():
            raise typer.Exit(WRONG_INPUT)
        return
    if plan is None:
        raise typer.BadParameter("name a plan of the catalogue, or read prices with --stdin")
    catalogue, moment = load_catalogue(settings_of(context)), now()
    if plan not in catalogue.plans:
        _refuse("PLAN", f'no plan is called "{plan}"', or_one_of(plan, catalogue.plans))
    chosen = catalogue.plans[plan]
    period = billing_period(chosen.cadence, CALENDAR, catalogue.zone, moment)
    cards = in_force(chosen, moment)
    rows = list(quoted(chosen, cards, _usage(usage or [], chosen, cards), period))
    show(rows, COLUMNS, format, f"{chosen.title}, one {chosen.cadence}, in {chosen.currency}")


def in_force(plan: Plan, moment: datetime) -> tuple[RateCard, ...]:
    """The version of each card that holds at that moment; versions of one card follow each other in time."""
    latest = {card.key: card for card in plan.cards if card.since is None or card.since <= moment}
    return tuple(latest.values())


def quoted(
    plan: Plan, cards: tuple[RateCard, ...], usage: Mapping[str, Mapping[Kind, Fraction]], period: Period
) -> Iterator[dict[str, Any]]:
    """One row per step of every price, one per rounded line, what is agreed about the whole, and the total."""
    lines: list[LineItem] = []
    for fee in plan.all_fees:
        if fee.due is FeeDue.ONCE:
            yield _row(fee.title, f"{decimal_text(fee.amount)} once, when a subscription begins; not in the total")
            continue
        lines.append(_line(plan, LineKind.FEE, fee.title, fee.amount, period))
        yield _row(fee.title, "fee", amount=lines[-1].amount.digits)
    for card in _as_begun(plan, cards, usage, period):
        kinds = usage.get(card.meter.name, {})
        quantity = sum(kinds.values(), Fraction(0))
        if card.mixed:
            rated, steps = rate_mixed(card, kinds)
        else:
            rated, steps = rate(card, Column.of([quantity])), explain(card, quantity)
        amount = rated.amount.total()
        if not quantity and not amount:
            continue
        for step in steps:
            yield _row(card.title, step.what, step.quantity, step.unit_price, decimal_text(step.amount))
        lines.append(_line(plan, LineKind.USAGE, card.title, amount, period))
        yield _row(card.title, f"line, {decimal_text(quantity)} {card.meter.unit}", amount=lines[-1].amount.digits)
    whole = Fraction(1)
    after = settle(lines, plan.settlement, period=period, share=whole, currency=plan.currency, rounding=plan.rounding)
    for line in after:
        yield _row(line.title, str(line.kind), amount=line.amount.digits)
    yield _row("total", amount=total([line.amount for line in (*lines, *after)], plan.currency).digits)


def _as_begun(
    plan: Plan, cards: tuple[RateCard, ...], usage: Mapping[str, Mapping[Kind, Fraction]], period: Period
) -> tuple[RateCard, ...]:
    """The cards as a subscription in its first, whole period has them: ramps at their first step, pools shared out."""
    first = replace(plan, cards=tuple(replace(card, since=None) for card in cards))
    priced = parts(Subscription("", plan.key, period.start), first, period)
    metered = {
        (part.card.meter.name, part.span): MeteredUsage(
            _in_resolution(part.card.meter, sum(usage.get(part.card.meter.name, {}).values(), Fraction(0)))
        )
        for part in priced
    }
    return tuple(part.card for part in served(first, priced, metered, NOTHING_BEFORE))


def _in_resolution(meter: Meter, quantity: Fraction) -> int:
    units: Fraction = quantity * 10**meter.digits
    if units.denominator != 1:
        finest = decimal_text(meter.quantity(1))
        _refuse(
            "--usage", f"{decimal_text(quantity)} is finer than {meter.name} counts", f"write multiples of {finest}"
        )
    return units.numerator


def _line(plan: Plan, kind: LineKind, title: str, exactly: Fraction, period: Period) -> LineItem:
    return LineItem(kind, "", title, period, exactly, round_amount(exactly, plan.currency, plan.rounding))


def _row(
    line: str, what: str = "", quantity: Fraction | None = None, unit_price: Fraction | None = None, amount: str = ""
) -> dict[str, Any]:
    return {
        "line": line,
        "what": what,
        "quantity": None if quantity is None else decimal_text(quantity),
        "unit_price": None if unit_price is None else decimal_text(unit_price),
        "amount": amount,
    }


_USAGE = re.compile(r"(?P<meter>[^=\[\]]+)(\[(?P<kind>[^\]]*)\])?=(?P<quantity>.*)")


def _usage(written: list[str], plan: Plan, cards: tuple[RateCard, ...]) -> dict[str, dict[Kind, Fraction]]:
    """Quantities by meter and kind; a meter whose price does not look at kinds has the one kind ()."""
    meters = {card.meter.name: card for card in cards}
    usage: dict[str, dict[Kind, Fraction]] = {}
    for text in written:
        parts = _USAGE.fullmatch(text)
        if parts is None:
            _refuse("--usage", f'"{text}" says no quantity', "write METER=QUANTITY, such as api_calls=120000")
        meter, kinds = parts["meter"], tuple((parts["kind"] or "").split(",")) if parts["kind"] else ()
        if meter not in meters:
            _refuse("--usage", f'plan "{plan.key}" does not price meter "{meter}"', or_one_of(meter, meters))
        _check_kind(meters[meter], kinds)
        try:
            quantity = exact(parts["quantity"])
        except ValueError:
            _refuse("--usage", f'"{parts["quantity"]}" is not a quantity', f"write {meter}=120000")
        if quantity < 0:
            _refuse("--usage", f'"{parts["quantity"]}" is negative', "quantities are zero or more")
        of_meter = usage.setdefault(meter, {})
        of_meter[kinds] = of_meter.get(kinds, Fraction(0)) + quantity
    return usage


def _check_kind(card: RateCard, kinds: Kind) -> None:
    """Refuses usage that does not say what its price looks at."""
    meter = card.meter.name
    match card.price:
        case Matrix(dimensions=dimensions) if len(kinds) != len(dimensions):
            _refuse(
                "--usage", f'the price of "{meter}" depends on its kind', f"write {meter}[{','.join(dimensions)}]=5"
            )
        case Banded(prices=prices) if kinds not in {(name,) for name in prices}:
            known = ", ".join(f"{meter}[{name}]=5" for name in prices)
            _refuse("--usage", f'the price of "{meter}" depends on the time of use', f"write {known}")
        case Matrix() | Banded():
            pass
        case _ if kinds:
            _refuse("--usage", f'the price of "{meter}" does not depend on its kind', f"write {meter}=5")


def _refuse(where: str, what: str, hint: str) -> NoReturn:
    raise SpecError((Finding(where, what, hint),))


def _answer_lines() -> bool:
    """Answer every line of standard input in its order; False if one of them could not be."""
    answered = True
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        told = _answered(line)
        answered = answered and "error" not in told
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    return answered


def _answered(line: bytes) -> dict[str, Any]:
    asked: Any = None
    try:
        asked = json.loads(line, parse_float=Decimal, parse_constant=_not_a_number)
        return answer(asked).as_json()
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        return _error(asked, "SpecError", f"the line is not JSON: {error}; write one object per line")
    except RatingError as error:
        return _error(asked, type(error).__name__, str(error))
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        return _error(asked, "SpecError", str(error))


def _error(asked: Any, kind: str, message: str) -> dict[str, Any]:
    name = asked.get("id") if isinstance(asked, dict) else None
    return {**({"id": name} if isinstance(name, str | int) else {}), "error": {"type": kind, "message": message}}


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that can be billed; write decimals as text")
