"""What pydantic found, said the way this house says it: what, both numbers, what to do.

Turns one validation error into (what, hint). Where it stands is the caller's knowledge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rating.specs.fields import shown
from rating.specs.nearest import or_one_of

_MEANT = {
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
}
_HOW = {
    "list_type": "begin each entry with -",
    "dict_type": "write key: value",
    "model_type": "write key: value",
    "model_attributes_type": "write key: value",
    "string_type": "quote it",
    "int_type": "write digits without quotes",
    "bool_type": "write true or false",
}


def sentence(error: Mapping[str, Any], known: Iterable[str] = ()) -> tuple[str, str]:
    """(what, hint) of one entry of `ValidationError.errors()`; `known` are the keys that mapping may have."""
    kind, value = error["type"], error.get("input")
    last = error["loc"][-1] if error["loc"] else ""
    match kind:
        case "missing":
            return f'key "{last}" is missing', f'add "{last}: ..."'
        case "extra_forbidden":
            return f'unknown key "{last}"', or_one_of(str(last), known)
        case "too_short":
            return "the list is empty", "write at least one entry"
        case "literal_error" | "enum":
            return f"{shown(value)} is not allowed here", f"write {error['ctx']['expected']}"
    if kind in _MEANT:
        return f"{shown(value)} stands where {_MEANT[kind]} is expected", _HOW[kind]
    text = str(error.get("ctx", {}).get("error", error["msg"]))
    what, _, hint = text.partition("; ")
    return what, hint
