"""Core values as canonical JSON and back: one text for one value, so that texts can be hashed and compared for years.

Decides how a value is spelled. What is hashed, and why, is `entries`.

The spelling: keys sorted, no spaces, no escapes beyond JSON's own; integers as numbers, fractions as `"n/d"` in lowest
terms, instants as ISO 8601 in UTC, money as `"minor CODE"`. Never a float. A field that holds its default is left out:
a field added to a value later does not change the text, and so the hash, of what was written before it existed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import Enum
from fractions import Fraction
from typing import Any, TypeVar

from rating.core.money import Currency, Money

T = TypeVar("T")

_Turn = Callable[[Any], Any]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: object) -> str:
    """The one text of a value made of frozen dataclasses, tuples, text, integers, fractions, instants and money."""
    return _ENCODER.encode(plain(value))


def digest(text: str) -> str:
    """SHA-256 in hex of the text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def read(kind: type[T], text: str) -> T:
    """The value whose canonical text this is.

    Raises:
        ValueError: the text does not describe a value of this kind.
    """
    try:
        return typing.cast(T, _decoder(kind)(json.loads(text)))
    except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"not the text of a {kind.__name__}: {error!r}") from error


def plain(value: object) -> Any:
    """The value in JSON's own types."""
    kind: Any = type(value)
    turn = _ENCODERS.get(kind)
    if turn is None:
        turn = _ENCODERS[kind] = _encoder(kind)
    return turn(value)


_ENCODERS: dict[Any, _Turn] = {}
_DECODERS: dict[Any, _Turn] = {}


def _encoder(kind: type) -> _Turn:
    if kind in (str, int, bool, type(None)):
        return lambda value: value
    if kind is Fraction:
        return lambda value: f"{value.numerator}/{value.denominator}"
    if kind is Money:
        return lambda value: f"{value.minor} {value.currency.code}"
    if kind is Currency:
        return lambda value: value.code
    if kind is datetime:
        return _instant
    if kind is date:
        return lambda value: value.isoformat()
    if issubclass(kind, Enum):
        return lambda value: value.value
    if issubclass(kind, tuple | list):
        return lambda value: [plain(item) for item in value]
    if issubclass(kind, dict):
        return lambda value: {key: plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        fields = [(field.name, _default(field)) for field in dataclasses.fields(kind)]

        def encode(value: Any) -> dict[str, Any]:
            pairs = ((name, getattr(value, name), default) for name, default in fields)
            return {name: plain(item) for name, item, default in pairs if item != default}

        return encode
    raise TypeError(f"{kind.__name__} has no canonical text; floats lose digits and other types have several spellings")


def _decoder(kind: Any) -> _Turn:
    if kind not in _DECODERS:
        _DECODERS[kind] = _new_decoder(kind)
    return _DECODERS[kind]


def _new_decoder(kind: Any) -> _Turn:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in (str, int, bool):
        return lambda item: _exactly(kind, item)
    if kind is Fraction:
        return Fraction
    if kind is Money:
        return lambda item: Money(int(item.partition(" ")[0]), Currency(item.partition(" ")[2]))
    if kind in (datetime, date):
        return lambda item: kind.fromisoformat(item)
    if origin in (typing.Union, types.UnionType):
        inner = _decoder(next(argument for argument in arguments if argument is not type(None)))
        return lambda item: None if item is None else inner(item)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        inner = _decoder(arguments[0])
        return lambda items: tuple(inner(item) for item in items)
    if origin is tuple:
        inners = [_decoder(argument) for argument in arguments]
        return lambda items: tuple(inner(item) for inner, item in zip(inners, items, strict=True))
    if isinstance(kind, type) and issubclass(kind, Enum | Currency):
        return kind
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        decoders = {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(kind)}
        make: Any = kind
        return lambda item: make(**{name: decoders[name](part) for name, part in item.items()})
    raise TypeError(f"{kind} cannot be read from canonical text")


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone; the book keeps instants in UTC")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _exactly(kind: type, item: object) -> object:
    if type(item) is not kind:
        raise ValueError(f"{item!r} is a {type(item).__name__}, not a {kind.__name__}")
    return item
