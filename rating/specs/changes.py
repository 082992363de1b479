"""What two catalogues say differently, key by key. Knows nothing of what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rating.core.catalogue import Catalogue
from rating.specs.source import read


@dataclass(frozen=True, slots=True)
class FieldChange:
    what: str
    """`plan pro, charge api_calls, graduated, tier 2, unit_price`."""
    before: str | None
    """As written; None where it was not written, so its default held."""
    after: str | None


def changes(before: Catalogue, after: Catalogue) -> tuple[FieldChange, ...]:
    """Every difference of their canonical texts, in the order of the first, what is new last."""
    old, new = (read("catalogue", catalogue.text).value for catalogue in (before, after))
    return tuple(_differ((), _named(old), _named(new)))


def _named(written: dict[str, Any]) -> dict[str, Any]:
    """Lists whose entries have names become mappings, so that one inserted entry is one change."""
    plans = {
        key: plan
        | {"charges": {charge.get("key") or charge["meter"]: charge for charge in plan.get("charges", [])}}
        | {what: {entry["key"]: entry for entry in plan.get(what, [])} for what in ("fees", "pools")}
        for key, plan in written.get("plans", {}).items()
    }
    subscriptions = {f"{one['consumer']}/{one['plan']}/{one['start']}": one for one in written.get("subscriptions", [])}
    return written | {"plans": plans, "subscriptions": subscriptions}


def _differ(path: tuple[str, ...], old: Any, new: Any) -> Iterator[FieldChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _differ((*path, key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and any(isinstance(item, dict) for item in (*old, *new)):
        for i in range(max(len(old), len(new))):
            pair = (items[i] if i < len(items) else None for items in (old, new))
            yield from _differ((*path, f"tier {i + 1}"), *pair)
    elif old != new:
        yield FieldChange(_spoken(path), _shown(old), _shown(new))


_SINGULAR = {
    "meters": "meter",
    "plans": "plan",
    "subscriptions": "subscription",
    "charges": "charge",
    "fees": "fee",
    "pools": "pool",
}


def _spoken(path: tuple[str, ...]) -> str:
    words: list[str] = []
    for step in path:
        if words and words[-1] in _SINGULAR.values():
            words[-1] = f"{words[-1]} {step}"
        else:
            words.append(_SINGULAR.get(step, step))
    return ", ".join(words)


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) or "present"
    if isinstance(value, list):
        return "; ".join(str(_shown(item)) for item in value)
    return str(value)
