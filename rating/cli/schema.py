"""`rating schema`: the JSON schema of the catalogue, for editors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import rating.specs
from rating.cli.frame import FAILED, console, stderr
from rating.specs.editors import schema_text

COMMITTED = Path(rating.specs.__path__[0]) / "catalogue.schema.json"


def add(app: typer.Typer) -> None:
    app.command("schema")(command)


def command(
    write: Annotated[bool, typer.Option("--write", help="Rewrite the committed file.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail when the committed file is stale.")] = False,
) -> None:
    """Print the JSON schema of a catalogue file.

    Name it in the first line of a catalogue, `# yaml-language-server: $schema=catalogue.schema.json`, and editors
    complete and explain every key.
    """
    text = schema_text()
    if check:
        if not COMMITTED.is_file() or COMMITTED.read_text(encoding="utf-8") != text:
            stderr.print(f"{COMMITTED.name} does not match the models; run: rating schema --write")
            raise typer.Exit(FAILED)
        console.print(f"{COMMITTED.name} is up to date")
    elif write:
        COMMITTED.write_text(text, encoding="utf-8")
        console.print(f"wrote {COMMITTED.name}")
    else:
        sys.stdout.write(text)
