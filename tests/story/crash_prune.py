"""Pruning as a process that can be killed before any statement, commit or file."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from rating.adapters import archive
from rating.adapters.archive import FolderArchive
from rating.adapters.store import open_book
from rating.jobs.prune import prune
from tests.jobs.pruned import OLD, at, contracts


def run(url: str, folder: str, kill_at: int = 0) -> None:
    """Prune everything that is old; die by SIGKILL just before one of the moments."""
    seen = 0

    def moment(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def replaced(*arguments: Any) -> None:
        moment()
        replace(*arguments)
        moment()

    replace = os.replace
    archive.os.replace = replaced  # type: ignore[attr-defined]
    event.listen(Engine, "before_cursor_execute", moment)
    event.listen(Engine, "commit", moment)
    try:
        with open_book(url) as book:
            prune(book, contracts(book, at(5)), OLD, FolderArchive(Path(folder)), now=at(5))
    finally:
        archive.os.replace = replace  # type: ignore[attr-defined]
        event.remove(Engine, "before_cursor_execute", moment)
        event.remove(Engine, "commit", moment)
