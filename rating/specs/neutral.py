"""Reads the neutral pricing form: JSON values become numbers, dates and words, each fault with the place it stands at.

The neutral form writes money and quantities as decimal text; only bounds and counts may be JSON numbers. Every key must
be known: an overlooked key would be a wrong amount that nobody notices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, NoReturn, TypeVar

from rating.core.money import exact
from rating.errors import Finding, SpecError
from rating.specs.nearest import or_one_of

Word = TypeVar("Word")


class Fields:
    """One JSON object and where it stands; remembers which of its keys were asked for."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            refuse(where, f"{_shown(value)} stands where an object is expected", 'write {"key": ...}')
        self._value: Mapping[str, Any] = value
        self._known: dict[str, None] = {}
        self.where = where

    def has(self, key: str) -> bool:
        self._known[key] = None
        return self._value.get(key) is not None

    def raw(self, key: str) -> Any:
        self._known[key] = None
        return self._value.get(key)

    def at(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def number(self, key: str, default: Fraction | None = None) -> Fraction:
        """A decimal; its absence is a fault where there is no default."""
        found = self.maybe(key)
        if found is None and default is None:
            refuse(self.where, f'key "{key}" is missing', f'add "{key}" as decimal text')
        return found if found is not None else default or Fraction(0)

    def maybe(self, key: str) -> Fraction | None:
        return None if self.raw(key) is None else number(self.raw(key), self.at(key))

    def bound(self, key: str) -> Fraction | None:
        """A bound may be a JSON number: it is read as the decimal that was written."""
        found = self.raw(key)
        return None if found is None else number(_written(found), self.at(key))

    def count(self, key: str, default: int = 0) -> int:
        found = self.bound(key)
        if found is None:
            return default
        if found.denominator != 1 or found < 0:
            refuse(self.at(key), f"{_shown(self.raw(key))} is not a count", "write a whole number, zero or more")
        return found.numerator

    def few(self, key: str, default: int = 0) -> int:
        """A count of decimals or days: hundreds would be a typing mistake and a wait."""
        found = self.count(key, default)
        if found > 100:
            refuse(self.at(key), f"{found} is more than anybody counts with", "write at most 100")
        return found

    def flag(self, key: str, default: bool = False) -> bool:
        found = self.raw(key)
        if found is None:
            return default
        if not isinstance(found, bool):
            refuse(self.at(key), f"{_shown(found)} is neither true nor false", "write true or false")
        return found

    def text(self, key: str) -> str | None:
        found = self.raw(key)
        if found is not None and not isinstance(found, str):
            refuse(self.at(key), f"{_shown(found)} is not text", "quote it")
        return found

    def word(self, key: str, words: Mapping[str, Word], default: Word) -> Word:
        found = self.text(key)
        if found is None:
            return default
        if found not in words:
            refuse(self.at(key), f'"{found}" is not one of {", ".join(words)}', or_one_of(found, words))
        return words[found]

    def entries(self, key: str) -> Sequence[Any]:
        found = self.raw(key)
        if found is None:
            return ()
        if isinstance(found, str) or not isinstance(found, Sequence):
            refuse(self.at(key), f"{_shown(found)} stands where a list is expected", "write [...]")
        return found

    def numbers(self, key: str) -> list[Fraction]:
        return [number(each, f"{self.at(key)}[{i}]") for i, each in enumerate(self.entries(key))]

    def each(self, key: str) -> list[Fields]:
        return [Fields(each, f"{self.at(key)}[{i}]") for i, each in enumerate(self.entries(key))]

    def inner(self, key: str) -> Fields:
        """The object at this key; an empty one where it is absent."""
        found = self.raw(key)
        return Fields({} if found is None else found, self.at(key))

    def mapping(self, key: str) -> dict[str, Any]:
        found = self.raw(key)
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            refuse(self.at(key), f"{_shown(found)} stands where an object is expected", 'write {"key": ...}')
        return dict(found)

    def finish(self) -> None:
        """Refuses keys nobody asked for."""
        for key in self._value:
            if key not in self._known:
                refuse(self.where, f'unknown key "{key}"', or_one_of(str(key), self._known))


def number(value: Any, where: str) -> Fraction:
    try:
        return exact(value)
    except (TypeError, ValueError) as error:
        what, _, hint = str(error).partition("; ")
        refuse(where, what, hint)


def instant(value: Any, where: str) -> date | datetime:
    """A day or an instant of ISO 8601."""
    text = value if isinstance(value, str) else ""
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        refuse(where, f"{_shown(value)} is not a date", "write it like 2026-10-01 or 2026-10-01T06:00:00Z")


def refuse(where: str, what: str, hint: str = "") -> NoReturn:
    raise SpecError((Finding(where or "line", what, hint),))


def words(choices: type[StrEnum]) -> dict[str, Any]:
    return {choice.value: choice for choice in choices}


def _written(value: Any) -> Any:
    # The shortest text of a float is the decimal that was written, for every bound a person would write.
    return Decimal(repr(value)) if isinstance(value, float) else value


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
