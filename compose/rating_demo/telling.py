"""What every part of the story does: show a command and what it printed, wait for something, say what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rating.core import vocabulary as names
from rating.errors import RatingError
from rating_demo.screen import Screen
from rating_demo.stage import Stage


class DemoFailed(RatingError):
    """The demonstration did not come to its end; says where and where to look."""


def show(stage: Stage, screen: Screen, *words: str, most: int = 200) -> None:
    status, printed = stage.rating(*words, width=screen.width, colour=screen.console.is_terminal)
    lines = printed.splitlines()
    if len(lines) > most:
        printed = "\n".join([*lines[:most], f"... {len(lines) - most} more lines"])
    screen.command(words, printed)
    if status not in (0, 3):
        raise failed(stage, f"rating {' '.join(words)} ended with status {status}")


def wait(stage: Stage, what: str, done: Callable[[], bool], seconds: float) -> None:
    """Wait until `done()`; give up when the engine dies, reports errors that last, or time is over."""
    try:
        stage.engine.wait_until(done, seconds)
    except RatingError as error:
        raise DemoFailed(f"waiting until {what}: {error}\n{health(stage)}") from error


def health(stage: Stage) -> str:
    try:
        held = int(stage.total(names.WINDOWS_HELD))
    except OSError:
        return f"Logs are in {short(stage.folder)}"
    return f"{held} windows are held (`rating windows list --held` tells why). Logs are in {short(stage.folder)}"


def failed(stage: Stage, what: str) -> DemoFailed:
    return DemoFailed(f"{what}; logs are in {short(stage.folder)}")


def short(folder: Path) -> str:
    try:
        return f"{folder.relative_to(Path.cwd())}/"
    except ValueError:
        return f"{folder}/"
