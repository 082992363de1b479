"""A plan's prices as rows people can read, and the points of a chart of amount against usage. Rates nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from rating.core.adjustments import Discount, DiscountKind, Ramp
from rating.core.bends import price_bends
from rating.core.charges import rate
from rating.core.column import Column
from rating.core.money import decimal_text
from rating.core.plans import FeeDue, Plan
from rating.core.prices.bands import Banded
from rating.core.prices.dynamic import Dynamic
from rating.core.prices.flat import Flat
from rating.core.prices.graduated import Graduated
from rating.core.prices.graduated_percentage import GraduatedPercentage
from rating.core.prices.matrix import Matrix
from rating.core.prices.package import Package
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.percentage import Percentage
from rating.core.prices.price import Price
from rating.core.prices.stairstep import Stairstep
from rating.core.prices.volume import Volume
from rating.core.ratecards import RateCard
from rating.core.tiers import Beyond, Tiers
from rating.errors import PricingError


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One line of a price table. Quantities in whole units of the meter, allowance included; money in major units."""

    what: str
    above: Fraction
    """Exclusive, unless the card says otherwise."""
    up_to: Fraction | None
    unit_price: Fraction | None = None
    flat: Fraction = Fraction(0)


def price_rows(card: RateCard) -> list[PriceRow]:
    """The allowance first, then one row per step of the price."""
    rows = [PriceRow("included", Fraction(0), card.included, Fraction(0))] if card.included else []
    return rows + _rows(card.price, card.included)


def _rows(price: Price, start: Fraction) -> list[PriceRow]:
    match price:
        case PerUnit():
            return [PriceRow("each", start, None, price.unit_price)]
        case Flat():
            return [PriceRow("flat", start, None, None, price.amount)]
        case Graduated():
            return _tiers(price.tiers, start, "each in this tier")
        case Volume():
            return _tiers(price.tiers, start, "each of all, when the total ends here")
        case Stairstep():
            return _tiers(price.tiers, start, "band, added" if price.additive else "band")
        case Package():
            counted = {"up": "started", "down": "full", "exact": "or part of one"}[price.rounding]
            size = price.size.numerator if price.size.denominator == 1 else price.size
            return [PriceRow(f"per package of {size:,}, {counted}", start, None, None, price.price)]
        case Percentage():
            return [PriceRow(f"{decimal_text(price.rate_percent)}% of the money counted", start, None)]
        case GraduatedPercentage():
            steps = tuple(replace(step, unit_price=step.unit_price / 100) for step in price.tiers.steps)
            return _tiers(replace(price.tiers, steps=steps), start, "of the money in this tier")
        case Dynamic():
            return [PriceRow("the amount that was counted, times", start, None, price.multiplier)]
        case Matrix():
            cells = [(", ".join(cell.match.values()), cell.price) for cell in price.cells]
            cells += [("any other", price.default)] if price.default is not None else []
            return [_named_row(name, row) for name, cell in cells for row in _rows(cell, start)]
        case Banded():
            bands = price.prices.items()
            return [_named_row(name, row) for name, band in bands for row in _rows(band, start)]
        case _:
            raise PricingError(f"no table is written for a price of kind {type(price).__name__}")


def _named_row(name: str, row: PriceRow) -> PriceRow:
    return replace(row, what=f"{name}: {row.what}")


def _tiers(tiers: Tiers, start: Fraction, what: str) -> list[PriceRow]:
    flat_only = what.startswith("band")
    rows = [
        PriceRow(
            what,
            start + lower,
            None if upper is None else start + upper,
            None if flat_only else tier.unit_price,
            tier.flat,
        )
        for lower, upper, tier in tiers.spans()
    ]
    if tiers.end is not None and tiers.beyond is not Beyond.LAST_TIER_PRICE:
        beyond = "not billed" if tiers.beyond is Beyond.UNBILLED else "refused"
        rows.append(PriceRow(beyond, start + tiers.end, None))
    return rows


def agreements(card: RateCard) -> list[str]:
    """What is agreed about this charge beside its price, in the order it applies."""
    said = []
    if card.conversion is not None:
        factor = card.conversion.factor
        unit = card.meter.unit
        rounded = f", rounded {card.conversion.rounding}" if card.conversion.rounding is not None else ""
        if factor < 1:
            said.append(f"priced per {decimal_text(1 / factor)} {unit}s{rounded}")
        else:
            said.append(f"one {unit} is priced as {decimal_text(factor)}{rounded}")
    if card.rollover:
        periods = "period" if card.rollover == 1 else "periods"
        said.append(f"what is left of the included units is kept for {card.rollover} more {periods}")
    if card.usage_discount:
        said.append(f"{decimal_text(card.usage_discount)} more units are given away")
    if isinstance(card.commitment, Ramp):
        said.append(f"a promise that changes over {len(card.commitment.steps)} periods")
    elif card.commitment is not None:
        promised = card.commitment.quantity if card.commitment.amount is None else card.commitment.amount
        what = f"{card.meter.unit}s" if card.commitment.amount is None else "of money"
        assert promised is not None
        beyond = f", beyond it {decimal_text(card.commitment.overage_factor)} times the price"
        rest = ", the unused rest is owed" if card.commitment.true_up else ""
        said.append(f"{decimal_text(promised)} {what} promised{beyond}{rest}")
    said += _settled(card.adjustments.discounts, card.adjustments.maximum, card.adjustments.minimum)
    if card.limit is not None:
        said.append(f"at most {decimal_text(card.limit)} {card.meter.unit}s may be used")
    if card.revenue_share is not None:
        said.append(f"{decimal_text(card.revenue_share.percent)}% of it is owed to {card.revenue_share.partner}")
    return said


def fee_rows(plan: Plan) -> list[PriceRow]:
    """Fees beside the plan's own, each with when it is due."""
    due = {FeeDue.ARREARS: "", FeeDue.ADVANCE: ", in advance", FeeDue.ONCE: ", once"}
    return [PriceRow(f"{fee.title}{due[fee.due]}", Fraction(0), None, None, fee.amount) for fee in plan.fees]


def pool_agreements(plan: Plan) -> list[tuple[str, str]]:
    """Each pool's key, and what it gives to whom."""
    titles = {card.key: card.title for card in plan.cards}
    units = {card.key: card.meter.unit for card in plan.cards}
    return [
        (
            pool.key,
            f"{decimal_text(pool.included)} {units[pool.cards[0]]}s included for "
            f"{' and '.join(titles[key] for key in pool.cards)} together"
            f"{', shared by all consumers of a customer' if pool.by_customer else ''}",
        )
        for pool in plan.pools
    ]


def plan_agreements(plan: Plan) -> list[str]:
    """What is agreed about the whole invoice, in the order it applies."""
    agreed = plan.settlement
    taxes = [f"{tax.title} {decimal_text(tax.percent)}%" for tax in agreed.taxes]
    contained = ", contained in the prices" if agreed.tax_inclusive else ""
    return _settled(agreed.discounts, agreed.maximum, agreed.minimum) + [f"{tax}{contained}" for tax in taxes]


def _settled(discounts: Sequence[Discount], maximum: Fraction | None, minimum: Fraction | None) -> list[str]:
    said = []
    for discount in discounts:
        off = decimal_text(discount.value) + ("%" if discount.kind is DiscountKind.PERCENTAGE else "")
        code = f" ({discount.code})" if discount.code else ""
        starts = f", from {discount.starts}" if discount.starts else ""
        ends = f", before {discount.ends}" if discount.ends else ""
        times = f", {discount.redemptions} times" if discount.redemptions is not None else ""
        said.append(f"{off} off{code}{starts}{ends}{times}")
    if maximum is not None:
        said.append(f"at most {decimal_text(maximum)}")
    if minimum is not None:
        said.append(f"at least {decimal_text(minimum)}")
    return said


@dataclass(frozen=True, slots=True)
class Point:
    """What a quantity costs on one card."""

    quantity: Fraction
    amount: Fraction
    marks: tuple[str, ...]
    """What happens at this quantity: the allowance ends, a tier ends."""

    @property
    def each(self) -> Fraction | None:
        """The effective price of a unit; None for no usage."""
        return self.amount / self.quantity if self.quantity else None


def curve(card: RateCard, steps: int = 10) -> list[Point]:
    """Evenly spaced quantities up to twice the last bend, and every bend, in rising order.

    Raises:
        PricingError: the price depends on more than one quantity.
    """
    bends = price_bends(card)
    last = max(bends.at)
    if bends.every:
        last = max(last, *(first + 5 * step for first, step in bends.every))
    end = 2 * last if last else Fraction(1000)
    if bends.end is not None:
        end = min(end, bends.end)
    scale = 10**card.meter.digits
    spaced = {Fraction(int(end * scale * i / steps), scale) for i in range(steps + 1)}
    named = _named(card)
    quantities: Sequence[Fraction] = sorted(spaced | {mark for mark in named if mark <= end})
    amounts = rate(card, Column.of(quantities)).amount.fractions()
    return [
        Point(quantity, amount, tuple(named.get(quantity, ())))
        for quantity, amount in zip(quantities, amounts, strict=True)
    ]


def _named(card: RateCard) -> dict[Fraction, list[str]]:
    named: dict[Fraction, list[str]] = {}
    if card.included:
        named[card.included] = ["included"]
    if isinstance(card.price, Graduated | Volume | Stairstep):
        for number, step in enumerate(card.price.tiers.steps, 1):
            if step.up_to is not None:
                named.setdefault(card.included + step.up_to, []).append(f"tier {number} ends")
    return named
