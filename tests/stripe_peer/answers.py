"""One request as it arrived, and one answer as it goes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(decimal_format="string")


def encoded(value: Any) -> bytes:
    """JSON. Decimals are strings, as in Stripe's `*_decimal` fields."""
    return _encoder.encode(value)


@dataclass(frozen=True, slots=True)
class Request:
    """What came over the wire. Header names are in lower case."""

    number: int
    """Counts from 1 since the start or the last clearing of the log."""
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class NoAnswer(Exception):
    """The connection ends without an answer: cut now, or kept silent until the caller gives up."""

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__("silence" if silent else "cut")
        self.silent = silent
