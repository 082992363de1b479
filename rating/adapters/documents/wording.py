"""Words and numbers of a document in its language: captions from small tables, figures and dates by babel.

Decides the spelling, never a figure: amounts have their currency's decimals whatever the locale thinks of them.
"""

from __future__ import annotations

import re
import unicodedata
from copy import copy
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from pathlib import Path

import yaml
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import NumberPattern

from rating.core.money import Money, decimal_text, fixed_point
from rating.errors import Finding, SpecError

CAPTIONS = Path(__file__).with_name("captions")
_LONGEST = 18
"""Decimals of a number that never ends, such as a third."""

_STEPS = (
    (re.compile(r"tier (?P<number>\d+) \(up to (?P<bound>[\d.]+)\)\Z"), "tier"),
    (re.compile(r"tier (?P<number>\d+)\Z"), "tier_open"),
    (re.compile(r"package of (?P<size>[\d.]+)\Z"), "package"),
    (re.compile(r"flat fee\Z"), "flat"),
    (re.compile(r"per unit\Z"), "per_unit"),
    (re.compile(r"included\Z"), "free"),
)


class Wording:
    """One language and its way of writing numbers."""

    def __init__(self, name: str, own: Path | None = None) -> None:
        """`own` is a brand's folder of captions, which come before ours.

        Raises:
            SpecError: nobody knows the locale, or the brand's captions cannot be read.
        """
        try:
            self.locale = Locale.parse(name.replace("-", "_"))
        except (UnknownLocaleError, ValueError) as error:
            finding = Finding("locale", f"{name!r} is not a locale", "write a language and a country, such as de_AT")
            raise SpecError((finding,)) from error
        language = self.locale.language
        self._captions: dict[str, str] = _captions(CAPTIONS, "en") | _captions(CAPTIONS, language)
        if own is not None:
            self._captions |= _captions(own, language)

    @property
    def tag(self) -> str:
        """As HTML writes it."""
        return str(self.locale).replace("_", "-")

    @property
    def direction(self) -> str:
        return str(self.locale.text_direction)

    def say(self, key: str, **values: object) -> str:
        said = self._captions[key]
        if self.direction == "rtl":
            # What is put in keeps its own direction and does not turn the words around it.
            values = {name: f"\u2068{value}\u2069" for name, value in values.items()}
        return said.format(**values) if values else said

    def number(self, number: Fraction) -> str:
        """All of its digits; one that never ends is cut and says so."""
        text = decimal_text(number, _LONGEST)
        return self._spelled(text) + ("" if Fraction(text) == number else "…")

    def whole(self, number: int) -> str:
        return self._spelled(str(int(number)))

    def money(self, money: Money) -> str:
        """The amount without its currency, for a column that names it once."""
        return self._spelled(money.digits)

    def exact(self, amount: Fraction, decimals: int) -> str:
        """An exact amount with its currency's decimals, or more where there is more to it."""
        text = decimal_text(amount, _LONGEST)
        if len(text.partition(".")[2]) < decimals:
            text = fixed_point(amount, decimals)
        return self._spelled(text) + ("" if Fraction(text) == amount else "…")

    def priced(self, money: Money) -> str:
        """With the currency's code where the locale puts it: a symbol such as $ has several owners."""
        pattern = copy(self.locale.currency_formats["standard"])
        exponent = money.currency.exponent
        pattern.frac_prec = (exponent, exponent)
        code = money.currency.code
        # Two signs are the code in place of the symbol; a space that does not break keeps it from the digits.
        pattern.prefix = tuple(re.sub("¤+", "¤¤", part) for part in pattern.prefix)
        pattern.suffix = tuple(re.sub("¤+", "¤¤", part) for part in pattern.suffix)
        before, _, after = self._applied(pattern, money.digits, code).partition(code)
        return "\u00a0".join(part for part in (before.strip(), code, after.strip()) if part)

    def day(self, day: date, format: str = "long") -> str:
        return format_date(day, format, locale=self.locale)

    def step(self, what: str) -> str:
        """A step of a price walk, `tier 2 (up to 1000)`, in this language where we have the words for it."""
        for pattern, key in _STEPS:
            found = pattern.match(what)
            if found:
                values = {name: self.number(Fraction(text)) for name, text in found.groupdict().items()}
                return self.say(key, **values)
        return what

    def _spelled(self, text: str) -> str:
        decimals = len(text.partition(".")[2])
        pattern = copy(self.locale.decimal_formats[None])
        pattern.frac_prec = (decimals, decimals)
        return self._applied(pattern, text)

    def _applied(self, pattern: NumberPattern, text: str, currency: str | None = None) -> str:
        with localcontext() as context:
            context.prec = len(text) + 10
            spelled = pattern.apply(
                Decimal(text), self.locale, currency=currency, currency_digits=False, numbering_system="latn"
            )
        return str(spelled).replace("\u2212", "-")


def direction(text: str) -> str:
    """What `dir=auto` decides: by the first letter that has a direction."""
    for letter in text:
        kind = unicodedata.bidirectional(letter)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            break
    return "ltr"


@cache
def _captions(folder: Path, language: str) -> dict[str, str]:
    file = folder / f"{language}.yaml"
    if not file.exists():
        return {}
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        finding = Finding(str(file), f"cannot be read: {error}", "write `caption: words`, a line each")
        raise SpecError((finding,)) from error
    if not isinstance(read, dict) or not all(isinstance(text, str) for pair in read.items() for text in pair):
        raise SpecError((Finding(str(file), "is not a list of captions", "write `caption: words`, a line each"),))
    return read
