"""Form bodies and query strings in bracket notation, as nested values: `lines[0][amount]=5`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from tests.stripe_peer.refusals import invalid

_KEY = re.compile(r"[^\[\]]+|\[([^\[\]]*)\]")


def decoded(text: str) -> dict[str, Any]:
    """The parameters of an encoded text; every leaf is a string.

    Raises:
        Refusal: a name is used as a value and as a map at once.
    """
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if "[" not in name:
            root[name] = value
            continue
        parts = [inner if found.startswith("[") else found for found, inner in _parts(name)]
        place = root
        for part in parts[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise invalid(f"Invalid parameter: {name}", name)
        last = parts[-1] or str(len(place))
        place[last] = value
    return {name: _with_lists(name, value) for name, value in root.items()}


def _parts(name: str) -> list[tuple[str, str]]:
    return [(found.group(0), found.group(1) or "") for found in _KEY.finditer(name)]


def _with_lists(name: str, value: Any) -> Any:
    """Maps whose keys count from 0 are lists, except the free maps, whose keys are the caller's."""
    if not isinstance(value, dict):
        return value
    if name not in ("metadata", "invoice_metadata", "payload") and all(map(str.isdigit, value)):
        numbers = sorted(value, key=int)
        if [int(number) for number in numbers] == list(range(len(numbers))):
            return [_with_lists(name, value[number]) for number in numbers]
    return {key: _with_lists(key, inner) for key, inner in value.items()}


def spelled(path: list[str | int]) -> str:
    """A place in nested parameters as Stripe writes it: `lines[0][amount]`."""
    first, *rest = path or [""]
    return str(first) + "".join(f"[{part}]" for part in rest)
