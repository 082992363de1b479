"""Money in whole minor units, exact amounts before rounding, and the one rounding between them.

An *exact amount* is a `Fraction` of major units (euros, not cents): what arithmetic gives. `Money` is what stands on
paper: an integer number of minor units. `round_amount` is the only way from one to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction

from rating.errors import MixedCurrencies

# ISO 4217 exponents other than 2 (maintenance agency's list one, active codes).
_EXPONENTS = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}

_MOST_DIGITS = 400


class Rounding(StrEnum):
    """How an exact amount becomes whole minor units."""

    HALF_UP = "half_away_from_zero"
    """The default: 0.5 goes away from zero, for negative amounts too (every peer that tests it agrees)."""
    HALF_EVEN = "half_even"
    """Bankers' rounding, by choice of the catalogue."""
    UP = "up"
    """Away from zero."""
    DOWN = "down"
    """Towards zero."""
    HALF_DOWN = "half_down"
    """0.5 goes towards zero."""
    CEILING = "ceiling"
    """Towards plus infinity: how packages are counted."""
    FLOOR = "floor"
    """Towards minus infinity."""


@dataclass(frozen=True, slots=True, order=True)
class Currency:
    """An ISO 4217 code with its number of decimals."""

    code: str

    def __post_init__(self) -> None:
        if len(self.code) != 3 or not self.code.isascii() or not self.code.isalpha() or not self.code.isupper():
            raise ValueError(f"currency {self.code!r} is not a three-letter ISO 4217 code such as USD")

    @property
    def exponent(self) -> int:
        return _EXPONENTS.get(self.code, 2)

    def __str__(self) -> str:
        return self.code


@dataclass(frozen=True, slots=True)
class Money:
    """A rounded amount: `minor` whole minor units of `currency` (cents for USD, yen for JPY)."""

    minor: int
    currency: Currency

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other).minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other).minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other).minor

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise MixedCurrencies(f"{self} and {other} cannot stand in one sum; invoice each currency on its own")
        return other

    @property
    def exact(self) -> Fraction:
        """This amount in major units."""
        return Fraction(self.minor, 10**self.currency.exponent)

    @property
    def digits(self) -> str:
        """The amount as plain decimal text in major units, `-12.30`."""
        return fixed_point(self.exact, self.currency.exponent)

    def __str__(self) -> str:
        return f"{self.digits} {self.currency}"


def exact(text: str | int | Decimal) -> Fraction:
    """A decimal literal as an exact fraction. Floats are refused: 0.1 is not a tenth.

    Raises:
        TypeError: for a float or a bool.
        ValueError: for text that is not a finite decimal number.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | Decimal):
        raise TypeError(f"{text!r} is a {type(text).__name__}; write amounts as text or integers, floats lose digits")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a decimal number; write it like 0.0005") from None
    if not number.is_finite():
        raise ValueError(f"{text!r} is not a finite number")
    # "1e999999999" is eleven characters and a gigabyte of digits.
    if not -_MOST_DIGITS <= number.adjusted() <= _MOST_DIGITS:
        raise ValueError(f"{text!r} has more than {_MOST_DIGITS} digits; write money and quantities in ordinary units")
    return Fraction(number)


def round_ratio(numerator: int, denominator: int, rounding: Rounding = Rounding.HALF_UP) -> int:
    """`numerator / denominator` as a whole number. `denominator` must be positive."""
    if denominator <= 0:
        raise ValueError(f"denominator {denominator} must be positive")
    whole, rest = divmod(abs(numerator), denominator)
    match rounding:
        case Rounding.HALF_UP:
            whole += 2 * rest >= denominator
        case Rounding.HALF_EVEN:
            whole += 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
        case Rounding.UP:
            whole += rest > 0
        case Rounding.HALF_DOWN:
            whole += 2 * rest > denominator
        case Rounding.CEILING:
            whole += rest > 0 and numerator > 0
        case Rounding.FLOOR:
            whole += rest > 0 and numerator < 0
        case Rounding.DOWN:
            pass
    return whole if numerator >= 0 else -whole


def round_to(amount: Fraction, decimals: int, rounding: Rounding = Rounding.HALF_UP) -> Fraction:
    """An exact amount rounded to so many decimals, still a fraction: for units that are no ISO 4217 currency."""
    scale = 10**decimals
    return Fraction(round_ratio(amount.numerator * scale, amount.denominator, rounding), scale)


def round_amount(amount: Fraction, currency: Currency, rounding: Rounding = Rounding.HALF_UP) -> Money:
    """The one rounding: an exact amount in major units becomes Money."""
    return Money(round_ratio(amount.numerator * 10**currency.exponent, amount.denominator, rounding), currency)


def total(amounts: Sequence[Money], currency: Currency) -> Money:
    """The sum of rounded amounts; zero of `currency` for none."""
    minor = 0
    for amount in amounts:
        if amount.currency is not currency:
            Money(minor, currency)._same(amount)
        minor += amount.minor
    return Money(minor, currency)


def allocate(amount: int, weights: Sequence[Fraction | int]) -> list[int]:
    """Split `amount` whole units in proportion to `weights` so that the parts sum to it exactly.

    Largest remainder; ties go to the earlier share (as OpenMeter, Polar and Meteroid do). Weights are non-negative with
    a positive sum. A negative amount is split like its absolute value.
    """
    whole = sum((Fraction(weight) for weight in weights), Fraction(0))
    if whole <= 0 or any(weight < 0 for weight in weights):
        raise ValueError(f"weights {list(weights)} must be non-negative and not all zero")
    shares = [Fraction(weight) * abs(amount) / whole for weight in weights]
    parts = [share.numerator // share.denominator for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: (parts[i] - shares[i], i))
    for i in by_remainder[: abs(amount) - sum(parts)]:
        parts[i] += 1
    return parts if amount >= 0 else [-part for part in parts]


def decimal_text(amount: Fraction, digits: int = 30) -> str:
    """An exact amount as plain decimal text, rounded to `digits` decimals only where it does not terminate."""
    denominator = amount.denominator
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    return fixed_point(amount, max(twos, fives) if denominator == 1 else digits)


def grouped(number: str) -> str:
    """`1234567.5` as `1,234,567.5`, for people; programs get plain digits."""
    sign, digits = ("-", number[1:]) if number.startswith("-") else ("", number)
    whole, point, rest = digits.partition(".")
    return f"{sign}{int(whole):,}{point}{rest}"


def fixed_point(amount: Fraction, decimals: int) -> str:
    """Text with exactly `decimals` decimals. Free of the decimal module's context, which would cut long numbers."""
    units = round_ratio(amount.numerator * 10**decimals, amount.denominator)
    sign, text = ("-" if units < 0 else ""), str(abs(units)).rjust(decimals + 1, "0")
    return f"{sign}{text[:-decimals]}.{text[-decimals:]}" if decimals else f"{sign}{text}"
