"""Usage of the neutral form meets its card: each usage form, and each model that is more than a price per quantity.

Decides which question is put to the core; reads usage, computes nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate

import numpy as np

from rating.core.adjustments import Adjustments, Committed, room_under_cap, true_up
from rating.core.allowances import in_turn
from rating.core.balances import credit_within
from rating.core.column import Column
from rating.core.money import Rounding, allocate, decimal_text, round_ratio, round_to
from rating.core.prices.capacity import one
from rating.core.prices.matrix import Cell, Matrix
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.percentage import Percentage
from rating.core.prices.price import Portion, Price
from rating.core.prices.prorated_units import prorated_units
from rating.core.proration import ChangeLine
from rating.core.statements import InvoiceTerms, StatementLine, stated
from rating.core.taxes import taxed
from rating.core.terms import Terms, slice_owed, snapshots_owed
from rating.specs import neutral_cards as cards
from rating.specs.neutral import Fields, number, refuse
from rating.specs.neutral_cards import Switches

_AS_IS = PerUnit(Fraction(1))
"""For models whose usage already is money, or stays a quantity."""


@dataclass(frozen=True, slots=True)
class Question:
    model: str
    card: Fields
    usage: Fields
    how: Switches
    decimals: int | None
    rounding: Rounding

    @property
    def places(self) -> int:
        """Decimals of the amount; whole units where the answer is no money."""
        return self.decimals or 0


@dataclass(frozen=True, slots=True)
class Rated:
    """An exact amount before credits and tax, and how it came about."""

    amount: Fraction
    breakdown: tuple[Fraction, ...] | None = None
    portions: tuple[Portion, ...] = ()
    parts: Mapping[str, Fraction] = field(default_factory=dict)
    rounds_each_line: bool = False
    """Does this model round each line unless the question says otherwise?"""
    in_minor_units: bool = False
    settled: bool = False
    """Credits and tax are already part of it; then also the figures below are set."""
    rounded: Fraction | None = None
    tax: Fraction | None = None
    remaining: tuple[Fraction, ...] = ()
    line_taxes: tuple[Fraction, ...] | None = None


def rated(question: Question) -> Rated:
    """The core's answer to one question.

    Raises:
        SpecError: a key is missing, unknown or says something impossible.
        PricingError: the card does not say what this usage costs.
    """
    answer = _MODELS.get(question.model)
    if answer is not None:
        return answer(question)
    return _by_usage(question, _terms(question, cards.price(question.model, question.card, question.how)))


def _terms(question: Question, price: Price = _AS_IS) -> Terms:
    return cards.terms(question.card, question.how, price)


def _by_usage(question: Question, terms: Terms) -> Rated:
    """Any price, by the form its usage comes in."""
    usage = question.usage
    if usage.has("cumulative_snapshots"):
        snapshots = usage.numbers("cumulative_snapshots")
        return _lines("slice", snapshots_owed(terms, snapshots, question.decimals, question.rounding))
    if usage.has("periods"):
        # A period is settled on its own: its own cap, its own minimum.
        return _lines("period", [_by_usage(_part(question, each), terms).amount for each in _entries(usage, "periods")])
    for name in ("buckets", "windows"):
        if usage.has(name):
            alone = replace(terms, adjustments=Adjustments())
            amounts = [_by_usage(_part(question, each), alone).amount for each in _entries(usage, name)]
            return _adjusted(_lines(name[:-1], amounts), terms)
    if usage.has("events"):
        return _by_events(terms, usage.numbers("events"))
    if usage.has("previous_quantity") or usage.has("previous_billed"):
        return _slice(question, terms)
    quantity = _quantity(question)
    if usage.has("quantity_for_tier_selection"):
        return _by_full_units(question, terms, quantity)
    billable = terms.converted(Column.of([quantity]))
    amount = terms.owed(billable, usage.flag("final", True)).total()
    steps = terms.priced(quantity)
    return Rated(amount, tuple(step.amount for step in steps), terms.portions(quantity))


def _quantity(question: Question) -> Fraction:
    usage = question.usage
    if usage.has("quantities"):
        return sum(usage.numbers("quantities"), Fraction(0))
    none = Fraction(0) if question.model == "flat_fee" else None
    return usage.number("amount", none) if usage.has("amount") else usage.number("quantity", none)


def _entries(usage: Fields, key: str) -> list[Fields]:
    """Buckets and periods: a bare quantity, a list of events, or usage of its own."""
    found = []
    for i, entry in enumerate(usage.entries(key)):
        if not isinstance(entry, Mapping):
            entry = {"events" if isinstance(entry, list) else "quantity": entry}
        found.append(Fields(entry, f"{usage.at(key)}[{i}]"))
    return found


def _part(question: Question, usage: Fields) -> Question:
    return replace(question, usage=usage)


def _lines(what: str, amounts: list[Fraction]) -> Rated:
    portions = [Portion(f"{what} {i}", Fraction(0), None, amount) for i, amount in enumerate(amounts, 1)]
    return Rated(sum(amounts, Fraction(0)), tuple(amounts), tuple(portions))


def _adjusted(found: Rated, terms: Terms) -> Rated:
    """What is agreed about the sum of lines that were priced one by one."""
    amount = terms.adjustments.apply(Column.of([found.amount])).total()
    rest = amount - found.amount
    steps = (Portion("discounts, cap and minimum", Fraction(0), None, rest),) if rest else ()
    return replace(found, amount=amount, portions=(*found.portions, *steps))


def _by_events(terms: Terms, events: list[Fraction]) -> Rated:
    column, one_group = Column.of(events), np.array([0, len(events)])
    amount = terms.owed_for_events(column, one_group).total()
    if not isinstance(terms.price, Percentage):
        return Rated(amount, None, terms.portions(sum(events, Fraction(0))))
    portions = terms.price.portions_of(terms.converted(column).fractions())
    return Rated(amount, tuple(portion.amount * terms.share for portion in portions), portions)


def _slice(question: Question, terms: Terms) -> Rated:
    usage = question.usage
    previous, quantity = usage.number("previous_quantity", Fraction(0)), _quantity(question)
    amount = slice_owed(
        terms,
        previous,
        quantity,
        usage.flag("final", True),
        usage.maybe("previous_billed"),
        question.how.convert_slices_alone,
    )
    steps = _slice_steps(terms.priced(previous), terms.priced(previous + quantity))
    if steps is None or usage.has("previous_billed") or question.how.convert_slices_alone:
        return Rated(amount, (amount,), (Portion("this slice of the running total", quantity, None, amount),))
    listed = sum((step.amount for step in steps), Fraction(0))
    rest = (Portion("commitment, discounts, cap and minimum", Fraction(0), None, amount - listed),)
    return Rated(amount, tuple(step.amount for step in steps), (*steps, *(rest if amount != listed else ())))


def _slice_steps(before: tuple[Portion, ...], after: tuple[Portion, ...]) -> tuple[Portion, ...] | None:
    """What a slice adds, step by step; None where it changes the price of what was there before (volume)."""
    names = [step.what for step in after]
    if [step.what for step in before] != names[: len(before)]:
        return None
    none = [Portion(name, Fraction(0), None, Fraction(0)) for name in names[len(before) :]]
    pairs = zip(after, (*before, *none), strict=True)
    added = (replace(now, quantity=now.quantity - was.quantity, amount=now.amount - was.amount) for now, was in pairs)
    return tuple(step for step in added if step.quantity or step.amount)


def _by_full_units(question: Question, terms: Terms, quantity: Fraction) -> Rated:
    full, prorated = (
        terms.billable(terms.converted(Column.of([each]))).total()
        for each in (question.usage.number("quantity_for_tier_selection"), quantity)
    )
    listed = prorated_units(terms.price, full, prorated) * terms.share
    portion = Portion("prorated units in the tiers of the full count", prorated, None, listed)
    return _adjusted(Rated(listed, (listed,), (portion,)), terms)


def _quantity_transform(question: Question) -> Rated:
    terms = _terms(question)
    if not question.usage.has("quantities"):
        return _by_usage(question, terms)
    running = Column.of(list(accumulate(question.usage.numbers("quantities"))))
    totals = terms.owed(terms.converted(running)).fractions()
    return _lines("quantity", [after - before for after, before in zip(totals, [Fraction(0), *totals], strict=False)])


def _matrix(question: Question) -> Rated:
    """Each row by the first cell that matches it; allowances of the matrix itself are used up in the rows' order."""
    usage, terms = question.usage, _terms(question)
    cells, priced = _cells(question)
    rows = [
        (_words(row, "dims"), row.inner("usage") if row.has("usage") else row) for row in usage.each("by_dimension")
    ]
    left: list[Fraction] | None = None
    if terms.conversion or terms.included or terms.usage_discount:
        converted = terms.converted(Column.of([row.number("quantity") for _, row in rows]))
        left = in_turn(converted, terms.included + terms.usage_discount).fractions()
    amounts, names = [], []
    for i, (dims, row) in enumerate(rows):
        position = cells.position(dims)
        assert position is not None
        price = priced[position]
        asked = row if left is None else Fields({"quantity": decimal_text(left[i])}, row.where)
        inner = replace(question, model=_model(price), card=price, usage=asked)
        amounts.append(rated(inner).amount * terms.share)
        names.append(", ".join(dims.values()) or f"row {i + 1}")
    for price in priced:
        price.finish()
    portions = tuple(Portion(name, Fraction(0), None, amount) for name, amount in zip(names, amounts, strict=True))
    return _adjusted(replace(_lines("row", amounts), portions=portions), terms)


def _cells(question: Question) -> tuple[Matrix, list[Fields]]:
    """The matrix, and each cell's own card. A declared default is the last cell, which everything matches."""
    found: list[tuple[dict[str, str], Fields]] = []
    for cell in question.card.each("cells"):
        found.append((_words(cell, "match"), cell.inner("price")))
        cell.finish()
    if question.card.has("default"):
        default = question.card.inner("default")
        found.append(({}, default.inner("price") if default.has("price") else default))
    dimensions = tuple(dict.fromkeys(name for match, _ in found for name in match))
    cells = [Cell(match, _terms(replace(question, card=card), _price(question, card)).price) for match, card in found]
    return Matrix(dimensions, tuple(cells)), [card for _, card in found]


def _price(question: Question, card: Fields) -> Price:
    return cards.price(_model(card), card, question.how)


def _model(card: Fields) -> str:
    return card.text("model") or "per_unit"


def _words(fields: Fields, key: str) -> dict[str, str]:
    return {name: str(value) for name, value in fields.mapping(key).items()}


def _capacity(question: Question) -> Rated:
    usage = question.usage
    by_dimension = {
        name: number(value, usage.at("by_dimension")) for name, value in usage.mapping("by_dimension").items()
    }
    terms = _terms(question)
    return _adjusted(
        _lines("size", [one(cards.capacity(question.card, question.how), by_dimension) * terms.share]), terms
    )


def _commitment(question: Question) -> Rated:
    card, usage = question.card, question.usage
    if usage.has("windows"):
        return _committed_windows(question)
    terms = _terms(question, PerUnit(card.number("unit_amount")) if card.has("unit_amount") else _AS_IS)
    previous, amount = usage.number("previous_amount", Fraction(0)), _quantity(question)
    final = usage.flag("final", True)
    due = slice_owed(terms, previous, amount, final, usage.maybe("previous_billed"))
    running = Column.of([previous, previous + amount])
    parts = _parts(terms.committed(terms.billable(terms.converted(running))), final)
    slice_parts = {name: column[1] - column[0] for name, column in parts.items()}
    slice_parts["true_up"] = parts["true_up"][1]
    return Rated(due, (due,), (Portion("under commitment", amount, None, due),), slice_parts)


def _committed_windows(question: Question) -> Rated:
    """Each window under the commitment of its own rule."""
    rules = {name: Fields(rule, f"card.rules.{name}") for name, rule in question.card.mapping("rules").items()}
    by_rule = {name: _rule(question, rule) for name, rule in rules.items()}
    if not rules:
        by_rule["default"] = _rule(question, question.card)
    for rule in rules.values():
        rule.finish()
    parts = {"committed": Fraction(0), "overage": Fraction(0), "true_up": Fraction(0)}
    amounts = []
    for window in question.usage.each("windows"):
        rule_name = window.text("rule") or "default"
        if rule_name not in by_rule:
            refuse(window.at("rule"), f'no rule is called "{rule_name}"', f"known are {', '.join(by_rule)}")
        terms = by_rule[rule_name]
        used = window.number("amount") if window.has("amount") else window.number("quantity")
        split = terms.committed(terms.converted(Column.of([used])))
        window.finish()
        amounts.append(split.amount.total())
        for name, column in _parts(split, True).items():
            parts[name] += column[0]
    return _adjusted(
        replace(_lines("window", amounts), parts=parts), Terms(_AS_IS, adjustments=cards.adjustments(question.card))
    )


def _rule(question: Question, rule: Fields) -> Terms:
    """A window's price and promise; windows that already are money have no price of their own."""
    priced = any(rule.has(key) for key in ("model", "unit_amount", "tiers"))
    return Terms(
        cards.price(_model(rule), rule, question.how) if priced else _AS_IS,
        commitment=cards.commitment(rule.inner("commitment")) if rule.has("commitment") else None,
    )


def _parts(split: Committed, final: bool) -> dict[str, list[Fraction]]:
    true_up = split.true_up.fractions()
    return {
        "committed": split.committed.fractions(),
        "overage": split.overage.fractions(),
        "true_up": true_up if final else [Fraction(0)] * len(true_up),
    }


def _minimum_true_up(question: Question) -> Rated:
    terms = _terms(question)
    minimum = terms.adjustments.minimum
    if minimum is None:
        refuse("card", 'key "minimum" is missing', "say how much is due at least")
    used = _by_usage(question, replace(terms, adjustments=replace(terms.adjustments, minimum=None))).amount
    if question.how.true_up_on_rounded:
        used = round_to(used, question.places, question.rounding)
    missing = true_up(Column.of([used]), minimum).total()
    return Rated(missing, (missing,), (Portion("missing to the minimum", Fraction(0), None, missing),))


def _maximum_cap(question: Question) -> Rated:
    terms, usage = _terms(question), question.usage
    maximum = terms.adjustments.maximum
    if maximum is None:
        refuse("card", 'key "maximum" is missing', "say how much is due at most")
    billed = usage.number("previous_billed", Fraction(0))
    uncapped = replace(terms, adjustments=replace(terms.adjustments, maximum=None))
    line = uncapped.owed(uncapped.converted(Column.of([_quantity(question)])))
    amount = room_under_cap(line, maximum, billed).total()
    return Rated(amount, (amount,), (Portion("under the cap", Fraction(0), None, amount),))


def _credit_cap(question: Question) -> Rated:
    usage = question.usage
    previous = usage.number("previous_credits", Fraction(0))
    amount = credit_within(usage.number("credit"), question.card.number("original_amount"), previous)
    return Rated(amount, (amount,), (Portion("credit within what was paid", Fraction(0), None, amount),))


def _proration_change(question: Question) -> Rated:
    card = question.card
    share = cards.share(card.inner("proration")) if card.has("proration") else Fraction(1)
    amounts = []
    for line in card.each("lines"):
        credit = line.word("side", {"credit": True, "charge": False}, False)
        amount = line.number("amount") * line.number("quantity", Fraction(1))
        discounts, prorated = cards.discounts(line, "discounts"), line.flag("prorate", True)
        amounts.append(ChangeLine(amount, credit, discounts, prorated, line.maybe("credit_cap")).due(share))
        line.finish()
    return replace(
        _adjusted(_lines("line", amounts), Terms(_AS_IS, adjustments=cards.adjustments(card))), rounds_each_line=True
    )


def _sum_rounding(question: Question) -> Rated:
    amounts = []
    for line in question.usage.each("lines"):
        amounts += _line_amounts(question, line)
        line.finish()
    return _adjusted(_lines("line", amounts), _terms(question))


def _line_amounts(question: Question, line: Fields) -> list[Fraction]:
    """A line says its amount, a quantity at a unit amount, or a whole card with usage; `repeat` writes it often."""
    if line.has("model"):
        inner = replace(question, model=line.text("model") or "", card=line.inner("card"), usage=line.inner("usage"))
        amount = rated(inner).amount
        inner.card.finish()
        inner.usage.finish()
    elif line.has("unit_amount"):
        amount = line.number("unit_amount") * line.number("quantity", Fraction(1))
    else:
        amount = line.number("amount") * line.number("quantity", Fraction(1))
    repeat = line.count("repeat", 1)
    if repeat > 1_000_000:
        refuse(line.at("repeat"), f"{repeat} lines are more than one question may hold", "write at most 1000000")
    return [amount] * repeat


def _invoice(question: Question) -> Rated:
    card, lines = question.card, []
    for line in question.usage.each("lines"):
        percents = cards.tax_percents(line) if line.has("tax_percents") or line.has("tax_percent") else None
        usage = line.text("kind") in (None, "usage", "metered")
        discounts = cards.discounts(line, "discounts")
        lines += [StatementLine(each, discounts, usage, percents) for each in _line_amounts(question, line)]
        line.finish()
    per_line = card.word("tax_rounding", {"per_line": True, "total": False, "per_invoice": False}, None)
    terms = InvoiceTerms(
        question.places,
        (*cards.discounts(card, "invoice_discounts"), *cards.discounts(card, "discounts")),
        cards.credits(card),
        card.word("credit_scope", {"usage": True, "all": False, "invoice": False}, False),
        cards.tax_percents(card),
        card.flag("tax_inclusive"),
        bool(question.how.round_each_line) if per_line is None else per_line,
        card.flag("keep_fractional_discounts"),
        question.rounding,
    )
    found = stated(lines, terms)
    taxes = any(tax.by_rate for tax in found.line_taxes)
    parts = {
        "subtotal": found.subtotal,
        "discount": found.discount,
        "credits": found.burned.total,
        **({"tax": found.tax} if taxes else {}),
    }
    steps = [Portion(f"line {i}", Fraction(0), None, amount) for i, amount in enumerate(found.lines, 1)]
    if found.burned.total:
        steps.append(Portion("paid by credits", Fraction(0), None, -found.burned.total))
    if taxes:
        tax = found.amount + found.burned.total - sum(found.lines, Fraction(0))
        steps.append(Portion("tax", Fraction(0), None, tax))
    return Rated(
        found.amount,
        found.lines,
        tuple(steps),
        parts,
        settled=True,
        rounded=found.rounded,
        tax=found.tax if taxes else None,
        remaining=found.burned.left,
        line_taxes=tuple(tax.rounded for tax in found.line_taxes) if taxes else None,
    )


def _tax(question: Question) -> Rated:
    """The amount with its tax; each rate is a line."""
    base = _by_usage(question, _terms(question)).amount
    inclusive = question.card.flag("tax_inclusive")
    taxes = taxed(base, cards.tax_percents(question.card), question.places, inclusive, question.rounding)
    amount = base if inclusive else base + taxes.exact
    rounded = round_to(amount, question.places, question.rounding)
    net = round_to(taxes.net, question.places, question.rounding)
    if question.how.round_each_line:
        rounded = net + sum(taxes.rounded_by_rate, Fraction(0))
    steps = [Portion("net", Fraction(0), None, taxes.net)]
    steps += [Portion("tax", Fraction(0), None, tax) for tax in taxes.by_rate]
    return Rated(amount, taxes.by_rate, tuple(steps), {}, settled=True, rounded=rounded, tax=rounded - net)


def _allocation(question: Question) -> Rated:
    """An amount of whole minor units, split by weight so that the parts add up to it."""
    scale = 10**question.places
    amount = question.usage.number("amount")
    weights = question.card.numbers("weights")
    if not any(weights) or min(weights) < 0:
        refuse(
            "card.weights", "the weights do not say who bears what", "write at least one, none negative, not all zero"
        )
    minor = round_ratio(amount.numerator * scale, amount.denominator, question.rounding)
    return replace(_lines("share", [Fraction(part, scale) for part in allocate(minor, weights)]), amount=amount)


def _minor_units(question: Question) -> Rated:
    found = _by_usage(question, _terms(question))
    scale = 10**question.places
    portions = tuple(replace(step, unit_price=None, amount=step.amount * scale) for step in found.portions)
    return Rated(found.amount * scale, portions=portions, in_minor_units=True)


_MODELS: dict[str, Callable[[Question], Rated]] = {
    **dict.fromkeys(("rounding", "credit_burndown"), lambda question: _by_usage(question, _terms(question))),
    "quantity_transform": _quantity_transform,
    "matrix": _matrix,
    "multi_dimension_capacity": _capacity,
    "commitment": _commitment,
    "minimum_true_up": _minimum_true_up,
    "maximum_cap": _maximum_cap,
    "credit_cap": _credit_cap,
    "proration_change": _proration_change,
    "sum_rounding": _sum_rounding,
    "invoice": _invoice,
    "tax": _tax,
    "allocation": _allocation,
    "minor_units": _minor_units,
}
