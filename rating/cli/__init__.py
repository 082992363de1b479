"""The command `rating`: one file per noun, each adding its commands to the one application."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rating.cli.frame import FAILED, LOOK, WRONG_INPUT, stderr
from rating.errors import Contradiction, EdgeDisagrees, RatingError, SamplesMissing, SpecError
from rating.settings import Settings

NOUNS = (
    "check",
    "doctor",
    "presets",
    "collect",
    "usage",
    "windows",
    "verify",
    "audit",
    "report",
    "correct",
    "accrue",
    "bill",
    "invoices",
    "publish",
    "stripe",
    "credit_notes",
    "disputes",
    "items",
    "wallets",
    "statements",
    "export",
    "explain",
    "quote",
    "plans",
    "subscriptions",
    "catalog",
    "simulate",
    "notify",
    "rules",
    "dashboards",
    "schema",
    "book",
    "run",
    "demo",
)

HELP = """Bill API usage straight from Prometheus, exact to the request, and prove each cent.

Start with `rating check` (is the catalogue right?) and `rating doctor` (can this Prometheus be billed from?). Then
`rating collect`, `rating bill --dry-run`, `rating bill`, or let `rating run` do all of it on schedule.

Settings come from RATING_* variables or the flags below. Exit codes: 0 done, 1 failed, 2 wrong input, 3 done but a
person must look.
"""


def application() -> typer.Typer:
    """The whole command line, built anew: importing this module does nothing."""
    app = typer.Typer(
        name="rating",
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"max_content_width": 120},
    )
    app.callback()(_settings)
    for noun in NOUNS:
        if importlib.util.find_spec(f"rating.cli.{noun}"):
            importlib.import_module(f"rating.cli.{noun}").add(app)
    return app


def _settings(
    context: typer.Context,
    catalog: Annotated[
        Path | None, typer.Option(help="The catalogue: a YAML file or a folder [RATING_CATALOG].")
    ] = None,
    database_url: Annotated[str | None, typer.Option(help="The book [RATING_DATABASE_URL].")] = None,
    prometheus_url: Annotated[
        str | None, typer.Option(help="Where counters are read, several separated by commas [RATING_PROMETHEUS_URL].")
    ] = None,
) -> None:
    context.obj = Settings.from_environment(catalog=catalog, database_url=database_url, prometheus_url=prometheus_url)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code; every refusal is one clear message, never a traceback."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    try:
        result = application()(args=arguments, standalone_mode=False, prog_name="rating")
        return int(result or 0)
    except typer.Exit as exit:
        return exit.exit_code
    except typer.Abort:
        stderr.print("stopped")
        return FAILED
    except SpecError as error:
        for finding in error.findings:
            stderr.print(str(finding), soft_wrap=True)
        return WRONG_INPUT
    except (Contradiction, SamplesMissing, EdgeDisagrees) as error:
        stderr.print(f"{error}", soft_wrap=True)
        return LOOK
    except RatingError as error:
        stderr.print(f"{error}", soft_wrap=True)
        return FAILED
    except KeyboardInterrupt:
        stderr.print("stopped; what was finished is kept, run the same command to go on")
        return FAILED
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        # click's own usage errors, whichever copy of click typer carries
        stderr.print(_what_to_do(error.format_message(), error), soft_wrap=True, markup=False)
        return WRONG_INPUT


def _what_to_do(said: str, error: Exception) -> str:
    """Click names what is missing or unknown and stops there; our own sentences, and whole help pages, go on."""
    if ";" in said or "\n" in said:
        return said
    command = getattr(getattr(error, "ctx", None), "command_path", "rating")
    return f"{said.removesuffix('.')}; see `{command} --help`"
