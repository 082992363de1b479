"""What the usage of a window depends on besides its samples, as one digest.

Two windows with equal digests were measured by the same rules; a meter whose digest changed counts something else from
then on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, Field, fields
from datetime import timedelta
from enum import Enum
from fractions import Fraction
from typing import Any

from rating.core.meters import Matcher, Meter

# When a window is closed, where it is read and how far it is trusted do not change what is measured.
_NOT_MEASURED_BY = {"settling", "sources", "max_rate", "degraded", "tolerated", "tolerated_share"}
# Left out where a meter does not use them: the digests of windows closed before they existed still stand.
_ADDED_LATER = {"added_metrics", "consumers", "dimension_values", "kind", "hold", "conversion", "rounding"}


def meter_digest(meter: Meter) -> str:
    """SHA-256 over every setting of the meter that its usage depends on, as JSON with sorted keys."""
    measured_by = {
        field.name: _plain(getattr(meter, field.name))
        for field in fields(meter)
        if field.name not in _NOT_MEASURED_BY
        and not (field.name in _ADDED_LATER and getattr(meter, field.name) == _default(field))
    }
    return hashlib.sha256(json.dumps(measured_by, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _default(field: Field[Any]) -> Any:
    return None if field.default is MISSING else field.default


def _plain(value: object) -> Any:
    match value:
        case Enum():
            return value.value
        case timedelta():
            return value // timedelta(milliseconds=1)
        case Fraction():
            return f"{value.numerator}/{value.denominator}"
        case Matcher():
            return [value.label, value.pattern, *(["not"] if value.negated else [])]
        case tuple():
            return [_plain(item) for item in value]
        case str() | int() | None:
            return value
    raise TypeError(f"a meter's setting of type {type(value).__name__} has no place in its digest yet; give it one")
