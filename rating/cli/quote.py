"""`rating quote`: what a usage would cost, under a plan of the catalogue or under prices read from standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, NoReturn

import typer

from rating.bootstrap import load_catalogue
from rating.cli.frame import FORMAT, WRONG_INPUT, Format, settings_of, show
from rating.core.charges import rate
from rating.core.column import Column
from rating.core.money import Money, decimal_text, exact, round_amount, total
from rating.core.plans import Plan
from rating.errors import Finding, RatingError, SpecError
from rating.specs.interchange import quote as answer
from rating.specs.nearest import or_one_of

COLUMNS = ("line", "what", "quantity", "unit_price", "amount")


def add(app: typer.Typer) -> None:
    app.command("quote")(quote)


def quote(
    context: typer.Context,
    plan: Annotated[str | None, typer.Argument(help="A plan of the catalogue.")] = None,
    usage: Annotated[
        list[str] | None, typer.Option("--usage", "-u", help="METER=QUANTITY in whole units, as often as needed.")
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
    plans = load_catalogue(settings_of(context)).plans
    if plan not in plans:
        _refuse("PLAN", f'no plan is called "{plan}"', or_one_of(plan, plans))
    rows = list(quoted(plans[plan], _quantities(usage or [], plans[plan])))
    show(rows, COLUMNS, format, f"{plans[plan].title}, one {plans[plan].cadence}, in {plans[plan].currency}")


def quoted(plan: Plan, quantities: Mapping[str, Fraction]) -> Iterator[dict[str, Any]]:
    """One row per step of every price, one per rounded line, and the total."""
    lines: list[Money] = []
    if plan.fee:
        lines.append(round_amount(plan.fee, plan.currency, plan.rounding))
        yield _row(plan.title, "fee", amount=lines[-1].digits)
    for card in plan.cards:
        quantity = quantities.get(card.meter.name, Fraction(0))
        rated = rate(card, Column.of([quantity]))
        (overage,), (amount,) = rated.overage.fractions(), rated.amount.fractions()
        if not quantity and not amount:
            continue
        if quantity != overage:
            yield _row(card.title, "included", quantity - overage, Fraction(0), "0")
        for step in card.price.portions(overage):
            yield _row(card.title, step.what, step.quantity, step.unit_price, decimal_text(step.amount))
        lines.append(round_amount(amount, plan.currency, plan.rounding))
        yield _row(card.title, f"line, {decimal_text(quantity)} {card.meter.unit}", amount=lines[-1].digits)
    yield _row("total", amount=total(lines, plan.currency).digits)


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


def _quantities(usage: list[str], plan: Plan) -> dict[str, Fraction]:
    meters = {card.meter.name for card in plan.cards}
    quantities: dict[str, Fraction] = {}
    for written in usage:
        meter, equals, text = written.partition("=")
        if not equals:
            _refuse("--usage", f'"{written}" says no quantity', "write METER=QUANTITY, such as api_calls=120000")
        if meter not in meters:
            _refuse("--usage", f'plan "{plan.key}" does not price meter "{meter}"', or_one_of(meter, meters))
        try:
            quantity = exact(text)
        except ValueError:
            _refuse("--usage", f'"{text}" is not a quantity', f"write {meter}=120000")
        if quantity < 0:
            _refuse("--usage", f'"{text}" is negative', "quantities are zero or more")
        quantities[meter] = quantities.get(meter, Fraction(0)) + quantity
    return quantities


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
