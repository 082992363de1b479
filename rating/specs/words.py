"""Closed lists of words: one StrEnum of the core becomes a field that knows its words and suggests the one meant."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from rating.specs.fields import shown
from rating.specs.nearest import or_one_of


def words(choices: type[StrEnum]) -> tuple[Any, ...]:
    """What to unpack into `Annotated[Choices, *words(Choices)]`."""
    known = [str(word) for word in choices]

    def choose(value: object) -> StrEnum:
        if isinstance(value, choices):
            return value
        if isinstance(value, str) and value in known:
            return choices(value)
        meant = or_one_of(value if isinstance(value, str) else "", known, "write one of these")
        raise ValueError(f"{shown(value)} is not one of {', '.join(known)}; {meant}")

    return PlainValidator(choose), PlainSerializer(str), WithJsonSchema({"enum": known})
