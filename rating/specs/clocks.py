"""The words for times of the day, days of the week and calendar days in a catalogue."""

from __future__ import annotations

import re
from datetime import date, time
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from rating.specs.fields import WEEKDAYS, shown
from rating.specs.nearest import or_one_of

__all__ = ["WEEKDAYS", "Clock", "Day", "Weekday"]


def clock(value: object) -> time:
    """A time of the day as quoted text, `22:00`."""
    if isinstance(value, time):
        return value
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value.strip()):
        return time.fromisoformat(value.strip())
    raise ValueError(f'{shown(value)} is not a time of the day; write it like "22:00"')


def weekday(value: object) -> str:
    """A day of the week in full, `saturday`."""
    if isinstance(value, str) and value.strip().lower() in WEEKDAYS:
        return value.strip().lower()
    meant = or_one_of(value if isinstance(value, str) else "", WEEKDAYS, f"write one of {', '.join(WEEKDAYS)}")
    raise ValueError(f"{shown(value)} is not a day of the week; {meant}")


def day(value: object) -> date:
    """A calendar day, `2026-12-24`."""
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value.strip() if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{shown(value)} is not a day of the calendar; write it like 2026-12-24") from None


def _text(value: time) -> str:
    return value.strftime("%H:%M")


Clock = Annotated[
    time, PlainValidator(clock), PlainSerializer(_text), WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d$"})
]
Weekday = Annotated[str, PlainValidator(weekday), WithJsonSchema({"enum": list(WEEKDAYS)})]
Day = Annotated[
    date,
    PlainValidator(day),
    PlainSerializer(date.isoformat),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"}),
]
