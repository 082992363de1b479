"""A catalogue's one canonical text: one catalogue, one text, and it compiles to an equal catalogue again.

Meters, plans and labels in order of name, subscriptions by consumer, start and plan, charges and tiers as the author
ordered them (that is the order on invoices). What equals its default is left out, so the defaults of version 1 never
change.
"""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel

from rating.specs.prices import QuantityPriceSpec
from rating.specs.schema import CatalogueSpec
from rating.specs.source import plain


def canonical_text(spec: CatalogueSpec) -> str:
    """YAML, readable by people and by `compile_catalogue`."""
    written = spec.model_dump(exclude_defaults=True, by_alias=True)
    for meter in written.get("meters", {}).values():
        for key in ("consumers", "dimension_values", "where", "where_not"):
            if key in meter:
                meter[key] = dict(sorted(meter[key].items()))
    _keep_beyond(spec, written)
    for section in ("meters", "plans", "sellers", "customers"):
        if section in written:
            written[section] = dict(sorted(written[section].items()))
    return yaml.dump(_plain(written), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def _keep_beyond(spec: Any, written: Any) -> None:
    """`beyond` has to be written on purpose where a last tier is closed, so it stays though it equals its default."""
    if isinstance(spec, QuantityPriceSpec) and "beyond" in spec.model_fields_set:
        written["beyond"] = str(spec.beyond)
    if isinstance(spec, BaseModel):
        for name, field in type(spec).model_fields.items():
            key = field.alias or name
            if key in written:
                _keep_beyond(getattr(spec, name), written[key])
    elif isinstance(spec, dict):
        for key, value in spec.items():
            _keep_beyond(value, written[key])
    elif isinstance(spec, list):
        for value, text in zip(spec, written, strict=True):
            _keep_beyond(value, text)


class _Dumper(yaml.SafeDumper):
    """Repeats values instead of writing anchors: a text must not depend on which objects happen to be shared."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, text: str) -> yaml.ScalarNode:
        # Quoted wherever our reader, which is not quite YAML 1.1, would take it for something else (1e3); escaped where
        # YAML would fold a line.
        style = None if isinstance(plain(text), str) else "'"
        return self.represent_scalar("tag:yaml.org,2002:str", text, style if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.text)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return str(value)
    return value
