"""How the demonstration shows itself: numbered steps with their seconds, a bar that moves, the commands it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_WIDE = 120
_FONT = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)


class Screen:
    """A terminal, or a log that is read later: then a bar becomes a line every tenth.

    With `pictures`, a folder, parts of what is shown are saved there as SVG, in colour whatever stdout is.
    """

    def __init__(self, console: Console | None = None, *, pictures: Path | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._pictures = pictures
        if pictures is not None:
            self.console = Console(
                highlight=False, width=_WIDE, record=True, force_terminal=True, force_interactive=False
            )
        elif not self.console.is_terminal:
            self.console = Console(highlight=False, width=_WIDE, file=self.console.file)
        self.checkpoint: Callable[[], None] = lambda: None
        """Called between steps and while waiting; may raise to end the story."""
        self._steps = 0

    @property
    def width(self) -> int:
        return min(self.console.width, _WIDE)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Number and title when it begins, its seconds when it is done."""
        self.checkpoint()
        self._steps += 1
        self.console.print(f"[bold cyan]{self._steps}.[/] [bold]{title}[/]")
        begun = time.monotonic()
        yield
        self.say(f"[dim]{time.monotonic() - begun:.1f} s[/]")
        self.console.print()

    def say(self, sentence: str) -> None:
        self.console.print(f"   {sentence}")

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields what to tell how much is done."""
        if self.console.is_terminal and self._pictures is None:
            columns = (
                TextColumn("   {task.description}"),
                BarColumn(bar_width=40),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=self.console) as progress:
                task = progress.add_task(what, total=total)
                yield lambda done: progress.update(task, completed=done)
            return
        said = 0

        def note(done: int) -> None:
            nonlocal said
            tenth = 10 * done // total if total else 10
            if tenth > said:
                said = tenth
                self.say(f"{what}: {done} of {total}")

        yield note

    def table(self, table: Table) -> None:
        """Laid out first and printed as whole lines: drawn cell by cell, some viewers drop a cell's leading spaces."""
        with self.console.capture() as drawn:
            self.console.print(table)
        self.console.print(Text.from_ansi(drawn.get()), soft_wrap=True)

    @contextmanager
    def picture(self, name: str, title: str) -> Iterator[None]:
        """What is shown inside becomes `name`.svg, when pictures are wanted."""
        if self._pictures is None:
            yield
            return
        self.console.export_text()  # forget what was shown before
        yield
        self._pictures.mkdir(parents=True, exist_ok=True)
        drawn = self.console.export_svg(title=title, unique_id=name)
        # The viewer's own monospace font will do; a picture must not call anybody.
        (self._pictures / f"{name}.svg").write_text(_FONT.sub("", drawn))

    def command(self, words: tuple[str, ...], printed: str) -> None:
        """A command as one would type it, and what it printed."""
        self.console.print(f"[bold green]$ rating {' '.join(words)}[/]")
        # A terminal wraps long lines itself; a picture would cut them.
        self.console.print(Text.from_ansi(printed.rstrip("\n")), soft_wrap=self._pictures is None)
        self.console.print()
