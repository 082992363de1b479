"""Reports of usage that Stripe took and could not count: thin events whose `data` is fetched, as facts.

A report names a few events of each kind of mistake, and counts all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rating.core.signals import FailedEvent, UsageDeclined

NO_METER = "v1.billing.meter.no_meter_found"
DECLINED = ("v1.billing.meter.error_report_triggered", NO_METER)
"""Thin events: what they say has to be fetched."""


def declined(event: Mapping[str, Any], at: datetime) -> UsageDeclined:
    """The fact of a fetched event of one of these kinds."""
    data = _dict(event.get("data"))
    reason = _dict(data.get("reason"))
    kinds = [_dict(one) for one in _list(reason.get("error_types"))]
    failed = tuple(dict.fromkeys(one for kind in kinds for one in _named(kind)))
    counts = ", ".join(f"{one.get('error_count')} times {one.get('code')}" for one in kinds)
    meter = str(_dict(event.get("related_object")).get("id") or "a meter it does not know")
    said = counts or str(data.get("developer_message_summary") or "")
    count = reason.get("error_count")
    return UsageDeclined(meter, at, said, failed, max(count if isinstance(count, int) else 0, len(failed)))


def _named(kind: Mapping[str, Any]) -> Iterator[FailedEvent]:
    for sample in map(_dict, _list(kind.get("sample_errors"))):
        name = _dict(sample.get("request")).get("identifier")
        if name:
            yield FailedEvent(str(name), f"{kind.get('code')}: {sample.get('error_message')}")


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
