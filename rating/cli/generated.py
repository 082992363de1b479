"""Generated files on disk: which catalogue they come from, writing what changed, naming what is stale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console

from rating.cli.frame import settings_of
from rating.errors import Finding, SpecError
from rating.settings import Settings

DEMONSTRATION = Path("compose/catalogue")
"""The catalogue whose generated files are committed in this repository."""


def source(context: typer.Context, out: Path | None) -> Settings:
    """The settings whose catalogue the files come from.

    With a folder to write to, the user's own. Without one, the files committed in this repository are meant, which come
    from the demonstration catalogue, unless another was named.

    Raises:
        SpecError: no folder was given and this is not the repository.
    """
    settings = settings_of(context)
    if out is not None:
        return settings
    if not DEMONSTRATION.is_dir():
        raise SpecError((Finding("--out", "no folder was given to write to", "name one, such as --out ./generated"),))
    if settings.catalog == Settings().catalog:
        return replace(settings, catalog=DEMONSTRATION)
    return settings


def write(path: Path, text: str) -> bool:
    """True when the file was missing or different."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


def report_stale(texts: Mapping[Path, str], folders: Iterable[Path], command: str, console: Console) -> bool:
    """Name each file that is missing, differs, or stands in one of `folders` and is generated no more."""
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    left_over = [
        path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file() and path not in texts
    ]
    for path in stale:
        console.print(f"{path} does not match the catalogue; run: {command}", soft_wrap=True)
    for path in left_over:
        console.print(f"{path} is not generated any more; delete it", soft_wrap=True)
    return bool(stale or left_over)
