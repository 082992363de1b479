"""The JSON schema of a catalogue file, for editors: completion, help on every key, red lines while typing.

Generated from the models that `compile` uses, so the two cannot drift; the compiler knows more (what fits together).
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from rating.specs.schema import CatalogueSpec


def schema_text() -> str:
    """JSON Schema 2020-12 of one catalogue file, as the text that is committed."""
    definitions = CatalogueSpec.model_json_schema(mode="validation")
    models = {model.__name__: model for model in _models(CatalogueSpec) | {CatalogueSpec}}
    root = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rating catalogue",
        **_polished(definitions, "CatalogueSpec", models),
        "$defs": {
            name: _polished(schema, name, models) for name, schema in sorted(definitions.get("$defs", {}).items())
        },
    }
    return json.dumps(root, indent=2, ensure_ascii=False) + "\n"


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [field.annotation for field in model.model_fields.values()]
    while waiting:
        part = waiting.pop()
        if isinstance(part, type) and issubclass(part, BaseModel):
            if part not in found:
                found.add(part)
                waiting += [field.annotation for field in part.model_fields.values()]
        else:
            waiting += getattr(part, "__args__", ())
    return found


def _polished(schema: dict[str, Any], name: str, models: dict[str, type[BaseModel]]) -> dict[str, Any]:
    """Without pydantic's own titles and nulls, with defaults as an author would write them."""
    result = {key: _plain(value) for key, value in schema.items() if key not in ("title", "$defs", "properties")}
    model = models.get(name)
    if "properties" in schema:
        written = model.model_construct().model_dump(by_alias=True) if model is not None else {}
        result["properties"] = {}
        for key, field in schema["properties"].items():
            polished = _plain(field)
            if "default" in field:
                polished["default"] = written[key]
            result["properties"][key] = {k: v for k, v in polished.items() if k != "default" or v not in (None, {}, [])}
    return result


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items() if key != "title"}
    options = plain.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        del plain["anyOf"]
        plain = {**rest[0], **plain} if len(rest) == 1 else {**plain, "anyOf": rest}
    if "patternProperties" in plain:
        plain["additionalProperties"] = False
    return plain
