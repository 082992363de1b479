"""`rating demo`: the whole system on this machine, on real traffic; and worlds of samples whose truth is known.

The story is told, and the worlds are made, by the package rating_demo.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from rating.cli.frame import DONE, FAILED, FORMAT, Format, instant, progress_bar, show
from rating.core.money import decimal_text
from rating.errors import RatingError

COLUMNS = ("name", "what happens")


def add(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True)
    group.callback()(command)
    group.command("truth")(truth)
    app.add_typer(group, name="demo")


def command(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Run through and exit 0, or say what failed.")] = False,
    install: Annotated[
        bool, typer.Option("--install", help="Install missing parts by apt-get, where that can be done.")
    ] = False,
    pictures: Annotated[Path | None, typer.Option(help="Save what is shown as SVG pictures in this folder.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where state and logs are kept, emptied at each start; .demo/ by default.")
    ] = None,
) -> None:
    """Real traffic, a real Prometheus, real invoices; stays up until Ctrl-C.

    Works inside a checkout, whose compose/catalogue it bills. `rating demo truth` makes samples to try any billing
    program on.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        # Imported late: no other command needs its parts, and an installed wheel has no catalogue to demonstrate.
        from rating_demo import catalogue, main
        from rating_demo.screen import Screen
    except ModuleNotFoundError as error:
        raise RatingError(
            f"the demonstration needs {error.name}; in a checkout, `make demo` brings everything"
        ) from error
    if not catalogue.SOURCE.is_dir():
        raise RatingError(
            f"the demonstration bills compose/catalogue of a checkout, and {catalogue.SOURCE} is not there; run "
            "`make demo` in a checkout"
        )
    told = main.run(once=once, install=install, folder=folder, screen=Screen(pictures=pictures))
    raise typer.Exit(DONE if told else FAILED)


def truth(
    happenings: Annotated[
        list[str] | None, typer.Argument(metavar="[HAPPENING]...", help="What happens, one or several; see --list.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to write into.")] = None,
    seed: Annotated[
        int, typer.Option(help="Another seed is another world; the same one is the same to the sample.")
    ] = 0,
    start: Annotated[str | None, typer.Option(help="When the world begins; 2026-09-01 by default.")] = None,
    hours: Annotated[int, typer.Option(min=1, max=24 * 92, help="How long it lasts.")] = 20,
    consumers: Annotated[int, typer.Option(min=3, max=100_000)] = 5,
    instances: Annotated[int, typer.Option(min=1, max=1_000)] = 2,
    write_to: Annotated[
        str | None, typer.Option(help="Send the samples to this remote-write endpoint as well.", metavar="URL")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written and sent; do neither.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List what can happen.")] = False,
    format: Format = FORMAT,
) -> None:
    """Write counter samples whose truth is known, to try any server and any billing program on.

    The folder gets samples.om (OpenMetrics with timestamps), late.om where samples arrive late, truth.csv (what was
    counted in each hour, and what the samples of each hour prove) and a catalogue.yaml that counts it. For example:

    \b
      rating demo truth restarts gaps --out trial
      promtool tsdb create-blocks-from openmetrics trial/samples.om trial/data
      prometheus --storage.tsdb.path=trial/data --storage.tsdb.retention.time=10y --config.file=/dev/null &
      rating --catalog trial/catalogue.yaml --database-url sqlite:///trial/book.db collect --from 2026-09-01
      rating --catalog trial/catalogue.yaml --database-url sqlite:///trial/book.db usage --from 2026-09-01 -f csv
    """
    from rating_demo import export, remote_write
    from rating_demo.scenarios import FIRST_DAY, HAPPENINGS, scenario

    if listed:
        show(({"name": name, "what happens": one.sentence} for name, one in HAPPENINGS.items()), COLUMNS, format)
        return
    if not happenings:
        raise typer.BadParameter("say what happens, or `steady` for nothing; --list has the names")
    if out is None and write_to is None:
        raise typer.BadParameter("say where to: --out FOLDER, --write-to URL, or both")
    begin = instant(start) or FIRST_DAY
    made = scenario(happenings, seed, begin, timedelta(hours=hours), consumers=consumers, instances=instances)
    prompt, late = made.world.arrivals()
    row = {
        "scenario": made.name,
        "seed": seed,
        "samples": sum(len(one.times) for one in prompt),
        "late": sum(len(one.times) for one in late),
        "counted": decimal_text(made.meter.quantity(sum(made.world.increments().values()))),
        "provable": decimal_text(made.meter.quantity(sum(made.world.usage().values()))),
        "unit": made.meter.unit,
    }
    if not dry_run:
        if out is not None:
            export.export(made, out)
        if write_to is not None:
            with progress_bar(f"sending to {write_to}") as progress:
                for batch in (prompt, late):
                    remote_write.send(write_to, batch, progress)
    show([row], list(row), format)
