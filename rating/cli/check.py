"""`rating check`: is the catalogue right? Every mistake at once, or what it says in short."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rating.bootstrap import read_sources
from rating.cli.frame import FORMAT, WRONG_INPUT, Format, console, settings_of, show, stderr
from rating.core.catalogue import Catalogue
from rating.errors import Severity
from rating.specs.compile import examine


def add(app: typer.Typer) -> None:
    app.command("check")(command)


def command(
    context: typer.Context,
    catalog: Annotated[Path | None, typer.Option(help="Another catalogue than that of the settings.")] = None,
    format: Format = FORMAT,
) -> None:
    """Compile the catalogue and list every mistake with its file and line.

    Exit code 2 when there is one; warnings alone do not fail.
    """
    settings = settings_of(context)
    examined = examine(read_sources(catalog or settings.catalog))
    if format is Format.TABLE:
        for finding in examined.findings:
            stderr.print(str(finding), soft_wrap=True)
        if examined.catalogue is not None:
            _summary(examined.catalogue)
    else:
        rows = [
            {"severity": str(found.severity), "where": found.where, "what": found.what, "hint": found.hint}
            for found in examined.findings
        ]
        show(rows, ("severity", "where", "what", "hint"), format)
    errors = sum(finding.severity is Severity.ERROR for finding in examined.findings)
    if errors:
        stderr.print(f"{errors} mistake{'s' if errors > 1 else ''}; nothing is billed from this catalogue")
        raise typer.Exit(WRONG_INPUT)


def _summary(catalogue: Catalogue) -> None:
    on_plan = dict.fromkeys(catalogue.plans, 0)
    for subscription in catalogue.subscriptions:
        on_plan[subscription.plan] += 1
    meters = [
        {
            "meter": meter.name,
            "metric": ", ".join(meter.metrics),
            "consumer": meter.consumer,
            "dimensions": ", ".join(meter.dimensions),
            "unit": meter.unit,
            "priced by": ", ".join(
                key for key, plan in catalogue.plans.items() if any(card.meter.name == name for card in plan.cards)
            ),
        }
        for name, meter in catalogue.meters.items()
    ]
    plans = [
        {
            "plan": key,
            "name": plan.title,
            "period": str(plan.cadence),
            "currency": str(plan.currency),
            "charges": len(plan.cards),
            "subscriptions": on_plan[key],
        }
        for key, plan in catalogue.plans.items()
    ]
    show(meters, ("meter", "metric", "consumer", "dimensions", "unit", "priced by"), Format.TABLE)
    show(plans, ("plan", "name", "period", "currency", "charges", "subscriptions"), Format.TABLE)
    console.print(
        f"right: {len(meters)} meters, {len(plans)} plans, {len(catalogue.subscriptions)} subscriptions; "
        f"catalogue {catalogue.digest[:12]}"
    )
