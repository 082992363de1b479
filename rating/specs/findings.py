"""Gathers an author's mistakes with their places, and says them in the order of the files.

Knows how a place is spoken of (`plan "pro", meter "search", graduated tier 3`), not what may be wrong there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from rating.errors import Finding, Severity
from rating.specs.sentences import sentence
from rating.specs.source import Document, Path

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Place:
    """A value in one of the files."""

    file: int
    path: Path

    def at(self, *steps: str | int) -> Place:
        return Place(self.file, (*self.path, *steps))


@dataclass(slots=True)
class Findings:
    documents: Sequence[Document]
    found: list[tuple[int, int, Finding]] = field(default_factory=list)

    def add(self, place: Place, what: str, hint: str = "", severity: Severity = Severity.ERROR) -> None:
        self._keep(place, _said(self.documents[place.file], place.path, what), hint, severity)

    @property
    def count(self) -> int:
        """How many errors so far; warnings do not count."""
        return sum(finding.severity is Severity.ERROR for *_, finding in self.found)

    def warn(self, place: Place, what: str, hint: str = "") -> None:
        self.add(place, what, hint, Severity.WARNING)

    def where(self, place: Place) -> str:
        return self.documents[place.file].where(place.path)

    def checked(self, model: type[Model], value: Any, place: Place) -> Model | None:
        """`value` as `model`, or None after a finding for each of its mistakes."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                steps = tuple(step for step in problem["loc"] if step != "[key]")
                what, hint = sentence(problem, _known(model, steps[:-1]))
                spoken: Path = steps
                if problem["type"] in ("missing", "extra_forbidden"):
                    spoken = steps[:-1]
                elif problem["type"] == "tiers":
                    # The sentence names its tier itself.
                    spoken = steps[: next(i for i, step in enumerate(steps) if step in _TIERED)]
                target = place.at(*steps)
                self._keep(target, _said(self.documents[place.file], (*place.path, *spoken), what), hint)
            return None

    def salvaged(self, model: type[Model], value: Any, place: Place) -> tuple[Model | None, bool]:
        """`value` as `model` and True; after findings, what is left of it without its wrong keys, and False."""
        spec = self.checked(model, value, place)
        if spec is not None or not isinstance(value, dict):
            return spec, spec is not None
        try:
            model.model_validate(value)
        except ValidationError as error:
            wrong = {problem["loc"][0] for problem in error.errors(include_url=False) if problem["loc"]}
            with suppress(ValidationError):
                return model.model_validate({key: item for key, item in value.items() if key not in wrong}), False
        return None, False

    def _keep(self, place: Place, what: str, hint: str, severity: Severity = Severity.ERROR) -> None:
        line = self.documents[place.file].line(place.path)
        self.found.append((place.file, line, Finding(self.where(place), what, hint, severity)))

    def in_order(self) -> tuple[Finding, ...]:
        text = [(i, line, finding) for i, document in enumerate(self.documents) for line, finding in document.findings]
        # A stable sort: findings of one line stay in the order they were made.
        ordered = sorted(text + self.found, key=lambda entry: entry[:2])
        return tuple(dict.fromkeys(finding for *_, finding in ordered))


def _known(model: Any, steps: Path) -> list[str]:
    """The keys that may be written in the mapping at `steps` inside `model`."""
    for step in steps:
        if isinstance(step, int):
            continue
        fields = _written(model)
        if step not in fields:
            return []
        model = _model_in(fields[step].annotation)
    return list(_written(model))


def _written(model: Any) -> dict[str, FieldInfo]:
    """The fields of a model by the keys authors write."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> Any:
    """The model inside `Model | None`, `list[Model]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


_TIERED = ("graduated", "volume", "stairstep", "graduated_percentage")
_ENTRY = {
    "charges": "charge",
    "cells": "cell",
    "bands": "band",
    "overrides": "override",
    "discounts": "discount",
    "credits": "credit",
    "ramp": "step",
    "taxes": "tax",
    "fees": "fee",
    "pools": "pool",
    "bundle": "bundled plan",
    "at": "share",
}


def _said(document: Document, path: Path, what: str) -> str:
    subject = _subject(document.value, path)
    return f"{subject}: {what}" if subject else what


def _subject(root: Any, path: Path) -> str:
    """How the author would name this place."""
    match path:
        case ("meters", name, *rest):
            return _joined(f'meter "{name}"', rest)
        case ("plans", _, "charges", int(), "meter"):
            return _subject(root, path[:-1])
        case ("plans", name, "charges", int(index), *rest):
            charge = _get(root, ("plans", name, "charges", index))
            meter = charge.get("meter") if isinstance(charge, dict) else None
            charge_name = f'meter "{meter}"' if isinstance(meter, str) else f"charge {index + 1}"
            return _joined(f'plan "{name}", {charge_name}', rest)
        case ("plans", name, *rest):
            return _joined(f'plan "{name}"', rest)
        case ("sellers" | "customers" as kind, name, *rest):
            return _joined(f'{kind[:-1]} "{name}"', rest)
        case ("subscriptions", int(index), *rest):
            entry = _get(root, ("subscriptions", index))
            consumer = entry.get("consumer") if isinstance(entry, dict) else None
            named = f'subscription of "{consumer}"' if isinstance(consumer, str) else f"subscription {index + 1}"
            return _joined(named, rest)
        case _:
            return _joined("", list(path))


def _joined(subject: str, rest: Sequence[str | int]) -> str:
    words: list[str] = []
    for step in rest:
        if isinstance(step, int) and words:
            kind = words[-1]
            entry = f"{kind} {'band' if kind == 'stairstep' else 'tier'}" if kind in _TIERED else _ENTRY.get(kind, kind)
            words[-1] = f"{entry} {step + 1}"
        else:
            words.append(str(step))
    return ", ".join(part for part in (subject, *words) if part)


def _get(value: Any, path: Path) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
