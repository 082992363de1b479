"""`rating demo`: the whole system on this machine, on real traffic. The story is told by the package rating_demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rating.cli.frame import DONE, FAILED
from rating.errors import RatingError


def add(app: typer.Typer) -> None:
    app.command("demo")(command)


def command(
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

    Works inside a checkout, whose compose/catalogue it bills.
    """
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
