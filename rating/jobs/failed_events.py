"""Failed events: usage that a gateway took and could not use, as it told later.

Each is parked under its own subject, so that `rating stripe retry` tells it again, under another name. An old report
changes nothing: an event that was told again since has another name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rating.core.offers import Offered, RemoteMeter
from rating.core.publications import Outcome, Progress, following, revivals
from rating.core.signals import FailedEvent
from rating.core.usageevents import attempt_of, named, whom
from rating.ports import Book


@dataclass(frozen=True, slots=True)
class Sorted:
    """What is to be made of failed events."""

    parked: tuple[Progress, ...] = ()
    """Entries that are to be kept: one for each event that waits for a person from now on."""
    known: tuple[FailedEvent, ...] = ()
    """Parked already, or told again since."""
    unknown: tuple[FailedEvent, ...] = ()
    """Not known to be ours."""


def sort(book: Book, gateway: str, wanted: Offered, failed: Iterable[FailedEvent]) -> Sorted:
    """Say which events are parked. Keeps nothing."""
    ours: dict[str, tuple[RemoteMeter, str]] = {}
    for contract in (*wanted.contracts, *wanted.left):
        for meter in contract.offer.meters:
            ours[whom(meter.key, contract.customer)] = (meter, contract.customer)
    parked: dict[str, Progress] = {}
    known, unknown = [], []
    for one in failed:
        about = named(one.name, ours)
        if about is None:
            unknown.append(one)
            continue
        subject = about[0]
        entries = book.progressed(gateway, subject)
        waits = bool(entries) and entries[-1].progress.outcome is Outcome.REFUSED
        if waits or subject in parked or attempt_of(one.name) < revivals(entries):
            known.append(one)
        else:
            parked[subject] = following(gateway, subject, entries, Outcome.REFUSED, f"{one.name}: {one.why}")
    return Sorted(tuple(parked.values()), tuple(known), tuple(unknown))
