"""Documents to a file, a folder or the terminal: what the nouns that have paper share."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path

import typer

from rating.cli.frame import DONE, LOOK, progress_bar, stderr
from rating.core.documents import Document, Form, Party
from rating.errors import BookError, EdgeRefused
from rating.jobs.documents import Letterhead
from rating.ports import Documents, Rendered
from rating.settings import Settings


class Paper(StrEnum):
    """The forms of a document, and the text its hash is taken of."""

    HTML = "html"
    PDF = "pdf"
    JSON = "json"
    CSV = "csv"
    XML = "xml"
    TEXT = "text"


PAPER = typer.Option(
    Paper.PDF,
    "--format",
    "-f",
    help="pdf, html, json, csv, xml (e-invoice, EN 16931), or text: what the hash covers.",
)
OUT = typer.Option(None, "--out", "-o", help="A file, or a folder in which each gets a file of its number.")
LOCALE = typer.Option(None, help="Language and numbers, such as de_AT, in place of what is agreed [RATING_LOCALE].")
BRAND = typer.Option(None, help="A brand's look, a folder in RATING_BRANDS.")

Drawn = tuple[str, Callable[[], Rendered]]
"""A document's number and how it is rendered."""


def letterhead(settings: Settings, locale: str | None, brand: str | None) -> Letterhead:
    return Letterhead(Party(settings.seller), locale or settings.locale, brand or "", chosen=locale is not None)


def rendered(
    documents: Documents, document: Callable[[], Document], form: Paper, text: Callable[[], str] = str
) -> Rendered:
    return Rendered(text().encode()) if form is Paper.TEXT else documents.render(document(), Form(form.value))


def write(drawn: Sequence[Drawn], form: Paper, out: Path | None) -> int:
    """Write each and say where. Returns the exit code: LOOK where one needs a person, or cannot have this form.

    Raises:
        typer.BadParameter: several documents and no folder for them, or a PDF for the terminal.
        BookError: a file cannot be written.
    """
    if out is None:
        if len(drawn) > 1:
            raise typer.BadParameter(f"{len(drawn)} documents need a folder; give --out")
        if form is Paper.PDF and sys.stdout.isatty():
            raise typer.BadParameter("a PDF is nothing for a terminal; give --out FILE")
    folder = out is not None and (len(drawn) > 1 or out.is_dir() or not out.suffix)
    refused, looks = 0, 0
    with progress_bar("rendering") as progress:
        for place, (number, render) in enumerate(drawn, 1):
            try:
                result = render()
            except EdgeRefused as error:
                if not folder:
                    raise
                stderr.print(str(error), soft_wrap=True)
                refused += 1
                continue
            for sentence in (*result.notes, *result.warnings):
                stderr.print(sentence, soft_wrap=True)
            looks += bool(result.warnings)
            _keep(result.content, _file(out, number, form) if out is not None and folder else out)
            progress(place, len(drawn))
    if folder:
        stderr.print(f"{len(drawn) - refused} documents in {out}" + (f", {refused} refused" if refused else ""))
    return LOOK if refused or looks else DONE


def nothing(numbers: Iterable[object], what: str) -> bool:
    """Say so where there is nothing to render."""
    if any(True for _ in numbers):
        return False
    stderr.print(what)
    return True


def _file(folder: Path, number: str, form: Paper) -> Path:
    """A number may hold what a file name must not."""
    name = re.sub(r"[^\w.+@ -]", "_", number).strip(". ") or "document"
    return folder / f"{name}.{'txt' if form is Paper.TEXT else form.value}"


def _keep(content: bytes, file: Path | None) -> None:
    if file is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: a PDF cut short looks like one until it is opened.
        part = file.with_name(f"{file.name}.part")
        part.write_bytes(content)
        os.replace(part, file)
    except OSError as error:
        raise BookError(f"{file} cannot be written: {error.strerror}; choose another --out") from error
