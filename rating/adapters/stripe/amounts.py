"""Money as Stripe writes it: whole numbers whose unit is Stripe's own, not ISO 4217's.

The one way in which money crosses to Stripe and back. What cannot be said exactly is refused, never rounded.
Source of the table: docs.stripe.com/currencies, "Zero-decimal currencies", "Three-decimal currencies", "Special cases".
"""

from __future__ import annotations

from fractions import Fraction

from rating.core.money import Currency, Money, decimal_text
from rating.errors import EdgeDisagrees, EdgeRefused

_ZERO_DECIMALS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()
_WHOLE_IN_HUNDREDTHS = ("ISK", "UGX")
"""Have no decimals any more, and are still sent times a hundred: 5 ISK are 500."""
_THREE_DECIMALS = "BHD JOD KWD OMR TND".split()
"""Their last digit must be zero."""

_EXPONENTS = {
    **dict.fromkeys(_ZERO_DECIMALS, 0),
    **dict.fromkeys(_WHOLE_IN_HUNDREDTHS, 2),
    **dict.fromkeys(_THREE_DECIMALS, 3),
}
_STEPS = {**dict.fromkeys(_WHOLE_IN_HUNDREDTHS, 100), **dict.fromkeys(_THREE_DECIMALS, 10)}


def to_stripe(amount: Money) -> int:
    """The amount in Stripe's units.

    Raises:
        EdgeRefused: Stripe has no such amount, or does not take the currency.
    """
    units = amount.exact * _scale(amount.currency)
    step = _STEPS.get(amount.currency.code, 1)
    if units.denominator != 1 or units.numerator % step:
        counted = decimal_text(Fraction(step, _scale(amount.currency)))
        raise EdgeRefused(
            f"{amount} cannot be said to Stripe, which counts {amount.currency} in steps of {counted}; "
            "round the prices of this plan to that, or collect it by another gateway"
        )
    return units.numerator


def from_stripe(units: int, currency: Currency) -> Money:
    """What Stripe's number says in ours.

    Raises:
        EdgeDisagrees: it is no whole number, or no whole number of our minor units.
        EdgeRefused: Stripe does not take the currency.
    """
    if isinstance(units, bool) or not isinstance(units, int):
        raise EdgeDisagrees(f"Stripe said {units!r} where a whole number of {currency} is expected")
    minor, rest = divmod(units * 10**currency.exponent, _scale(currency))
    if rest:
        raise EdgeDisagrees(f"Stripe said {units} of its units of {currency}, which is no whole number of ours")
    return Money(minor, currency)


def stripe_exponent(currency: Currency) -> int:
    """How many decimals Stripe's unit of the currency stands for.

    Raises:
        EdgeRefused: it is not a currency of Stripe's.
    """
    known = _EXPONENTS.get(currency.code)
    if known is not None:
        return known
    if currency.exponent != 2:
        # Two decimals are Stripe's rule for what it does not list; another number of them would be a guess.
        raise EdgeRefused(f"Stripe does not take {currency}; collect it by another gateway")
    return 2


def _scale(currency: Currency) -> int:
    """How many of Stripe's units one euro, yen or dinar is."""
    return int(10 ** stripe_exponent(currency))


def exact_exponent(currency: Currency) -> int | None:
    """How many decimals Stripe's unit stands for, where it bills every whole number of units; else None.

    Where it does not, what it rates itself would be rounded otherwise than we do.
    """
    try:
        exponent = stripe_exponent(currency)
    except EdgeRefused:
        return None
    return None if currency.code in _STEPS else exponent
