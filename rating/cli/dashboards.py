"""`rating dashboards write|check|push`: the generated boards on disk and in Grafana. Generates nothing itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer

from rating.bootstrap import load_catalogue, open_boards, open_book
from rating.cli.frame import FAILED, console, days_of, now, settings_of, stderr
from rating.cli.generated import report_stale, source, write
from rating.core.catalogue import Catalogue
from rating.errors import EdgeUnavailable, Finding, SpecError
from rating.jobs.contracts import gather
from rating.jobs.provision import invoice_marks, keep_panels, keep_source, plan_changes, put_marks
from rating.jobs.show import Change, Shown, show_boards
from rating.ports import Mark
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
    source_url: Annotated[
        str | None, typer.Option(help="Also keep a data source at this address of Prometheus, as Grafana reaches it.")
    ] = None,
    engine_url: Annotated[
        str | None,
        typer.Option(
            help="Also keep a data source for the engine's rows at this address, as Grafana reaches it; its token is "
            "RATING_BOARD_TOKEN. Needs Grafana's Infinity plugin."
        ),
    ] = None,
    marks: Annotated[
        str | None,
        typer.Option(help="Also mark invoices issued and plans changed in 2026-10, 2026-Q4 or 2026 on the graphs."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")] = False,
) -> None:
    """Put boards and library panels into Grafana's folder "Rating". What others made is left alone.

    Pushing twice is pushing once. With --source-url Grafana also gets a data source "Rating Prometheus", with
    --engine-url one of the engine's invoices and messages, with --marks annotations from the book.
    """
    boards_of = _package()
    settings = settings_of(context)
    settings = replace(
        settings,
        grafana_url=settings.grafana_url if url is None else url,
        grafana_token=settings.grafana_token if token is None else token,
    )
    if engine_url is not None and not settings.board_token:
        hint = "set it here and for `rating run`: Grafana shows it, and reads invoices with it"
        raise SpecError((Finding("RATING_BOARD_TOKEN", "is needed with --engine-url", hint),))
    boards = open_boards(settings)
    catalogue = load_catalogue(settings)
    documents, folder = boards_of.documents(catalogue), boards_of.FOLDER_UID
    days = days_of(marks)
    if source_url is not None:
        _say([keep_source(boards, boards_of.source(source_url), dry_run=dry_run)], dry_run)
    if engine_url is not None:
        secrets = {"bearerToken": settings.board_token}
        kept = keep_source(boards, boards_of.engine_source(engine_url), secrets=secrets, dry_run=dry_run)
        _say([kept], dry_run)
    _say(show_boards(boards, documents, folder, boards_of.FOLDER_TITLE, dry_run=dry_run), dry_run)
    _say(keep_panels(boards, boards_of.panels(catalogue), folder, dry_run=dry_run), dry_run)
    if days is not None:
        put = put_marks(boards, _marks(settings, catalogue, days), dry_run=dry_run)
        for mark in put:
            console.print(
                f"{'would mark' if dry_run else 'marked'} {mark.at:%Y-%m-%d %H:%M}: {mark.text}", soft_wrap=True
            )
        if not put:
            console.print("marks: equal")


def _say(shown: Iterable[Shown], dry_run: bool) -> None:
    for one in shown:
        would = "" if one.change is Change.EQUAL or not dry_run else "would be "
        console.print(f"{one.uid}: {would}{one.change}", markup=False)
        for line in one.differences[:_LINES]:
            console.print(f"  {line}", markup=False, soft_wrap=True)
        if len(one.differences) > _LINES:
            console.print(f"  and {len(one.differences) - _LINES} more differences")


def _marks(settings: Settings, catalogue: Catalogue, days: tuple[date, date]) -> list[Mark]:
    first, after = (datetime.combine(day, time(), UTC) for day in days)
    with open_book(settings) as book:
        contracts = gather(book, catalogue, now=now())
        found = [*invoice_marks(book.invoices()), *plan_changes(contracts.subscriptions)]
    return sorted((mark for mark in found if first <= mark.at < after), key=lambda mark: (mark.at, mark.tags))


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
