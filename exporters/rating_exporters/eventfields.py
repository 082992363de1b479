"""What a message says: its events and their fields, in JSON, CloudEvents (structured, binary, batched) or headers.

Decides where a field is found and what is not an event. Leaves what a field means to `eventrule`.

A field is written
    header:NAME      a header (any format; RabbitMQ's properties and a broker's own facts are headers too)
    a.b.c            json: into the body; cloudevents: `data.b.c` into its data, any other name an attribute;
                     headers: a header
A name may contain dots itself when nothing shorter is there: {"a.b": 1} has a.b too.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from .brokers import Message

FORMATS = ("json", "cloudevents", "headers")

Find: TypeAlias = Callable[[str], Any]
Events: TypeAlias = Callable[[Message], "list[Find]"]


class NoEvent(ValueError):
    """The message holds no event that can be read; says why."""


def events_in(form: str) -> Events:
    """The reader of a format: a message to its events, each a function from a field to its value (None: not there).

    The reader raises NoEvent.
    """
    return {"json": _json_body, "cloudevents": _cloudevents, "headers": _headers}[form]


def _headers(message: Message) -> list[Find]:
    return [_finder(message, lambda name: message.headers.get(name.lower()))]


def _json_body(message: Message) -> list[Find]:
    body = _object(_parsed(message.body), "the body")
    return [_finder(message, lambda name: _walk(body, name))]


def _cloudevents(message: Message) -> list[Find]:
    kind = message.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/cloudevents-batch+json":
        batch = _parsed(message.body)
        if not isinstance(batch, list):
            raise NoEvent("the body of a batch of CloudEvents is no list")
        return [_finder(message, _event(_object(one, "an event of the batch"))) for one in batch]
    for prefix in ("ce_", "ce-", "cloudevents:", "cloudevents_"):  # Kafka; HTTP and NATS; AMQP in two spellings
        if prefix + "specversion" in message.headers:
            return [_finder(message, _binary(message, prefix, kind))]
    return [_finder(message, _event(_object(_parsed(message.body), "the body")))]


def _event(event: Mapping[str, Any]) -> Find:
    for name in ("specversion", "id", "source", "type"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise NoEvent(f"no CloudEvent: attribute {name} is missing")
    data = event.get("data")
    if data is None and isinstance(event.get("data_base64"), str):
        try:
            data = base64.b64decode(event["data_base64"], validate=True)
        except binascii.Error:
            raise NoEvent("data_base64 is no base64") from None
        data = _data(data, str(event.get("datacontenttype", "")))

    def find(name: str) -> Any:
        if name == "data" or name.startswith("data."):
            return _walk({"data": data}, name)
        return event.get(name)

    return find


def _binary(message: Message, prefix: str, kind: str) -> Find:
    for name in ("id", "source", "type"):
        if not message.headers.get(prefix + name):
            raise NoEvent(f"no CloudEvent: header {prefix}{name} is missing")
    known: list[Any] = []

    def find(name: str) -> Any:
        if name == "datacontenttype":
            return kind or None
        if name == "data" or name.startswith("data."):
            if not known:
                known.append(_data(message.body, kind))
            return _walk({"data": known[0]}, name)
        return message.headers.get(prefix + name.lower())

    return find


def _data(body: bytes, kind: str) -> Any:
    kind = kind.partition(";")[0].strip().lower()
    if not body or (kind and kind != "application/json" and not kind.endswith("+json")):
        return None
    return _parsed(body)


def _finder(message: Message, inside: Find) -> Find:
    def find(name: str) -> Any:
        if name.startswith("header:"):
            return message.headers.get(name[7:].lower())
        return inside(name)

    return find


def _parsed(body: bytes) -> Any:
    if not body:
        raise NoEvent("the body is empty")
    try:
        # Decimal, for a float would change the quantity; NaN and Infinity are no JSON.
        return json.loads(body, parse_float=Decimal, parse_constant=_constant)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise NoEvent(f"the body is no JSON: {str(error)[:200] or type(error).__name__}") from None


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NoEvent(f"{what} is no JSON object but {type(value).__name__}")
    return value


def _walk(value: Any, path: str) -> Any:
    """The value at a dotted path, or None. The shortest key that is there goes first."""
    if not isinstance(value, dict):
        return None
    parts = path.split(".")
    for length in range(1, len(parts) + 1):
        key = ".".join(parts[:length])
        if key in value:
            found = value[key]
            if length == len(parts):
                return found
            deeper = _walk(found, ".".join(parts[length:]))
            if deeper is not None:
                return deeper
    return None
