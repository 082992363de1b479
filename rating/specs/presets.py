"""Presets in a catalogue's text: `preset: kong` becomes the keys it stands for, and those keys become YAML to paste.

It is spelled out when the catalogue is compiled, and the book keeps the spelled-out text: a preset that changes later
changes no contract.
"""

from __future__ import annotations

from typing import Any

import yaml

from rating.core.presets import PRESETS, Preset
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of


def spelled_out(raw: Any, place: Place, findings: Findings) -> Any:
    """A meter as written, its preset replaced by what it stands for: keys of the author's come first, and `where` has
    the preset's labels besides. Anything that is no meter with a preset is returned as it is."""
    if not isinstance(raw, dict) or "preset" not in raw:
        return raw
    name = raw["preset"]
    own = {key: value for key, value in raw.items() if key != "preset"}
    preset = PRESETS.get(name) if isinstance(name, str) else None
    if preset is None:
        findings.add(place.at("preset"), f'no preset is called "{name}"', or_one_of(str(name), PRESETS))
        return own
    given = dict(preset.meter)
    if "metrics" in own:
        given.pop("metric")
    if isinstance(own.get("where"), dict):
        own["where"] = {**given.get("where", {}), **own["where"]}
    # A condition on the consumer's label is of no use under another one.
    if own.get("consumer", preset.consumer) != preset.consumer and "where" in given:
        where = {key: value for key, value in given["where"].items() if key != preset.consumer}
        given["where"] = where
    return {**given, **own}


def pasted(preset: Preset, short: bool = False) -> str:
    """The meter as YAML to paste; `short` by the preset's name, else spelled out."""
    name = preset.name.replace("/", "_").replace("-", "_")
    keys = {"preset": preset.name} if short else dict(preset.meter)
    return str(yaml.safe_dump({"meters": {name: keys}}, sort_keys=False, default_flow_style=None, width=110))
