"""One pricing question in JSON becomes one answer: the neutral form of price and usage that quotes and tests speak.

Decides what an answer holds and in which order it is finished: credits, the one rounding, tax. Reading the card is
`neutral_cards`, meeting it with usage `neutral_usage` and `neutral_models`; every amount is computed in the core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from rating.core.balances import burn_down
from rating.core.column import Column
from rating.core.money import Currency, Rounding, decimal_text, round_to
from rating.core.prices.price import Portion, Price
from rating.core.taxes import taxed
from rating.core.terms import Terms
from rating.errors import Finding, PricingError, SpecError
from rating.specs.neutral import Fields, refuse
from rating.specs.neutral_cards import credits, tax_percents
from rating.specs.neutral_models import rated
from rating.specs.neutral_switches import ROUNDINGS, switches
from rating.specs.neutral_usage import Question, Rated
from rating.specs.prices import PriceSpec, price_of
from rating.specs.sentences import sentence

_DECIMALS = {"minor": 0}
"""Units of account that are no currency; all others have two decimals unless the card says otherwise."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """An answer. Amounts are exact fractions of major units; None where the model has no such figure."""

    id: str | int | None
    currency: str | None
    amount: Fraction | None = None
    rounded: Fraction | None = None
    decimals: int | None = None
    portions: tuple[Portion, ...] = ()
    breakdown: tuple[Fraction, ...] | None = None
    """Per tier, event, line or slice; exact."""
    breakdown_rounded: tuple[Fraction, ...] | None = None
    parts: Mapping[str, Fraction] = field(default_factory=dict)
    tax: Fraction | None = None
    total: Fraction | None = None
    remaining: tuple[Fraction, ...] | None = None
    """What is left of each credit."""
    line_taxes: tuple[Fraction, ...] | None = None
    error: str | None = None
    """Why the card does not say what this usage costs."""

    def as_json(self) -> dict[str, Any]:
        """Decimals as text; absent figures are left out."""
        told: dict[str, Any] = {"id": self.id} if self.id is not None else {}
        if self.error is not None:
            return {**told, "error": {"type": "PricingError", "message": self.error}}
        assert self.amount is not None
        told["amount"] = decimal_text(self.amount)
        if not _terminates(self.amount):
            told["amount_fraction"] = f"{self.amount.numerator}/{self.amount.denominator}"
        told["rounded"] = _text(self.rounded)
        told["currency"] = self.currency
        told["portions"] = [_portion(portion) for portion in self.portions]
        for name in ("breakdown", "breakdown_rounded", "remaining", "line_taxes"):
            if (figures := getattr(self, name)) is not None:
                told[name] = [decimal_text(figure) for figure in figures]
        if self.parts:
            told["parts"] = {name: decimal_text(part) for name, part in self.parts.items()}
        told |= {name: _text(getattr(self, name)) for name in ("tax", "total") if getattr(self, name) is not None}
        return told


def quote(line: Mapping[str, Any]) -> Quoted:
    """Answer one question in the neutral form or the catalogue's.

    A card that does not cover the usage is an answer too (`error`).

    Raises:
        SpecError: the question itself is malformed; says where and what to do.
    """
    fields = Fields(line, "")
    asked = fields.raw("id")
    if asked is not None and (isinstance(asked, bool) or not isinstance(asked, str | int)):
        refuse("id", f"{asked!r} is no name", "write text or a number")
    currency = fields.text("currency")
    try:
        found = _catalogue_form(fields) if fields.has("price") else _neutral_form(fields, currency)
    except PricingError as error:
        return Quoted(asked, currency, error=str(error))
    return replace(found, id=asked, currency=currency)


def _neutral_form(line: Fields, currency: str | None) -> Quoted:
    model = line.text("model")
    if model is None:
        refuse("", 'key "model" is missing', 'add a model and its card, or a "price" in the catalogue\'s words')
    card, usage = line.inner("card"), line.inner("usage")
    question = Question(
        model,
        card,
        usage,
        switches(line.inner("semantics")),
        _decimals(card, currency),
        card.word("rounding_mode", ROUNDINGS, Rounding.HALF_UP),
    )
    answer = rated(question)
    found = _finished(question, answer)
    card.finish()
    usage.finish()
    return found


def _finished(question: Question, answer: Rated) -> Quoted:
    """Credits, tax and the one rounding, in this order."""
    card, how = question.card, question.how
    burned = burn_down(answer.amount, () if answer.settled else credits(card))
    amount = answer.amount - burned.total
    breakdown = burned.drawn if question.model == "credit_burndown" else answer.breakdown
    remaining = answer.remaining if answer.settled else burned.left
    paid = (Portion("paid by credits", Fraction(0), None, -burned.total),) if burned.total else ()
    found = Quoted(
        None,
        None,
        amount,
        decimals=0 if answer.in_minor_units else question.decimals,
        portions=(*answer.portions, *paid),
        breakdown=breakdown,
        parts=answer.parts,
        tax=answer.tax,
        remaining=remaining or None,
        line_taxes=answer.line_taxes,
    )
    decimals = found.decimals
    if decimals is None:
        return found

    def rounded(exact: Fraction) -> Fraction:
        return round_to(exact, decimals, question.rounding)

    by_line = answer.rounds_each_line if how.round_each_line is None else how.round_each_line
    lines = breakdown or ()
    if answer.rounded is not None:
        figure = answer.rounded
    elif by_line and lines:
        # What was agreed about all lines together is a line of its own.
        figure = sum((rounded(each) for each in lines), rounded(amount - sum(lines, Fraction(0))))
    else:
        figure = rounded(amount)
    found = replace(
        found, rounded=figure, breakdown_rounded=None if breakdown is None else tuple(rounded(each) for each in lines)
    )
    percents = () if answer.settled else tax_percents(card)
    if answer.tax is not None:
        return replace(found, total=figure)
    if not percents:
        return found
    inclusive = card.flag("tax_inclusive")
    taxes = taxed(amount, percents, decimals, inclusive, question.rounding)
    tax = sum(taxes.rounded_by_rate, Fraction(0)) if by_line else taxes.rounded
    return replace(found, tax=tax, total=figure if inclusive else figure + tax)


def _catalogue_form(line: Fields) -> Quoted:
    """`{"currency", "price": {"graduated": [...]}, "quantity", "included"?}`: a charge as a catalogue writes it."""
    price = _compiled(line.raw("price"))
    asked = line.number("quantity")
    terms = Terms(price, included=line.number("included", Fraction(0)))
    line.finish()
    amount = terms.owed(terms.converted(Column.of([asked]))).total()
    decimals = _decimals(line, line.text("currency"))
    portions = terms.portions(asked)
    return Quoted(None, None, amount, round_to(amount, decimals or 0), decimals, portions)


def _compiled(written: Any) -> Price:
    try:
        return price_of(PriceSpec.model_validate(written))
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise SpecError(
            tuple(
                Finding(".".join(map(str, ("price", *each["loc"]))), *sentence(each, PriceSpec.model_fields))
                for each in found
            )
        ) from None


def _decimals(card: Fields, currency: str | None) -> int | None:
    """How many decimals the answer is rounded to; None where it is no money at all."""
    if card.has("currency_decimals"):
        return card.few("currency_decimals")
    if currency is None:
        return None
    if len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper():
        return Currency(currency).exponent
    return _DECIMALS.get(currency, 2)


def _terminates(amount: Fraction) -> bool:
    rest = amount.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _text(figure: Fraction | None) -> str | None:
    return None if figure is None else decimal_text(figure)


def _portion(portion: Portion) -> dict[str, Any]:
    return {
        "what": portion.what,
        "quantity": decimal_text(portion.quantity),
        "unit_price": _text(portion.unit_price),
        "amount": decimal_text(portion.amount),
    }
