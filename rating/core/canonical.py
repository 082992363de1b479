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
import json.encoder
import types
import typing
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar, cast

from rating.core.money import Currency, Money
from rating.core.periods import Period

T = TypeVar("T")

_Turn = Callable[[Any], Any]

_Write = Callable[[Any], str]
_quoted: Callable[[str], str] = json.encoder.encode_basestring
"""Text as JSON has it without `ensure_ascii`: only what JSON itself escapes."""


def canonical(value: object) -> str:
    """The one text of a value made of frozen dataclasses, tuples, text, integers, fractions, instants and money."""
    return _writer(type(value))(value)


def digest(text: str) -> str:
    """SHA-256 in hex of the text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def read(kind: type[T], text: str) -> T:
    """The value whose canonical text this is.

    Raises:
        ValueError: the text does not describe a value of this kind.
    """
    try:
        return cast(T, _decoder(kind)(json.loads(text)))
    except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"not the text of a {kind.__name__}: {error!r}") from error


def _writer(kind: Any) -> _Write:
    """How values of exactly this type are written. Found once per type: an invoice is a hundred small values."""
    if kind not in _WRITERS:
        _WRITERS[kind] = _new_writer(kind)
    return _WRITERS[kind]


_WRITERS: dict[Any, _Write] = {}
_DECODERS: dict[Any, _Turn] = {}


def _new_writer(kind: type) -> _Write:
    if kind is str:
        return _quoted
    if kind is int:
        return int.__repr__
    if kind is bool:
        return lambda value: "true" if value else "false"
    if kind is type(None):
        return lambda value: "null"
    if kind is Fraction:
        return _ratio
    if kind is Money:
        return lambda value: f'"{value.minor} {value.currency.code}"'
    if kind is Currency:
        return lambda value: f'"{value.code}"'
    if kind is datetime:
        return _instant
    if kind is date:
        return lambda value: f'"{value.isoformat()}"'
    if issubclass(kind, Enum):
        texts = {member.value: canonical(member.value) for member in kind}
        return lambda value: texts[value._value_]
    if issubclass(kind, tuple | list):
        return lambda value: f"[{','.join([_writer(type(item))(item) for item in value])}]"
    if issubclass(kind, dict):
        return _mapping
    if kind is Period:
        # All the lines of a month's invoices name a few of them.
        return lru_cache(4096)(_fields_of(kind))
    if dataclasses.is_dataclass(kind):
        return _fields_of(kind)
    raise TypeError(f"{kind.__name__} has no canonical text; floats lose digits and other types have several spellings")


def _ratio(value: Fraction) -> str:
    numerator, denominator = value.as_integer_ratio()
    return f'"{numerator}/{denominator}"'


def _mapping(value: dict[str, Any]) -> str:
    return f"{{{','.join(f'{_quoted(key)}:{canonical(item)}' for key, item in sorted(value.items()))}}}"


def _fields_of(kind: Any) -> _Write:
    """Fields in order of name, those that hold their default left out.

    The function is written out field by field and compiled, as `dataclasses` does for `__init__`: going through the
    fields one by one took four times as long, and this is most of what issuing an invoice costs.
    """
    names: dict[str, Any] = {"quoted": _quoted, "writers": _WRITERS, "writer": _writer, "ratio": _ratio}
    names["Fraction"] = Fraction
    written = (
        "quoted(item) if (kind := type(item)) is str else str(item) if kind is int else ratio(item) "
        "if kind is Fraction else (writers.get(kind) or writer(kind))(item)"
    )
    parts = []
    for place, field in enumerate(sorted(dataclasses.fields(kind), key=lambda field: field.name)):
        default, key, item = _default(field), f",{_quoted(field.name)}:", f"(item := value.{field.name})"
        if default is dataclasses.MISSING:
            parts.append(f"{key!r}, {written.replace('type(item)', f'type({item})')}")
            continue
        names[f"default{place}"] = default
        equal = f"{item} == default{place}"
        if type(default) is Fraction and not default:
            # Whether a fraction is zero is asked at a tenth of the cost of comparing it.
            equal = f"(not item if type({item}) is Fraction else item == default{place})"
        parts.append(f"'' if {equal} else {key!r} + ({written})")
    # The comma before the first field is cut off again.
    source = f"def write(value):\n    return '{{' + ''.join(({', '.join(parts)},))[1:] + '}}'"
    exec(source, names)
    return cast(_Write, names["write"])


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


@lru_cache(4096)
def _instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone; the book keeps instants in UTC")
    return f'"{value.astimezone(UTC).isoformat().replace("+00:00", "Z")}"'


def _exactly(kind: type, item: object) -> object:
    if type(item) is not kind:
        raise ValueError(f"{item!r} is a {type(item).__name__}, not a {kind.__name__}")
    return item
