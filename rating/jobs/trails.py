"""A trail over the book: the names of what a gateway makes for one subject are kept at once, and outlive a crash."""

from __future__ import annotations

from datetime import datetime

from rating.core.publications import RemoteName
from rating.ports import Book


class KeptTrail:
    """The Trail of `ports` for one subject at one gateway."""

    def __init__(self, book: Book, gateway: str, subject: str, now: datetime, *, begun_at: datetime | None) -> None:
        self._book = book
        self._gateway = gateway
        self._subject = subject
        self._now = now
        self._begun_at = begun_at
        self.revived = 0
        """What is reported here is looked for before it is made, and has no keys of attempts."""

    @property
    def begun_at(self) -> datetime | None:
        return self._begun_at

    def name(self, part: str = "", subject: str | None = None) -> str | None:
        names = self._book.remote_names(self._gateway, self._subject if subject is None else subject)
        return next((one.name for one in names if one.part == part), None)

    def keep(self, name: str, part: str = "", subject: str | None = None) -> None:
        about = self._subject if subject is None else subject
        self._book.progress((), (RemoteName(self._gateway, about, part, name),), at=self._now)
