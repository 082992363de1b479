"""Settlements: what is agreed about a plan's charges as a whole, as lines of their own on the invoice.

    charges -> discounts, as listed -> maximum -> minimum -> credits -> taxes

Each step sees what stands on the paper so far, rounded, so that anybody can follow it with the invoice alone. Decides
the order; the arithmetic is `adjustments`, `balances` and `taxes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from rating.core.adjustments import Discount, DiscountKind
from rating.core.balances import Credit, burn_down
from rating.core.column import Column
from rating.core.invoices import LineItem, LineKind
from rating.core.money import Currency, Rounding, allocate, decimal_text, round_amount
from rating.core.periods import Period
from rating.core.taxation import TaxDecision, Treatment
from rating.core.taxes import Tax, taxed


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is agreed about the whole."""

    discounts: tuple[Discount, ...] = ()
    maximum: Fraction | None = None
    """The most a whole billing period costs, fee included, before taxes."""
    minimum: Fraction | None = None
    """The least a whole billing period costs; what is missing is a line of its own."""
    taxes: tuple[Tax, ...] = ()
    tax_inclusive: bool = False
    """Prices contain the taxes already: they are shown, not added."""

    def times(self, rate: Fraction) -> Settlement:
        """The same agreement in another currency; percentages stay."""
        if rate == 1:
            return self
        return replace(
            self,
            discounts=tuple(
                replace(discount, value=discount.value * rate) if discount.kind is DiscountKind.FIXED else discount
                for discount in self.discounts
            ),
            maximum=None if self.maximum is None else self.maximum * rate,
            minimum=None if self.minimum is None else self.minimum * rate,
        )


OwnTaxes = Mapping[tuple[bool, str], tuple[Tax, ...]]
"""By whether a line is a fee, and its key: the rates it has in place of the agreement's."""

NO_OWN_TAXES: OwnTaxes = {}


def settle(
    charges: Sequence[LineItem],
    agreed: Settlement,
    *,
    period: Period,
    share: Fraction,
    currency: Currency,
    rounding: Rounding,
    credits: Sequence[Credit] = (),
    redeemed: Sequence[str] = (),
    own_taxes: OwnTaxes = NO_OWN_TAXES,
    decided: TaxDecision | None = None,
    items: Sequence[LineItem] = (),
) -> tuple[LineItem, ...]:
    """The lines after the charges.

    One-off `items` come after what is agreed about the charges: they are neither discounted nor capped, and do not fill
    up a minimum; credits pay them and taxes apply.

    `share` is how much of the billing period is billed: cap and minimum are promised for a whole one. A discount holds
    when its dates contain the period's first day and it has redemptions left; `redeemed` are the codes of the discount
    lines on this subscription's earlier invoices. `credits` are what is left of the customer's. `own_taxes` are the
    rates of charges that have other ones than the agreement's; `decided` takes the agreement's place.

    Late usage of earlier periods is discounted and taxed like any charge, but neither counts towards this period's cap
    nor fills up its minimum: a credit for October must not be eaten by November's minimum.
    """
    paper = _Paper(sum((line.amount.exact for line in charges), Fraction(0)), period, currency, rounding)
    late = sum((line.amount.exact for line in charges if line.kind is LineKind.ADJUSTMENT), Fraction(0))
    first_day = period.start.date()
    for discount in agreed.discounts:
        if discount.holds(first_day, redeemed.count(discount.code)):
            off = discount.taken_off(Column.of([paper.owed])).total()
            # Rounding up must not take more than there is.
            paper.add(LineKind.DISCOUNT, discount.code, _discount_title(discount), -min(off, max(paper.owed, off * 0)))
            if discount.kind is DiscountKind.PERCENTAGE:
                late = round_amount(late - discount.taken_off(Column.of([late])).total(), currency, rounding).exact
    if agreed.maximum is not None and paper.owed - late > agreed.maximum * share:
        cap = agreed.maximum * share
        paper.add(LineKind.CAP, "", f"Capped at {decimal_text(cap, 6)}", cap + late - paper.owed)
    if agreed.minimum is not None and paper.owed - late < agreed.minimum * share:
        least = agreed.minimum * share
        paper.add(LineKind.MINIMUM, "", f"Up to the minimum of {decimal_text(least, 6)}", least + late - paper.owed)
    paper.take(items)
    charges = (*charges, *items)
    _pay(paper, credits, period.end)
    if decided is not None:
        agreed = replace(agreed, taxes=decided.taxes)
        own_taxes = own_taxes if decided.treatment is Treatment.STANDARD and decided.own_rates else NO_OWN_TAXES
    _tax(paper, agreed, charges, own_taxes)
    if decided is not None and decided.note:
        # Printed among the taxes, whatever prints the invoice.
        paper.add(LineKind.TAX, decided.treatment.value, decided.note, Fraction(0))
    return tuple(paper.lines)


class _Paper:
    """The running total as it is printed, and the lines added to it."""

    def __init__(self, owed: Fraction, period: Period, currency: Currency, rounding: Rounding) -> None:
        self.owed = owed
        self.lines: list[LineItem] = []
        self._period, self._currency, self._rounding = period, currency, rounding

    @property
    def minor(self) -> int:
        """What is owed in whole minor units; the paper holds nothing finer."""
        return round_amount(self.owed, self._currency, self._rounding).minor

    def major(self, minor: int) -> Fraction:
        return Fraction(minor, 10**self._currency.exponent)

    def take(self, items: Sequence[LineItem]) -> None:
        self.lines += items
        self.owed += sum((item.amount.exact for item in items), Fraction(0))

    def add(self, kind: LineKind, key: str, title: str, exact: Fraction) -> None:
        amount = round_amount(exact, self._currency, self._rounding)
        self.lines.append(LineItem(kind, key, title, self._period, exact, amount))
        self.owed += amount.exact


def _discount_title(discount: Discount) -> str:
    off = (
        f"{decimal_text(discount.value)} %"
        if discount.kind is DiscountKind.PERCENTAGE
        else decimal_text(discount.value)
    )
    return f"Discount of {off}" + (f" ({discount.code})" if discount.code else "")


def _pay(paper: _Paper, credits: Sequence[Credit], at: datetime) -> None:
    burned = burn_down(paper.owed, credits, at)
    for credit, drawn in zip(credits, burned.drawn, strict=True):
        if drawn:
            paper.add(LineKind.CREDIT, credit.key, f"Paid from credit {credit.key}".rstrip(), -drawn)


def _tax(paper: _Paper, agreed: Settlement, charges: Sequence[LineItem], own_taxes: OwnTaxes) -> None:
    for tax, exact in _taxes(paper, agreed, charges, own_taxes).items():
        shown = f"{tax.title} {decimal_text(tax.percent)} %"
        if agreed.tax_inclusive:
            paper.add(LineKind.TAX, tax.title, f"{shown}, contained: {decimal_text(exact, 4)}", Fraction(0))
        else:
            paper.add(LineKind.TAX, tax.title, shown, exact)


def _taxes(paper: _Paper, agreed: Settlement, charges: Sequence[LineItem], own_taxes: OwnTaxes) -> dict[Tax, Fraction]:
    """Each rate's exact tax, in the order in which the charges first name them.

    What is owed after discounts, cap, minimum and credits lies on the charges in proportion to their amounts, by
    largest remainder, so that the bases of all rates add up to it.
    """
    rates = [own_taxes.get((line.kind is LineKind.FEE, line.card), agreed.taxes) for line in charges]
    weights = [max(line.amount.minor, 0) for line in charges]
    if all(rate == agreed.taxes for rate in rates) or not any(weights):
        bases = [(agreed.taxes, paper.owed)]
    else:
        shares = allocate(paper.minor, weights)
        bases = [(rate, paper.major(share)) for rate, share in zip(rates, shares, strict=True)]
    found: dict[Tax, Fraction] = {}
    for rate, base in bases:
        by_rate = taxed(base, [tax.percent for tax in rate], 0, agreed.tax_inclusive).by_rate
        for tax, exact in zip(rate, by_rate, strict=True):
            found[tax] = found.get(tax, Fraction(0)) + exact
    return found


def remaining(credits: Sequence[Credit], lines: Iterable[LineItem]) -> tuple[Credit, ...]:
    """What is left of granted credits after the credit lines of the invoices issued so far."""
    left = {credit.key: credit.amount for credit in credits}
    for line in lines:
        if line.kind is LineKind.CREDIT and line.card in left:
            left[line.card] += line.amount.exact
    return tuple(
        Credit(left[credit.key], credit.key, credit.priority, credit.expires, credit.granted) for credit in credits
    )
