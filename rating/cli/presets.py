"""`rating presets list|show`: meters of known gateways and frameworks, to paste. Knows no server; the doctor does."""

from __future__ import annotations

from typing import Annotated

import typer

from rating.cli.frame import FORMAT, Format, console, show
from rating.core.presets import PRESETS, Preset
from rating.errors import Finding, SpecError
from rating.specs.nearest import or_one_of
from rating.specs.presets import pasted

COLUMNS = ("preset", "metric", "consumer", "about")


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="Meters of known gateways and frameworks.", no_args_is_help=True)
    app.add_typer(group, name="presets")
    group.command("list")(list_presets)
    group.command("show")(show_preset)


def list_presets(format: Format = FORMAT) -> None:
    """List what `preset:` may name in a meter. `rating doctor` says which of them your Prometheus has."""
    rows = [
        {"preset": one.name, "metric": one.metric, "consumer": one.consumer, "about": one.about}
        for one in PRESETS.values()
    ]
    show(rows, COLUMNS, format)


def show_preset(name: Annotated[str, typer.Argument(help="A name of `rating presets list`.")]) -> None:
    """Show the meter a preset stands for, what to switch on for it, and its known traps."""
    preset = PRESETS.get(name)
    if preset is None:
        raise SpecError((Finding(name, "no preset is called so", or_one_of(name, PRESETS)),))
    for line in _said(preset):
        console.print(line, soft_wrap=True)


def _said(preset: Preset) -> list[str]:
    lines = [f"# {preset.about}", pasted(preset).rstrip("\n")]
    if preset.flag:
        lines.append(f"# switch on: {preset.flag}")
    return [*lines, *(f"# mind: {trap}" for trap in preset.traps)]
