"""`rating rules write|check`: the generated rules beside the catalogue they come from. Generates nothing itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from zoneinfo import available_timezones

import typer

from rating.bootstrap import load_catalogue
from rating.cli.frame import FAILED, console, stderr
from rating.cli.generated import report_stale, source, write
from rating.errors import Finding, SpecError
from rating.settings import Settings
from rating_rules import DAYS, TEMPLATES, Muted, Receivers, files, generate

COMMITTED = Path("rules")
_WRITE = "rating rules write"

OUT = Annotated[
    Path | None,
    typer.Option(help="Folder for the rule files and alertmanager.yml. Without it, in this repository, rules/."),
]
UPSELL = Annotated[str | None, typer.Option(help="Webhook that hears alerts on allowances.")]
OPERATIONS = Annotated[str | None, typer.Option(help="Webhook that hears alerts on the measuring.")]
FINANCE = Annotated[str | None, typer.Option(help="Webhook that hears about overage and unbilled usage.")]
ENGINE = Annotated[
    str | None,
    typer.Option(help="The engine's own webhook, http://HOST:9465/hooks/alertmanager: it tells customers and the CRM."),
]
ENGINE_TOKEN = Annotated[
    str | None, typer.Option(help="File in which Alertmanager finds the token it shows there, RATING_HOOK_TOKEN.")
]
DEFAULT = Annotated[str | None, typer.Option(help="Webhook that hears everything else.")]
SLACK = Annotated[
    str | None, typer.Option(help="File in which Alertmanager finds the address of a Slack webhook for operations.")
]
QUIET_DAYS = Annotated[str | None, typer.Option(help="Days on which sales and finance hear nothing: saturday,sunday.")]
QUIET_HOURS = Annotated[
    str | None, typer.Option(help="Hours in which they hear nothing, over midnight as well: 18:00-08:00.")
]
QUIET_ZONE = Annotated[str, typer.Option(help="The time zone of those days and hours.")]


def add(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Prometheus rules and Alertmanager configuration, generated from the catalogue.", no_args_is_help=True
    )
    app.add_typer(group, name="rules")
    group.command("write")(write_rules)
    group.command("check")(check_rules)


def write_rules(
    context: typer.Context,
    out: OUT = None,
    alertmanager: Annotated[Path | None, typer.Option(help="Write Alertmanager's file here instead.")] = None,
    upsell_url: UPSELL = None,
    operations_url: OPERATIONS = None,
    finance_url: FINANCE = None,
    default_url: DEFAULT = None,
    engine_url: ENGINE = None,
    engine_token_file: ENGINE_TOKEN = None,
    slack_url_file: SLACK = None,
    quiet_days: QUIET_DAYS = None,
    quiet_hours: QUIET_HOURS = None,
    quiet_zone: QUIET_ZONE = "UTC",
) -> None:
    """Write the rule files, alertmanager.yml and, in this repository, the rules' own tests.

    Point Prometheus at OUT/*.rules.yml and Alertmanager at alertmanager.yml; reload both.
    """
    settings = source(context, out)
    receivers = _receivers(
        upsell_url, operations_url, finance_url, default_url, engine_url, engine_token_file, slack_url_file
    )
    muted = _muted(quiet_days, quiet_hours, quiet_zone)
    for path, text in _texts(settings, out, alertmanager, receivers, muted).items():
        if write(path, text):
            console.print(f"wrote {path}")
        else:
            console.print(f"{path} is up to date")


def check_rules(
    context: typer.Context,
    out: OUT = None,
    alertmanager: Annotated[Path | None, typer.Option(help="Where Alertmanager's file is.")] = None,
    upsell_url: UPSELL = None,
    operations_url: OPERATIONS = None,
    finance_url: FINANCE = None,
    default_url: DEFAULT = None,
    engine_url: ENGINE = None,
    engine_token_file: ENGINE_TOKEN = None,
    slack_url_file: SLACK = None,
    quiet_days: QUIET_DAYS = None,
    quiet_hours: QUIET_HOURS = None,
    quiet_zone: QUIET_ZONE = "UTC",
) -> None:
    """Exit with 1 when a generated file is missing or does not match the catalogue."""
    settings = source(context, out)
    receivers = _receivers(
        upsell_url, operations_url, finance_url, default_url, engine_url, engine_token_file, slack_url_file
    )
    muted = _muted(quiet_days, quiet_hours, quiet_zone)
    texts = _texts(settings, out, alertmanager, receivers, muted)
    folders = [COMMITTED / "generated", COMMITTED / "promtool"] if out is None else []
    if report_stale(texts, folders, f"{_WRITE}{'' if out is None else f' --out {out}'}", stderr):
        raise typer.Exit(FAILED)
    console.print(f"{len(texts)} generated files match the catalogue")


def _texts(
    settings: Settings, out: Path | None, alertmanager: Path | None, receivers: Receivers, muted: Muted
) -> dict[Path, str]:
    """What should be where. The tests of the rules stand beside them in this repository only."""
    catalogue = load_catalogue(settings)
    if out is None:
        texts = {COMMITTED / name: text for name, text in files(catalogue, receivers, muted=muted).items()}
        configuration = COMMITTED / "generated" / "alertmanager.yml"
    else:
        texts = {out / name: text for name, text in generate(catalogue, receivers, muted=muted).items()}
        configuration = out / "alertmanager.yml"
    if alertmanager is not None:
        # Alertmanager looks for its templates beside its configuration.
        texts[alertmanager] = texts.pop(configuration)
        texts[alertmanager.with_name(TEMPLATES)] = texts.pop(configuration.with_name(TEMPLATES))
    return texts


def _receivers(*given: str | None) -> Receivers:
    """The given URLs; when any is given, those not given hear nothing, for the others are the demonstration's."""
    if not any(given):
        return Receivers()
    return Receivers(*(url or "" for url in given))


_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)\Z")


def _muted(days: str | None, hours: str | None, zone: str) -> Muted:
    """Raises SpecError for days, hours and zones that do not exist."""
    findings = []
    chosen = [day.strip().lower() for day in (days or "").split(",") if day.strip()]
    findings += [
        Finding("--quiet-days", f"{day!r} is no day of the week", f"write some of {', '.join(DAYS)}")
        for day in chosen
        if day not in DAYS
    ]
    spans = _HOURS.match(hours) if hours else None
    if hours and (spans is None or hours[:5] == hours[6:]):
        findings.append(Finding("--quiet-hours", f"{hours!r} is no span of a day", "write 18:00-08:00"))
    if zone not in available_timezones():
        findings.append(Finding("--quiet-zone", f"{zone!r} is no time zone", "write UTC or Europe/Berlin"))
    if findings:
        raise SpecError(tuple(findings))
    ordered = tuple(day for day in DAYS if day in chosen)
    return Muted(ordered, hours[:5] if hours else "", hours[6:] if hours else "", zone)
