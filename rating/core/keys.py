"""What the usage of a window depends on besides its samples, as one digest.

Two windows with equal digests were measured by the same rules; a meter whose digest changed counts something else from
then on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from datetime import timedelta
from enum import Enum
from fractions import Fraction
from typing import Any

from rating.core.meters import Matcher, Meter

# How long a window waits for late samples changes when it is closed, not what it then measures.
_NOT_MEASURED_BY = {"settling"}
# Left out where a meter does not use them: the digests of windows closed before they existed still stand.
_ADDED_LATER = {"added_metrics", "consumers", "dimension_values"}


def meter_digest(meter: Meter) -> str:
    """SHA-256 over every setting of the meter that its usage depends on, as JSON with sorted keys."""
    settings = {field.name: _plain(getattr(meter, field.name)) for field in fields(meter)}
    measured_by = {
        name: value
        for name, value in settings.items()
        if name not in _NOT_MEASURED_BY and (value or name not in _ADDED_LATER)
    }
    return hashlib.sha256(json.dumps(measured_by, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _plain(value: object) -> Any:
    match value:
        case Enum():
            return value.value
        case timedelta():
            return value // timedelta(milliseconds=1)
        case Fraction():
            return f"{value.numerator}/{value.denominator}"
        case Matcher():
            return [value.label, value.pattern]
        case tuple():
            return [_plain(item) for item in value]
        case str() | int() | None:
            return value
    raise TypeError(f"a meter's setting of type {type(value).__name__} has no place in its digest yet; give it one")
