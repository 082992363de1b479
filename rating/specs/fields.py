"""The words an author may write for one value: amounts, quantities, shares, durations, days, labels.

Each is a pydantic type that turns text into an exact core value, says what is wrong with it in one sentence ("what;
what to do"), and describes itself in the JSON schema. Knows nothing of keys, files or lines.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema

from rating.core.meters import Rate
from rating.core.money import decimal_text
from rating.specs.currencies import ACTIVE
from rating.specs.nearest import or_one_of


class Spec(BaseModel):
    """What every mapping of the catalogue is: strict, closed and immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class WrittenFloat(float):
    """A YAML float that remembers how it was written."""

    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        number = super().__new__(cls, text.replace("_", ""))
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text


def shown(value: object) -> str:
    """A value as the author would recognise it."""
    if isinstance(value, str):
        return f'"{value}"'
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return str(value)


_DECIMAL = re.compile(r"[+-]?\d[\d_]*(\.\d[\d_]*)?\Z")


def _decimal(value: object, what: str, example: str) -> Fraction:
    if isinstance(value, float):
        text = getattr(value, "text", repr(value))
        raise ValueError(f'{text} is read as a binary float; quote it: "{text}"')
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{shown(value)} is not {what}; write it like {example}")
    text = str(value).strip()
    if not _DECIMAL.match(text):
        raise ValueError(f"{shown(value)} is not {what}; write it like {example}")
    return Fraction(text.replace("_", ""))


def amount(value: object) -> Fraction:
    """Money in major units: quoted decimal text or an integer."""
    return _decimal(value, "an amount of money", '"0.0005"')


def amount_text(value: Fraction) -> str:
    return decimal_text(value)


def quantity(value: object) -> Fraction:
    """A quantity in whole units of its meter: an integer or quoted decimal text, not negative."""
    number = _decimal(value, "a quantity", '100_000 or "0.5"')
    if number < 0:
        raise ValueError(f"{shown(value)} is negative; quantities are zero or more")
    return number


def quantity_text(value: Fraction) -> int | str:
    return value.numerator if value.denominator == 1 else decimal_text(value)


def share(value: object) -> Fraction:
    """A share: `80%`, or the fraction itself as quoted text."""
    if isinstance(value, str) and value.strip().endswith("%"):
        number = _decimal(value.strip()[:-1].strip(), "a percentage", "80%") / 100
    else:
        number = _decimal(value, "a share", '80% or "0.8"')
    if number < 0:
        raise ValueError(f"{shown(value)} is negative; shares are zero or more")
    return number


def share_text(value: Fraction) -> str:
    return f"{decimal_text(value * 100)}%"


_UNITS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile(r"(\d+)(ms|w|d|h|m|s)")


def duration(value: object) -> timedelta:
    """Prometheus's way to write time: `15s`, `5m`, `1h30m`, `15d`."""
    if isinstance(value, str) and re.fullmatch(rf"(?:{_DURATION.pattern})+", value.strip()):
        return timedelta(milliseconds=sum(int(count) * _UNITS[unit] for count, unit in _DURATION.findall(value)))
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} is a duration without a unit; write {value}s or {value}m")
    raise ValueError(f"{shown(value)} is not a duration; write it like 15s, 5m, 1h or 15d")


def duration_text(value: timedelta) -> str:
    rest, parts = value // timedelta(milliseconds=1), []
    for unit, length in _UNITS.items():
        if unit != "w" and rest >= length:
            parts.append(f"{rest // length}{unit}")
            rest %= length
    return "".join(parts) or "0s"


_RATE = re.compile(r"([\d_.]+)\s*/\s*(.+)\Z")


def rate(value: object) -> Rate:
    """So many units at most in any span of a length: `50/s`, `3_000/m`, `10/100ms`."""
    match = _RATE.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a rate; write it like 50/s or 3_000/m")
    span = match[2].strip()
    return Rate(quantity(match[1]), duration(span if span[0].isdigit() else f"1{span}"))


def rate_text(value: Rate) -> str:
    span = duration_text(value.span)
    return f"{quantity_text(value.units)}/{span[1:] if span[0] == '1' and not span[1:2].isdigit() else span}"


Tolerated = tuple[Fraction | None, Fraction | None]
"""Units, or a share."""


def tolerance(value: object) -> Tolerated:
    """What may be missing: `2%` of what was counted, or so many units."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return None, share(value)
    return quantity(value), None


def tolerance_text(value: Tolerated) -> int | str:
    units, part = value
    return quantity_text(units) if units is not None else share_text(part or Fraction(0))


def moment(value: object) -> date | datetime:
    """A day, or an instant with its offset from UTC: `2026-10-01`, `2026-10-01T06:00Z`."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a date; write it like 2026-10-01")
    text = value.strip()
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return date.fromisoformat(text)
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{shown(value)} is not a date of the calendar; write it like 2026-10-01") from None
    if instant.tzinfo is None:
        raise ValueError(f"{shown(value)} has no offset from UTC; write a day, or add Z as in {text}Z")
    if instant.microsecond:
        raise ValueError(f"{shown(value)} has a fraction of a second; the book counts whole seconds")
    return instant.astimezone(UTC)


def moment_text(value: date | datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value.isoformat()


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def anchor(value: object) -> date | str:
    """The day periods begin on: a day of the month 1 to 31, a weekday, a date, or `start`."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 31:
        # January has all 31 days; shorter months use their last one.
        return date(2000, 1, value)
    if isinstance(value, str):
        text = value.strip().lower()
        if text == "start":
            return text
        if text in WEEKDAYS:
            return date(2000, 1, 3 + WEEKDAYS.index(text))
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = moment(text)
            assert isinstance(day, date)
            return day
    raise ValueError(f"{shown(value)} is not an anchor; write a day of the month 1 to 31, a weekday, a date or start")


def anchor_text(value: date | str) -> str:
    return value if isinstance(value, str) else value.isoformat()


def currency(value: object) -> str:
    """An active ISO 4217 code."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a currency; write an ISO 4217 code such as USD")
    if value not in ACTIVE:
        meant = or_one_of(value.upper(), ACTIVE, "write a code such as USD")
        raise ValueError(f"{shown(value)} is not an active ISO 4217 currency; {meant}")
    return value


def timezone(value: object) -> ZoneInfo:
    """A zone of the IANA database: `Europe/Berlin`."""
    try:
        if not isinstance(value, str) or not value:
            raise ValueError
        return ZoneInfo(value)
    except (ValueError, KeyError, OSError):
        raise ValueError(
            f"{shown(value)} is not a time zone; write an IANA name such as UTC or Europe/Berlin"
        ) from None


_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


def _name(pattern: re.Pattern[str], what: str, how: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not {what}; quote it if it is meant as a name")
        if not pattern.match(value):
            raise ValueError(f"{shown(value)} is not {what}; {how}")
        return value

    return check


label = _name(_LABEL, "a Prometheus label", "use letters, digits and _, not beginning with a digit")
metric = _name(_METRIC, "a Prometheus metric", "use letters, digits, _ and :, not beginning with a digit")
key = _name(_KEY, "a key", "use letters, digits, - _ and ., beginning with a letter or digit")


def regex(value: object) -> str:
    """A regular expression in Prometheus's dialect (RE2), anchored at both ends."""
    if not isinstance(value, str):
        raise ValueError(f'{shown(value)} is not text; quote it: "{value}"')
    if re.search(r"(?<!\\)\(\?(=|!|<=|<!|>)", value):
        raise ValueError(f"{shown(value)} looks around; Prometheus's regular expressions (RE2) cannot")
    # Escapes RE2 has and Python lacks say nothing about whether the rest is well formed.
    plain = re.sub(r"\\(p\{\^?\w+\}|P\{\^?\w+\}|[pP]\w|[zQEC])", "x", value)
    try:
        pattern = re.compile(plain)
    except re.error as error:
        raise ValueError(
            f"{shown(value)} is not a regular expression ({error}); the value must match it as a whole"
        ) from None
    if re.search(r"(?<!\\)(\\\\)*\\[1-9]", value) or (pattern.groupindex and "(?P=" in value):
        raise ValueError(f"{shown(value)} refers back to a group; Prometheus's regular expressions (RE2) cannot")
    return value


def resolution(value: object) -> int:
    """The smallest step counted: 1, "0.1", "0.001" ...; the value is its number of decimals."""
    step = _decimal(value, "a resolution", '1 or "0.001"')
    for digits in range(13):
        if step == Fraction(1, 10**digits):
            return digits
    raise ValueError(f'{shown(value)} is not a power of ten from 1 down to "0.000000000001"; write 1 or "0.001"')


def resolution_text(value: int) -> int | str:
    return 1 if value == 0 else decimal_text(Fraction(1, 10**value))


def text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not text; quote it")
    if not value.strip():
        raise ValueError("empty text; write at least one letter")
    return value


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


def secret(value: object) -> str:
    """A label value that nobody should read in the catalogue's copies, such as an API key: kept as its SHA-256.

    An author who would rather not write it down at all writes the digest: `sha256:` and 64 hexadecimal digits.
    """
    written = text(value)
    if not written.startswith("sha256:"):
        return f"sha256:{hashlib.sha256(written.encode()).hexdigest()}"
    if not _DIGEST.match(written):
        raise ValueError("a digest is sha256: and 64 hexadecimal digits; write the value itself, or all of its digest")
    return written


_MONEY_SCHEMA = {"anyOf": [{"type": "string", "pattern": r"^[+-]?\d[\d_]*(\.\d[\d_]*)?$"}, {"type": "integer"}]}
_QUANTITY_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d[\d_]*(\.\d[\d_]*)?$"}]
}
_MOMENT_SCHEMA = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d))?$"}


def _field(parse: Callable[[object], Any], write: Callable[[Any], Any], schema: dict[str, Any]) -> tuple[Any, ...]:
    return (PlainValidator(parse), PlainSerializer(write), WithJsonSchema(schema))


def _same(value: Any) -> Any:
    return value


Amount = Annotated[Fraction, *_field(amount, amount_text, _MONEY_SCHEMA)]
Quantity = Annotated[Fraction, *_field(quantity, quantity_text, _QUANTITY_SCHEMA)]
Share = Annotated[Fraction, *_field(share, share_text, {"type": "string", "pattern": r"^\d[\d_]*(\.\d+)?\s*%?$"})]
Duration = Annotated[
    timedelta, *_field(duration, duration_text, {"type": "string", "pattern": r"^(\d+(ms|w|d|h|m|s))+$"})
]
RateText = Annotated[
    Rate, *_field(rate, rate_text, {"type": "string", "pattern": r"^[\d_]+(\.\d+)?\s*/\s*[\dwdhms]+$"})
]
Tolerance = Annotated[
    Tolerated,
    *_field(
        tolerance,
        tolerance_text,
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d[\d_]*(\.\d+)?\s*%?$"}]},
    ),
]
Moment = Annotated[date | datetime, *_field(moment, moment_text, _MOMENT_SCHEMA)]
Anchor = Annotated[
    date | str,
    *_field(
        anchor,
        anchor_text,
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 31},
                {"enum": ["start", *WEEKDAYS]},
                {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
            ]
        },
    ),
]
CurrencyCode = Annotated[str, *_field(currency, _same, {"enum": sorted(ACTIVE)})]
Zone = Annotated[ZoneInfo, *_field(timezone, str, {"type": "string"})]
Label = Annotated[str, *_field(label, _same, {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"})]
Metric = Annotated[str, *_field(metric, _same, {"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"})]
Key = Annotated[str, *_field(key, _same, {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$"})]
Regex = Annotated[str, *_field(regex, _same, {"type": "string"})]
Resolution = Annotated[
    int,
    *_field(
        resolution, resolution_text, {"anyOf": [{"const": 1}, {"type": "string", "pattern": r"^(1|0\.0{0,11}1)$"}]}
    ),
]
Secret = Annotated[str, *_field(secret, _same, {"type": "string", "minLength": 1})]
Text = Annotated[str, *_field(text, _same, {"type": "string", "minLength": 1})]
