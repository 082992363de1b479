"""A trail over the book: the names of what a gateway makes for one subject are kept at once, and outlive a crash."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from rating.core.publications import RemoteName
from rating.ports import Book


class KeptTrail:
    """The Trail of `ports` for one subject at one gateway.

    Args:
        clock: when a name is recorded as kept.
        begun_at, revived: as the Trail has them.
        turn: held while the book is asked, where several threads publish at once.
    """

    def __init__(
        self,
        book: Book,
        gateway: str,
        subject: str,
        clock: Callable[[], datetime],
        *,
        begun_at: datetime | None,
        revived: int = 0,
        turn: threading.Lock | None = None,
    ) -> None:
        self._book, self._gateway, self._subject, self._clock = book, gateway, subject, clock
        self._begun_at, self._revived = begun_at, revived
        self._turn = threading.Lock() if turn is None else turn
        self._known: dict[str, dict[str, str]] = {}

    @property
    def begun_at(self) -> datetime | None:
        return self._begun_at

    @property
    def revived(self) -> int:
        return self._revived

    def name(self, part: str = "", subject: str | None = None) -> str | None:
        about = self._subject if subject is None else subject
        if about not in self._known:
            with self._turn:
                names = self._book.remote_names(self._gateway, about)
            self._known[about] = {one.part: one.name for one in names}
        return self._known[about].get(part)

    def keep(self, name: str, part: str = "", subject: str | None = None) -> None:
        about = self._subject if subject is None else subject
        with self._turn:
            self._book.progress((), (RemoteName(self._gateway, about, part, name),), at=self._clock())
        self._known.setdefault(about, {})[part] = name
