"""Statements: from the amounts of an invoice's lines to what is paid.

    line discounts -> invoice discounts, as listed -> credits -> tax

Decides how what is agreed about a whole invoice reaches its lines: a rounded discount is split over them by largest
remainder, so that the shares add up to it. How a line's own amount comes about is `terms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rating.core.adjustments import Discount
from rating.core.balances import Burned, Credit, burn_down
from rating.core.column import Column
from rating.core.money import Rounding, allocate, round_to
from rating.core.taxes import Taxed, taxed


@dataclass(frozen=True, slots=True)
class StatementLine:
    amount: Fraction
    discounts: tuple[Discount, ...] = ()
    usage: bool = True
    """Fees are not usage; some credits pay usage only."""
    tax_percents: tuple[Fraction, ...] | None = None
    """This line's own rates; the invoice's where None."""


@dataclass(frozen=True, slots=True)
class InvoiceTerms:
    """What is agreed about the invoice as a whole."""

    decimals: int
    discounts: tuple[Discount, ...] = ()
    credits: tuple[Credit, ...] = ()
    credits_pay_usage_only: bool = False
    tax_percents: tuple[Fraction, ...] = ()
    tax_inclusive: bool = False
    tax_rounded_per_line: bool = False
    keep_fractional_discounts: bool = False
    """Discounts are rounded once each by default, as they stand on the invoice."""
    rounding: Rounding = Rounding.HALF_UP


@dataclass(frozen=True, slots=True)
class Statement:
    subtotal: Fraction
    lines: tuple[Fraction, ...]
    """After all discounts, before credits and tax."""
    burned: Burned
    line_taxes: tuple[Taxed, ...]
    taxed_by_line: bool
    """Do lines have rates of their own?"""
    tax: Fraction
    """As it stands on the invoice, rounded."""
    amount: Fraction
    rounded: Fraction

    @property
    def discount(self) -> Fraction:
        return self.subtotal - sum(self.lines, Fraction(0))


def stated(lines: Sequence[StatementLine], terms: InvoiceTerms) -> Statement:
    """The whole arithmetic of one invoice."""
    amounts = [_line_discounted(line, terms) for line in lines]
    for discount in terms.discounts:
        amounts = _invoice_discounted(amounts, discount, terms)
    burned, payable = _paid_by_credits(lines, amounts, terms)
    by_line = any(line.tax_percents is not None for line in lines)
    line_taxes = tuple(
        taxed(
            left,
            terms.tax_percents if line.tax_percents is None else line.tax_percents,
            terms.decimals,
            terms.tax_inclusive,
            terms.rounding,
        )
        for line, left in zip(lines, payable, strict=True)
    )
    left = sum(payable, Fraction(0))
    exact_tax = sum((tax.exact for tax in line_taxes), Fraction(0))
    if terms.tax_rounded_per_line:
        tax = sum((tax.rounded for tax in line_taxes), Fraction(0))
    else:
        tax = round_to(exact_tax, terms.decimals, terms.rounding)
    on_top = Fraction(0) if terms.tax_inclusive else tax
    if not by_line:
        # One rate for the invoice: the tax is itself a rounded line of it.
        amount, rounded = left + on_top, round_to(left + on_top, terms.decimals, terms.rounding)
    else:
        amount = left + (Fraction(0) if terms.tax_inclusive else exact_tax)
        exactly = left + on_top if terms.tax_rounded_per_line else amount
        rounded = round_to(exactly, terms.decimals, terms.rounding)
    subtotal = sum((line.amount for line in lines), Fraction(0))
    return Statement(subtotal, tuple(amounts), burned, line_taxes, by_line, tax, amount, rounded)


def _line_discounted(line: StatementLine, terms: InvoiceTerms) -> Fraction:
    amount = line.amount
    for discount in line.discounts:
        amount -= _off(discount, amount, terms)
    return amount


def _invoice_discounted(amounts: list[Fraction], discount: Discount, terms: InvoiceTerms) -> list[Fraction]:
    total = sum(amounts, Fraction(0))
    off = _off(discount, total, terms)
    weights = [max(amount, Fraction(0)) for amount in amounts]
    if not off or not any(weights):
        return amounts
    minor = off * 10**terms.decimals
    if minor.denominator == 1 and not terms.keep_fractional_discounts:
        shares = [Fraction(part, 10**terms.decimals) for part in allocate(minor.numerator, weights)]
    else:
        whole = sum(weights, Fraction(0))
        shares = [off * weight / whole for weight in weights]
    return [amount - share for amount, share in zip(amounts, shares, strict=True)]


def _off(discount: Discount, amount: Fraction, terms: InvoiceTerms) -> Fraction:
    off = discount.taken_off(Column.of([amount])).total()
    if terms.keep_fractional_discounts:
        return off
    # Rounding up must not take more than there is: half a cent less a cent would be a debt.
    return min(round_to(off, terms.decimals, terms.rounding), max(amount, Fraction(0)))


def _paid_by_credits(
    lines: Sequence[StatementLine], amounts: list[Fraction], terms: InvoiceTerms
) -> tuple[Burned, list[Fraction]]:
    """What the credits paid, and what is left of each line: every line they may pay is paid in proportion."""
    payable = [
        amount if line.usage or not terms.credits_pay_usage_only else Fraction(0)
        for line, amount in zip(lines, amounts, strict=True)
    ]
    owed = sum(payable, Fraction(0))
    burned = burn_down(owed, terms.credits)
    left = 1 - burned.total / owed if owed > 0 else Fraction(1)
    return burned, [amount - share + share * left for amount, share in zip(amounts, payable, strict=True)]
