"""A card of the neutral form becomes core values: its price, and what is agreed around it.

Decides the words only: which key is which value. No arithmetic here, and no usage: that is `interchange`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from rating.core.adjustments import Adjustments, Commitment, Discount, DiscountKind
from rating.core.balances import Credit
from rating.core.money import Rounding
from rating.core.prices.capacity import Capacity, Size
from rating.core.prices.chained import Chained, Factor, threshold_flat
from rating.core.prices.converted import Conversion
from rating.core.prices.dynamic import Dynamic
from rating.core.prices.flat import Flat
from rating.core.prices.graduated import Graduated
from rating.core.prices.graduated_percentage import GraduatedPercentage
from rating.core.prices.package import Package, Packaging
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.percentage import Percentage
from rating.core.prices.price import Price
from rating.core.prices.stairstep import Stairstep
from rating.core.prices.volume import Volume
from rating.core.proration import Basis, Proration, rounded_fraction
from rating.core.terms import Terms
from rating.core.tiers import Block, Tier, Tiers
from rating.specs.neutral import Fields, instant, number, refuse, words
from rating.specs.neutral_switches import ROUNDINGS, Switches

_CONVERSIONS: dict[str, Rounding | None] = {
    **ROUNDINGS,
    "none": None,
    "round": Rounding.HALF_UP,
    "nearest": Rounding.HALF_UP,
    # Units are counted upwards and downwards, also below zero.
    "up": Rounding.CEILING,
    "down": Rounding.FLOOR,
}


def price(model: str, card: Fields, how: Switches) -> Price:
    """The price a card of this model describes. Usage that names its dimensions is `interchange`'s."""
    reader = PRICES.get(model)
    if reader is None:
        refuse(card.where, f'model "{model}" is not a price per quantity', f"known are {', '.join(PRICES)}")
    return reader(card, how)


def nested_price(card: Fields, how: Switches, default: str = "") -> Price:
    """A price inside another card: it names its own model, and has only price keys."""
    model = card.text("model") or default
    found = price(model, card, how)
    card.finish()
    return found


def tiers(card: Fields, how: Switches, unit_key: str = "unit_amount") -> Tiers:
    steps = []
    for step in card.each("tiers"):
        block = None
        if step.has("package_size"):
            block = Block(
                _positive(step, "package_size"),
                step.number("package_amount"),
                step.word("package_rounding", {"up": Rounding.CEILING, "down": Rounding.FLOOR}, Rounding.CEILING),
            )
        steps.append(
            Tier(
                step.bound("up_to"),
                step.number(unit_key, Fraction(0)),
                step.number("flat_amount", Fraction(0)),
                block,
                step.maybe("tier_cap"),
            )
        )
        step.finish()
    try:
        return Tiers(tuple(steps), how.beyond, how.upper)
    except ValueError as error:
        refuse(card.at("tiers"), *str(error).split("; ", 1))


def _stairstep(card: Fields, how: Switches) -> Price:
    try:
        return Stairstep(tiers(card, how), card.flag("additive"), how.charge_at_zero)
    except ValueError as error:
        refuse(card.at("tiers"), *str(error).split("; ", 1))


def _package(card: Fields, how: Switches) -> Price:
    return Package(
        _positive(card, "package_size"),
        card.number("package_amount"),
        card.word("package_rounding", {**words(Packaging), "none": Packaging.EXACT}, Packaging.UP),
        card.count("minimum_packages"),
    )


def _percentage(card: Fields, how: Switches) -> Price:
    return Percentage(
        card.number("rate_percent"),
        card.number("fixed_per_event", Fraction(0)),
        card.count("free_events"),
        card.number("free_amount", Fraction(0)),
        card.maybe("per_event_min"),
        card.maybe("per_event_max"),
    )


def _components(card: Fields, how: Switches) -> Price:
    return Chained(tuple(_component(each, how) for each in card.each("components")))


def _component(card: Fields, how: Switches) -> Price | Factor:
    model = card.text("model")
    if model == "factor":
        factor = Factor(card.number("value"))
        card.finish()
        return factor
    if model == "threshold_flat":
        return _threshold_flat(card)
    return nested_price(card, how)


_LEVEL, _AMOUNT = ("level", "threshold", "from", "at", "at_least"), ("amount", "flat_amount", "value", "cost")


def _threshold_flat(card: Fields) -> Price:
    """One level, or a list of them; the highest one reached is charged, once."""
    listed = next((key for key in ("levels", "thresholds", "tiers") if card.has(key)), None)
    levels = card.each(listed) if listed else [card]
    amounts: dict[Fraction, Fraction] = {}
    for level in levels:
        at, amount = (next((key for key in keys if level.has(key)), keys[0]) for keys in (_LEVEL, _AMOUNT))
        bound = level.bound(at)
        if bound is None:
            refuse(level.where, f'key "{at}" is missing', "say from which quantity on the amount is due")
        amounts[bound] = level.number(amount)
        if level is not card:
            level.finish()
    card.finish()
    return threshold_flat(amounts)


PRICES: dict[str, Callable[[Fields, Switches], Price]] = {
    "per_unit": lambda card, how: PerUnit(card.number("unit_amount")),
    "dynamic": lambda card, how: Dynamic(card.number("multiplier", Fraction(1))),
    "graduated": lambda card, how: Graduated(tiers(card, how), how.charge_at_zero),
    "volume": lambda card, how: Volume(tiers(card, how), how.charge_at_zero),
    "stairstep": _stairstep,
    "graduated_percentage": lambda card, how: GraduatedPercentage(tiers(card, how, "rate_percent"), how.charge_at_zero),
    "package": _package,
    "percentage": _percentage,
    "percent_of_amount": lambda card, how: PerUnit(card.number("rate_percent") / 100),
    "flat_fee": lambda card, how: Flat(card.number("amount"), charge_at_zero=True),
    "components": _components,
}


def capacity(card: Fields, how: Switches) -> Capacity:
    sizes = []
    for step in card.each("tiers"):
        limits = {name: number(limit, step.at("limits")) for name, limit in step.mapping("limits").items()}
        sizes.append(Size(limits, step.number("flat_amount")))
        step.finish()
    if not sizes:
        refuse(card.at("tiers"), "no size is listed", "add at least one tier with a flat_amount")
    return Capacity(tuple(sizes), how.beyond, how.charge_at_zero)


def terms(card: Fields, how: Switches, of: Price) -> Terms:
    """Everything agreed around a price, except credits and taxes."""
    return Terms(
        of,
        conversion(card.inner("unit_conversion")) if card.has("unit_conversion") else None,
        _zero_or_more(card, "included_units"),
        _zero_or_more(card, "usage_discount"),
        share(card.inner("proration")) if card.has("proration") else Fraction(1),
        commitment(card.inner("commitment")) if card.has("commitment") else None,
        adjustments(card),
        how.clamp_negative,
    )


def conversion(fields: Fields) -> Conversion:
    factor = _positive(fields, "factor")
    divide = fields.word("op", {"multiply": False, "divide": True}, False)
    found = Conversion(
        1 / factor if divide else factor,
        fields.word("rounding", _CONVERSIONS, None),
        fields.few("decimals") or fields.few("precision"),
    )
    fields.finish()
    return found


def adjustments(card: Fields) -> Adjustments:
    maximum, minimum = card.maybe("maximum"), card.maybe("minimum")
    if maximum is not None and card.has("maximum_proration"):
        maximum *= share(card.inner("maximum_proration"))
    if minimum is not None and card.has("minimum_proration"):
        minimum *= share(card.inner("minimum_proration"))
    return Adjustments(discounts(card, "discounts"), maximum, minimum, exchange(card))


def exchange(card: Fields) -> Fraction:
    """`currency_conversion`: a rate, or an object with one."""
    found = card.raw("currency_conversion")
    if found is None:
        return Fraction(1)
    if isinstance(found, str | int):
        return number(found, card.at("currency_conversion"))
    fields = card.inner("currency_conversion")
    rate = _positive(fields, next((key for key in ("rate", "factor") if fields.has(key)), "rate"))
    for key in ("currency", "to", "from"):
        fields.text(key)
    divide = fields.word("op", {"multiply": False, "divide": True}, False)
    fields.finish()
    return 1 / rate if divide else rate


def discounts(card: Fields, key: str) -> tuple[Discount, ...]:
    found = []
    for each in card.each(key):
        kind = each.word("type", words(DiscountKind), None)
        if kind is None:
            refuse(each.where, 'key "type" is missing', "write percentage or fixed")
        found.append(Discount(kind, _zero_or_more(each, "value", required=True)))
        each.finish()
    return tuple(found)


def commitment(fields: Fields) -> Commitment:
    amount, quantity = fields.maybe("amount"), fields.maybe("quantity")
    if (amount is None) == (quantity is None):
        refuse(fields.where, "a commitment is an amount or a quantity", "write exactly one of them")
    found = Commitment(amount, quantity, fields.number("overage_factor", Fraction(1)), fields.flag("true_up"))
    fields.finish()
    return found


def credits(card: Fields) -> tuple[Credit, ...]:
    found = []
    for i, each in enumerate(card.entries("credits")):
        where = f"{card.at('credits')}[{i}]"
        if isinstance(each, dict):
            fields = Fields(each, where)
            amount, priority = _zero_or_more(fields, "amount", required=True), fields.count("priority")
            fields.finish()
            found.append(Credit(amount, priority=priority))
            continue
        amount = number(each, where)
        if amount < 0:
            refuse(where, f"{each} is a debt, not a credit", "a credit is zero or more")
        found.append(Credit(amount))
    return tuple(found)


def tax_percents(card: Fields) -> tuple[Fraction, ...]:
    single = card.maybe("tax_percent")
    return (*(() if single is None else (single,)), *card.numbers("tax_percents"))


def share(fields: Fields) -> Fraction:
    """The fraction a `proration` object stands for, rounded if it says so."""
    basis = fields.word(
        "basis", {**{each.value: each.value for each in Basis}, "days_ratio": "ratio", "none": "none"}, ""
    )
    decimals = fields.few("factor_decimals") if fields.has("factor_decimals") else None
    if basis == "none":
        _unused(fields)
        fraction = Fraction(1)
    elif basis == "ratio":
        fraction = fields.number("numerator") / _positive(fields, "denominator")
    else:
        names = ("period_start", "period_end", "active_from", "active_to")
        start, end, active_from, active_to = (instant(fields.raw(name), fields.at(name)) for name in names)
        fraction = Proration(
            start,
            end,
            active_from,
            active_to,
            Basis(basis or Basis.SECOND_HALF_OPEN),
            fields.count("fixed_days_in_month", 30),
            fields.flag("zero_length_is_full"),
        ).fraction
    fields.finish()
    return rounded_fraction(fraction, decimals)


def _unused(fields: Fields) -> None:
    for name in ("period_start", "period_end", "active_from", "active_to", "zero_length_is_full"):
        fields.raw(name)


def _positive(fields: Fields, key: str) -> Fraction:
    found = fields.number(key)
    if found <= 0:
        refuse(fields.at(key), f"{fields.raw(key)} is not positive", "write more than zero")
    return found


def _zero_or_more(fields: Fields, key: str, required: bool = False) -> Fraction:
    found = fields.number(key, None if required else Fraction(0))
    if found < 0:
        refuse(fields.at(key), f"{fields.raw(key)} is negative", "write zero or more")
    return found
