"""Parameters checked by the SDK's own types, through pydantic: names, types, enumerations, and nothing besides.

The types say more than a form can: here a whole number is digits and nothing else, an open enumeration is a closed
one (the API refuses what it does not know), and what belongs to a request's options is no parameter.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
import types
import typing
from decimal import Decimal
from typing import Annotated, Any, Literal, Union

import typing_extensions
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from stripe import _request_options
from stripe._request_options import RequestOptions
from stripe._stripe_context import StripeContext
from stripe._stripe_object import UntypedStripeObject

from tests.stripe_peer.endpoints import Endpoint
from tests.stripe_peer.forms import spelled
from tests.stripe_peer.refusals import Refusal, invalid

_WHOLE = re.compile(r"-?\d{1,19}")
_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
PLACES = 12
"""Decimal places that a `*_decimal` parameter may have."""


def _whole(value: Any) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("Invalid integer")


def _decimal(value: Any) -> Decimal:
    if not (isinstance(value, str) and _DECIMAL.fullmatch(value)):
        raise ValueError("Invalid decimal")
    if len(value.partition(".")[2]) > PLACES:
        raise ValueError(f"Invalid decimal: at most {PLACES} decimal places")
    return Decimal(value)


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise ValueError("Invalid boolean")


_LEAVES: dict[Any, Any] = {
    int: Annotated[int, BeforeValidator(_whole)],
    float: Annotated[Decimal, BeforeValidator(_decimal)],
    Decimal: Annotated[Decimal, BeforeValidator(_decimal)],
    bool: Annotated[bool, BeforeValidator(_truth)],
}
_OPTIONS = frozenset(RequestOptions.__annotations__)


@functools.cache
def _closed(kind: Any) -> Any:
    """One of the SDK's parameter types, with extra names forbidden at every depth."""
    module = sys.modules[kind.__module__]
    scope = {**vars(_request_options), "StripeContext": StripeContext, **vars(module)}
    scope["UntypedStripeObject"] = UntypedStripeObject
    hints = typing_extensions.get_type_hints(kind, globalns=scope, include_extras=True)
    fields = {}
    for name, hint in hints.items():
        if name in _OPTIONS and _takes_options(kind):
            continue
        required = name in kind.__required_keys__
        if typing_extensions.get_origin(hint) in (typing_extensions.NotRequired, typing_extensions.Required):
            required = typing_extensions.get_origin(hint) is typing_extensions.Required
            (hint,) = typing_extensions.get_args(hint)
        fields[name] = _type(hint) if required else typing_extensions.NotRequired[_type(hint)]
    closed = typing_extensions.TypedDict(kind.__name__, fields)  # type: ignore[operator]
    closed.__pydantic_config__ = ConfigDict(extra="forbid")
    return closed


def _takes_options(kind: Any) -> bool:
    return any(base is RequestOptions for base in getattr(kind, "__orig_bases__", ()))


def _type(hint: Any) -> Any:
    if hint in _LEAVES:
        return _LEAVES[hint]
    if typing_extensions.is_typeddict(hint):
        return _closed(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        kinds = [one for one in arguments if not _untyped(one)]
        words = [one for one in kinds if typing_extensions.get_origin(one) is Literal]
        if any(word != "" for one in words for word in typing.get_args(one)):
            # An open enumeration: the names after the dash are for the type checkers of the future.
            kinds = [one for one in kinds if one is not str]
        return Union[tuple(_type(one) for one in kinds)]  # noqa: UP007
    if origin is list:
        return list[_type(arguments[0])]  # type: ignore[misc]
    if origin is dict:
        return dict[str, _type(arguments[1])]  # type: ignore[misc]
    return hint


def _untyped(kind: Any) -> bool:
    return kind is UntypedStripeObject or typing.get_origin(kind) is UntypedStripeObject


@functools.cache
def _adapter(module: str, name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_closed(getattr(importlib.import_module(module), name)))


_READS = frozenset({"expand"})


def checked(endpoint: Endpoint, sent: dict[str, Any]) -> dict[str, Any]:
    """The parameters as values, or a refusal that names the first one that is wrong.

    Raises:
        Refusal: 400, `invalid_request_error`, with `param`.
    """
    if endpoint.params is None or endpoint.module is None:
        if unknown := next((name for name in sent if name not in _READS), None):
            raise _unknown(unknown)
        return sent
    adapter = _adapter(endpoint.module, endpoint.params)
    try:
        return adapter.validate_python(sent)  # type: ignore[no-any-return]
    except ValidationError as refused:
        raise _refusal(refused, sent) from None


def _refusal(refused: ValidationError, sent: dict[str, Any]) -> Refusal:
    # Each branch of a union complains; the one that got furthest is the one that was meant.
    worst = max(refused.errors(include_url=False), key=lambda error: len(_place(error, sent)))
    path = _place(worst, sent)
    name, kind, value = spelled(path), worst["type"], worst["input"]
    if kind == "extra_forbidden":
        return _unknown(name)
    if kind == "missing":
        return invalid(f"Missing required param: {name}.", name, "parameter_missing")
    if kind == "literal_error":
        return invalid(f"Invalid {name}: must be one of {worst['ctx']['expected']}", name)
    if value == "":
        return invalid(f"You passed an empty string for '{name}'.", name, "parameter_invalid_empty")
    message = str(worst["msg"]).removeprefix("Value error, ")
    code = "parameter_invalid_integer" if message == "Invalid integer" else None
    return invalid(f"{message}: {value!s:.100}", name, code)


def _unknown(name: str) -> Refusal:
    return invalid(f"Received unknown parameter: {name}", name, "parameter_unknown")


def _place(error: Any, sent: Any) -> list[str | int]:
    """Where it is, without the names of union branches that pydantic puts in between."""
    path: list[str | int] = []
    at = sent
    for part in error["loc"]:
        if (isinstance(at, dict) and part in at) or (isinstance(at, list) and isinstance(part, int) and part < len(at)):
            at = at[part]
        elif error["type"] != "missing" or part is not error["loc"][-1]:
            continue
        path.append(part)
    return path
