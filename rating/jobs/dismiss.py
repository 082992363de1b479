"""Dismiss: a person says that nothing more is to be done about what is parked."""

from __future__ import annotations

from datetime import datetime

from rating.core.periods import stamp
from rating.core.publications import Outcome, State, following, signal_subject, state
from rating.errors import BookError
from rating.ports import Book

SEEN = ("signal", "details", "period", "usage", "item", "wallet")
"""Kinds of subjects that a person can see to elsewhere. A paper is carried, or taken back in our book."""


def subject_of(name: str) -> str:
    """The subject by what a person typed: `evt_1Mt...` is signal/evt_1Mt...

    Raises:
        BookError: a paper is not dismissed.
    """
    kind, separator, _ = name.partition("/")
    if not separator:
        return signal_subject(name)
    if kind not in SEEN:
        raise BookError(
            f"{name} cannot be dismissed: it is carried by `rating stripe retry`, or taken back in our book; what a "
            f"person sees to is {', '.join(SEEN)}"
        )
    return name


def known(book: Book, gateway: str, subject: str) -> bool:
    """Was anything of that name told by the gateway, or done about it there?"""
    name = subject.removeprefix("signal/")
    return bool(book.progressed(gateway, subject)) or any(one.signal.id == name for one in book.signals(gateway))


def dismiss(book: Book, gateway: str, subject: str, *, why: str, author: str, now: datetime) -> bool:
    """Put it away. False when it was not parked."""
    entries = book.progressed(gateway, subject)
    if state(entries) is not State.PARKED:
        return False
    by = f" by {author}" if author else ""
    said = f"dismissed{by} at {stamp(now.replace(microsecond=0))}: {why}"
    book.progress((following(gateway, subject, entries, Outcome.DONE, said),), at=now)
    return True
