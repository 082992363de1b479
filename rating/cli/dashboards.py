"""`rating dashboards write|check|push`: the generated boards on disk and in Grafana. Generates nothing itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rating.bootstrap import load_catalogue, open_boards
from rating.cli.frame import FAILED, console, settings_of, stderr
from rating.cli.generated import report_stale, source, write
from rating.errors import EdgeUnavailable
from rating.jobs.show import Change, show_boards
from rating.settings import Settings

COMMITTED = Path("dashboards/generated")
_WRITE = "rating dashboards write"
_LINES = 12
"""Differences printed per board; the rest is counted."""

OUT = Annotated[
    Path | None,
    typer.Option(help="Folder for the boards. Without it, in this repository, dashboards/generated."),
]


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="Grafana boards, generated from the catalogue.", no_args_is_help=True)
    app.add_typer(group, name="dashboards")
    group.command("write")(write_boards)
    group.command("check")(check_boards)
    group.command("push")(push_boards)


def write_boards(context: typer.Context, out: OUT = None) -> None:
    """Write one JSON file per board, for Grafana's file provisioning."""
    for path, text in _texts(source(context, out), out or COMMITTED).items():
        console.print(f"wrote {path}" if write(path, text) else f"{path} is up to date")


def check_boards(context: typer.Context, out: OUT = None) -> None:
    """Exit with 1 when a generated board is missing or does not match the catalogue."""
    texts = _texts(source(context, out), out or COMMITTED)
    folders = [COMMITTED] if out is None else []
    if report_stale(texts, folders, f"{_WRITE}{'' if out is None else f' --out {out}'}", stderr):
        raise typer.Exit(FAILED)
    console.print(f"{len(texts)} generated boards match the catalogue")


def push_boards(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help="Grafana's address [RATING_GRAFANA_URL].")] = None,
    token: Annotated[str | None, typer.Option(help="Service account token [RATING_GRAFANA_TOKEN].")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")] = False,
) -> None:
    """Put the boards into Grafana's folder "Rating". Boards and folders of others are left alone."""
    boards_of = _package()
    settings = settings_of(context)
    settings = replace(
        settings,
        grafana_url=settings.grafana_url if url is None else url,
        grafana_token=settings.grafana_token if token is None else token,
    )
    boards = open_boards(settings)
    documents = boards_of.documents(load_catalogue(settings))
    for one in show_boards(boards, documents, boards_of.FOLDER_UID, boards_of.FOLDER_TITLE, dry_run=dry_run):
        would = "" if one.change is Change.EQUAL or not dry_run else "would be "
        console.print(f"{one.uid}: {would}{one.change}", markup=False)
        for line in one.differences[:_LINES]:
            console.print(f"  {line}", markup=False, soft_wrap=True)
        if len(one.differences) > _LINES:
            console.print(f"  and {len(one.differences) - _LINES} more differences")


def _texts(settings: Settings, folder: Path) -> dict[Path, str]:
    return {folder / name: text for name, text in _package().files(load_catalogue(settings)).items()}


def _package() -> Any:
    """rating_dashboards, imported when it is needed: its foundation is an extra, and takes half a second."""
    import warnings

    # The foundation recommends a schema that Grafana 11 and file provisioning do not read.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="grafana_foundation_sdk")
    try:
        import rating_dashboards
    except ImportError as error:
        raise EdgeUnavailable(
            "grafana-foundation-sdk is not installed; pip install 'rating-engine[grafana]'"
        ) from error
    return rating_dashboards
