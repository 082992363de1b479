"""Where things are shown to people and programs: boards, documents, pages, tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from rating.core.documents import Document, Form
from rating.core.reports import Report


@dataclass(frozen=True, slots=True)
class ShownBoard:
    """A board as it stands where people look at it."""

    document: Mapping[str, Any]
    folder: str
    """The uid of its folder; empty for none."""
    version: int


@dataclass(frozen=True, slots=True)
class ShownPanel:
    """A panel kept for everybody's boards, as it stands."""

    model: Mapping[str, Any]
    folder: str
    version: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at an instant, shown on graphs."""

    at: datetime
    text: str
    tags: tuple[str, ...]
    """The last one names what happened, and nothing else has it."""


class Boards(Protocol):
    """Where boards are shown. Nothing but what is named is ever touched.

    Raises (every method):
        EdgeUnavailable: unreachable or failing; a retry may succeed.
        EdgeRefused: it says no (token, rights, or not the server we think it is).
        EdgeDisagrees: somebody else changed the board since it was read.
    """

    def shown(self, uid: str) -> ShownBoard | None: ...

    def keep_folder(self, uid: str, title: str) -> None:
        """Make the folder when there is none with this uid; an existing one keeps its title."""

    def show(self, document: Mapping[str, Any], folder: str, *, replaces: int | None) -> None:
        """Show the board in the folder. `replaces` is the version it takes the place of, None when it is new."""

    def source(self, uid: str) -> Mapping[str, Any] | None:
        """The source of metrics with this uid."""

    def keep_source(self, document: Mapping[str, Any], *, new: bool) -> None:
        """Add the source of metrics, or replace the one with its uid."""

    def panel(self, uid: str) -> ShownPanel | None: ...

    def show_panel(self, uid: str, name: str, model: Mapping[str, Any], folder: str, *, replaces: int | None) -> None:
        """Keep the panel in the folder, for any board to use. `replaces` as `show` has it."""

    def marks(self, tags: Sequence[str]) -> frozenset[tuple[str, ...]]:
        """The tags of every mark that has all of these."""

    def mark(self, mark: Mark) -> None:
        """Add a mark, whether or not there is one already."""


@dataclass(frozen=True, slots=True)
class Rendered:
    content: bytes
    warnings: tuple[str, ...] = ()
    """What a person must look at before it is sent, such as a name no font has glyphs for."""
    notes: tuple[str, ...] = ()
    """What it does without, such as an e-invoice inside the PDF, and why."""


class Documents(Protocol):
    """Where a document becomes what is sent."""

    def render(self, document: Document, form: Form) -> Rendered:
        """The same document gives the same bytes: no clock, no network, nothing random.

        Raises:
            EdgeUnavailable: a library or font it needs is not installed.
            EdgeRefused: this form cannot say what the document says, such as three decimals in an e-invoice.
            SpecError: the brand's files are wrong.
        """


class ReportPage(Protocol):
    """What draws a report for people without Grafana."""

    def page(self, report: Report) -> str:
        """One HTML document that needs nothing else: no network, no second file. The same report gives the same text.

        Names of consumers, plans and dimensions are data: none of them becomes markup or script.
        """


class Kind(StrEnum):
    """What a column of a table holds. None is nothing, in any of them."""

    TEXT = "text"
    WHOLE = "whole"
    """An integer of 64 bits."""
    DAY = "day"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that are read as they are written down, never all at once."""

    name: str
    columns: Mapping[str, Kind]
    rows: Iterator[tuple[object, ...]]


class Tables(Protocol):
    """Where tables are written down."""

    def write(self, table: Table, folder: Path) -> tuple[Path, int]:
        """Write it into the folder; the file is there whole or not at all. Returns it and how many rows it has.

        Raises:
            EdgeUnavailable: what writes it is not installed, or the folder cannot be written.
        """
