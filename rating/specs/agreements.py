"""What may be agreed beside a price, as written: discounts, caps, minimums, commitments, conversions, taxes, credits,
fees, pools, shares of partners, other currencies.

Turns each into its core value. The order in which they apply is the core's (`terms`, `settlements`), not the author's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from rating.core.adjustments import Adjustments, Commitment, Discount, DiscountKind, Ramp
from rating.core.balances import Credit
from rating.core.money import Currency, Rounding, decimal_text
from rating.core.plans import Fee, FeeDue, Pool
from rating.core.prices.converted import Conversion
from rating.core.ratecards import RevenueShare
from rating.core.settlements import Settlement
from rating.core.subscriptions import Exchange
from rating.core.taxes import Tax
from rating.specs.fields import Amount, CurrencyCode, Key, Moment, Quantity, Share, Spec, Text, moment_text, share_text
from rating.specs.words import words


def _not_negative(amount: Fraction) -> Fraction:
    if amount < 0:
        raise ValueError(f"{decimal_text(amount)} is negative; write zero or more")
    return amount


def _positive(quantity: Fraction) -> Fraction:
    if quantity <= 0:
        raise ValueError(f"{decimal_text(quantity)} leaves nothing to count or price; write more than 0")
    return quantity


def _at_most_all(share: Fraction) -> Fraction:
    if share > 1:
        raise ValueError(f"{share_text(share)} is more than there is; write up to 100%")
    return share


def _worth_something(rate: Fraction) -> Fraction:
    if rate <= 0:
        raise ValueError(f"{decimal_text(rate)} would make every amount nothing; write a rate above 0")
    return rate


Owed = Annotated[Amount, AfterValidator(_not_negative)]
PositiveQuantity = Annotated[Quantity, AfterValidator(_positive)]


def day_of(moment: date | datetime) -> date:
    if isinstance(moment, datetime):
        raise ValueError(f"{moment_text(moment)} is an instant; a discount begins and ends with days, write 2026-10-01")
    return moment


class DiscountSpec(Spec):
    """So many percent, or so much money, off what is left after the discounts before it."""

    percent: Annotated[Share, AfterValidator(_at_most_all)] | None = Field(default=None, description="Such as 15%.")
    amount: Owed | None = Field(default=None, description='Money, such as "5.00"; never more than there is to pay.')
    code: Key | None = Field(default=None, description="The coupon's name; it stands on the invoice.")
    start: Annotated[Moment, AfterValidator(day_of)] | None = Field(
        default=None, description="Billing periods that begin on this day or later."
    )
    end: Annotated[Moment, AfterValidator(day_of)] | None = Field(
        default=None, description="The first day it no longer holds."
    )
    redemptions: int | None = Field(
        default=None, ge=1, description="On how many invoices of one subscription it may stand; it needs a code."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.percent is None) == (self.amount is None):
            raise ValueError("a discount takes a percentage or an amount; write exactly one of percent and amount")
        if self.redemptions is not None and self.code is None:
            raise ValueError("redemptions are counted by the discount's code; add a code")
        if isinstance(self.start, date) and isinstance(self.end, date) and self.end <= self.start:
            raise ValueError(f"the discount ends {self.end}, not after its start {self.start}; choose a later day")
        return self


class CommitmentSpec(Spec):
    """Money or units promised for a whole period."""

    amount: Owed | None = Field(default=None, description="Money promised.")
    quantity: PositiveQuantity | None = Field(default=None, description="Units promised.")
    overage_factor: PositiveQuantity = Field(
        default=Fraction(1), description='What exceeds the promise costs so many times its price: "1.5".'
    )
    true_up: bool = Field(default=False, description="Is the unused rest of the promise owed as well?")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.amount is None) == (self.quantity is None):
            raise ValueError("a commitment is money or units; write exactly one of amount and quantity")
        return self


class ConversionSpec(Spec):
    """The price, the tiers and what is included are in another unit than the meter counts."""

    per: PositiveQuantity | None = Field(default=None, description="One priced unit is so many counted ones: 1_000.")
    times: PositiveQuantity | None = Field(default=None, description="One counted unit is so many priced ones.")
    round: Annotated[Rounding, *words(Rounding)] | None = Field(
        default=None, description="Round the converted quantity; exact when absent."
    )
    decimals: int = Field(default=0, ge=0, le=12, description="To so many decimals, where it is rounded.")

    @model_validator(mode="after")
    def _one_factor(self) -> Self:
        if (self.per is None) == (self.times is None):
            raise ValueError("a conversion divides or multiplies; write exactly one of per and times")
        return self


class TaxSpec(Spec):
    """One declared rate. Rates add up; none is taxed by another."""

    name: Text = Field(description="As it stands on the invoice: VAT.")
    percent: Annotated[Share, AfterValidator(_at_most_all)] = Field(description="Such as 19%.")


class CreditSpec(Spec):
    """Credit granted to this subscription, which pays before any money is asked for."""

    key: Key = Field(description="Names it on invoices; it must not change.")
    amount: Owed = Field(description="As it was granted; what is left follows from the invoices.")
    priority: int = Field(default=0, description="Lower pays first; then what expires first, then what is oldest.")
    granted: Moment | None = Field(default=None, description="When it was granted.")
    expires: Moment | None = Field(default=None, description="The first day it is worth nothing.")


class FeeSpec(Spec):
    """A flat price beside the plan's own fee."""

    key: Key = Field(description="Names it in the book; it must not change.")
    name: Text | None = Field(default=None, description="The text on the line item; the key when absent.")
    amount: Owed = Field(description='For a whole period, or once: "99.00".')
    due: Annotated[FeeDue, *words(FeeDue)] = Field(
        default=FeeDue.ARREARS,
        description="arrears: on the invoice of its period. advance: on the invoice of the period before, the first "
        "when the subscription begins. once: when the subscription begins, in full.",
    )
    taxes: list[TaxSpec] | None = Field(
        default=None, description="This fee's own rates in place of the plan's; [] for none."
    )


class SharedBy(StrEnum):
    """Whose usage takes from one pool."""

    SUBSCRIPTION = "subscription"
    CUSTOMER = "customer"


class PoolSpec(Spec):
    """One allowance for several charges."""

    key: Key = Field(description="Names it in the book; it must not change.")
    name: Text | None = Field(default=None, description="What it is called; the key when absent.")
    included: PositiveQuantity = Field(description="Units per period that cost nothing, whichever charge uses them.")
    charges: list[Key] = Field(
        min_length=1,
        description="Keys of charges of this plan or its bundle, with one unit. They take from the pool in the order "
        "of the plan, after what each includes itself.",
    )
    shared_by: Annotated[SharedBy, *words(SharedBy)] = Field(
        default=SharedBy.SUBSCRIPTION,
        description="subscription: each has a pool of its own, and a part of it for a part of a period. customer: all "
        "consumers of one customer on this plan share one, whole in every period, in the order of their names.",
    )


class ShareSpec(Spec):
    """Part of what a charge comes to is owed to a partner."""

    partner: Text = Field(description="To whom; the name on the statement.")
    percent: Annotated[Share, AfterValidator(_at_most_all)] = Field(
        description="Of the charge's line on the invoice, before what is agreed about the whole invoice: 20%."
    )


class ExchangeSpec(Spec):
    """The invoice is in another currency than the plan, at a fixed rate."""

    currency: CurrencyCode = Field(description="The currency of the invoice, and of the subscription's credits.")
    rate: Annotated[Amount, AfterValidator(_worth_something)] = Field(
        description='What one unit of the plan\'s currency costs in it: "151.5".'
    )


Instant = Callable[[date | datetime], datetime]
"""A written moment as an instant: midnight of the catalogue's time zone where only a day is written."""


def discounts_of(specs: Sequence[DiscountSpec]) -> tuple[Discount, ...]:
    return tuple(
        Discount(
            kind=DiscountKind.FIXED if spec.percent is None else DiscountKind.PERCENTAGE,
            value=(spec.amount or Fraction(0)) if spec.percent is None else spec.percent * 100,
            starts=spec.start,
            ends=spec.end,
            code=spec.code or "",
            redemptions=spec.redemptions,
        )
        for spec in specs
    )


def adjustments_of(
    discounts: Sequence[DiscountSpec], maximum: Fraction | None, minimum: Fraction | None
) -> Adjustments:
    return Adjustments(discounts_of(discounts), maximum, minimum)


def commitment_of(spec: CommitmentSpec) -> Commitment:
    return Commitment(spec.amount, spec.quantity, spec.overage_factor, spec.true_up)


def promise_of(commitment: CommitmentSpec | None, ramp: Sequence[CommitmentSpec] | None) -> Commitment | Ramp | None:
    if ramp is not None:
        return Ramp(tuple(commitment_of(step) for step in ramp))
    return None if commitment is None else commitment_of(commitment)


def conversion_of(spec: ConversionSpec | None) -> Conversion | None:
    if spec is None:
        return None
    factor = 1 / spec.per if spec.per is not None else spec.times
    assert factor is not None
    return Conversion(factor, spec.round, spec.decimals)


def settlement_of(
    discounts: Sequence[DiscountSpec],
    maximum: Fraction | None,
    minimum: Fraction | None,
    taxes: Sequence[TaxSpec],
    tax_inclusive: bool,
) -> Settlement:
    return Settlement(discounts_of(discounts), maximum, minimum, taxes_of(taxes) or (), tax_inclusive)


def taxes_of(specs: Sequence[TaxSpec] | None) -> tuple[Tax, ...] | None:
    return None if specs is None else tuple(Tax(tax.name, tax.percent * 100) for tax in specs)


def credits_of(specs: Sequence[CreditSpec], instant: Instant) -> tuple[Credit, ...]:
    return tuple(
        Credit(
            amount=spec.amount,
            key=spec.key,
            priority=spec.priority,
            expires=None if spec.expires is None else instant(spec.expires),
            granted=None if spec.granted is None else instant(spec.granted),
        )
        for spec in specs
    )


def fee_of(spec: FeeSpec) -> Fee:
    return Fee(spec.key, spec.name or spec.key, spec.amount, spec.due, taxes_of(spec.taxes))


def pool_of(spec: PoolSpec) -> Pool:
    return Pool(
        spec.key, spec.name or spec.key, spec.included, tuple(spec.charges), spec.shared_by is SharedBy.CUSTOMER
    )


def share_of(spec: ShareSpec | None) -> RevenueShare | None:
    return None if spec is None else RevenueShare(spec.partner, spec.percent * 100)


def exchange_of(spec: ExchangeSpec | None) -> Exchange | None:
    return None if spec is None else Exchange(Currency(spec.currency), spec.rate)
