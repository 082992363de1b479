"""Models of the neutral form that are more than a price per quantity: matrices, commitments, invoices, plan changes ...

Decides what each of their keys asks of the core; computes nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

from rating.core.adjustments import Committed, room_under_cap, true_up
from rating.core.allowances import in_turn
from rating.core.balances import credit_within
from rating.core.column import Column
from rating.core.money import allocate, decimal_text, round_ratio, round_to
from rating.core.prices.capacity import one
from rating.core.prices.matrix import Cell, Matrix
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.price import Portion, Price
from rating.core.proration import ChangeLine
from rating.core.statements import InvoiceTerms, StatementLine, stated
from rating.core.taxes import taxed
from rating.core.terms import Terms, slice_owed
from rating.specs import neutral_cards as cards
from rating.specs.neutral import Fields, number, refuse
from rating.specs.neutral_usage import AS_IS, Question, Rated, adjusted, by_usage, lines, quantity_of, terms_of


def rated(question: Question) -> Rated:
    """The core's answer to one question.

    Raises:
        SpecError: a key is missing, unknown or says something impossible.
        PricingError: the card does not say what this usage costs.
    """
    answer = _MODELS.get(question.model)
    if answer is not None:
        return answer(question)
    return by_usage(question, terms_of(question, cards.price(question.model, question.card, question.how)))


def _quantity_transform(question: Question) -> Rated:
    terms = terms_of(question)
    if not question.usage.has("quantities"):
        return by_usage(question, terms)
    running = Column.of(list(accumulate(question.usage.numbers("quantities"))))
    totals = terms.owed(terms.converted(running)).fractions()
    return lines("quantity", [after - before for after, before in zip(totals, [Fraction(0), *totals], strict=False)])


def _matrix(question: Question) -> Rated:
    """Each row by the first cell that matches it; allowances of the matrix itself are used up in the rows' order."""
    usage, terms = question.usage, terms_of(question)
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
    return adjusted(replace(lines("row", amounts), portions=portions), terms)


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
    cells = [Cell(match, terms_of(replace(question, card=card), _price(question, card)).price) for match, card in found]
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
    terms = terms_of(question)
    return adjusted(
        lines("size", [one(cards.capacity(question.card, question.how), by_dimension) * terms.share]), terms
    )


def _commitment(question: Question) -> Rated:
    card, usage = question.card, question.usage
    if usage.has("windows"):
        return _committed_windows(question)
    terms = terms_of(question, PerUnit(card.number("unit_amount")) if card.has("unit_amount") else AS_IS)
    previous, amount = usage.number("previous_amount", Fraction(0)), quantity_of(question)
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
    return adjusted(
        replace(lines("window", amounts), parts=parts), Terms(AS_IS, adjustments=cards.adjustments(question.card))
    )


def _rule(question: Question, rule: Fields) -> Terms:
    """A window's price and promise; windows that already are money have no price of their own."""
    priced = any(rule.has(key) for key in ("model", "unit_amount", "tiers"))
    return Terms(
        cards.price(_model(rule), rule, question.how) if priced else AS_IS,
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
    terms = terms_of(question)
    minimum = terms.adjustments.minimum
    if minimum is None:
        refuse("card", 'key "minimum" is missing', "say how much is due at least")
    used = by_usage(question, replace(terms, adjustments=replace(terms.adjustments, minimum=None))).amount
    if question.how.true_up_on_rounded:
        used = round_to(used, question.places, question.rounding)
    missing = true_up(Column.of([used]), minimum).total()
    return Rated(missing, (missing,), (Portion("missing to the minimum", Fraction(0), None, missing),))


def _maximum_cap(question: Question) -> Rated:
    terms, usage = terms_of(question), question.usage
    maximum = terms.adjustments.maximum
    if maximum is None:
        refuse("card", 'key "maximum" is missing', "say how much is due at most")
    billed = usage.number("previous_billed", Fraction(0))
    uncapped = replace(terms, adjustments=replace(terms.adjustments, maximum=None))
    line = uncapped.owed(uncapped.converted(Column.of([quantity_of(question)])))
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
        adjusted(lines("line", amounts), Terms(AS_IS, adjustments=cards.adjustments(card))), rounds_each_line=True
    )


def _sum_rounding(question: Question) -> Rated:
    amounts = []
    for line in question.usage.each("lines"):
        amounts += _line_amounts(question, line)
        line.finish()
    return adjusted(lines("line", amounts), terms_of(question))


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
    card, written = question.card, []
    for line in question.usage.each("lines"):
        percents = cards.tax_percents(line) if line.has("tax_percents") or line.has("tax_percent") else None
        usage = line.text("kind") in (None, "usage", "metered")
        discounts = cards.discounts(line, "discounts")
        written += [StatementLine(each, discounts, usage, percents) for each in _line_amounts(question, line)]
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
    found = stated(written, terms)
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
    base = by_usage(question, terms_of(question)).amount
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
    return replace(lines("share", [Fraction(part, scale) for part in allocate(minor, weights)]), amount=amount)


def _minor_units(question: Question) -> Rated:
    found = by_usage(question, terms_of(question))
    scale = 10**question.places
    portions = tuple(replace(step, unit_price=None, amount=step.amount * scale) for step in found.portions)
    return Rated(found.amount * scale, portions=portions, in_minor_units=True)


_MODELS: dict[str, Callable[[Question], Rated]] = {
    **dict.fromkeys(("rounding", "credit_burndown"), lambda question: by_usage(question, terms_of(question))),
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
