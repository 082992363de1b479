"""Failed events: usage that a gateway took and could not use, as it told later.

Each is parked under its own subject, so that `rating stripe retry` tells it again, under another name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rating.core.offers import Offered, RemoteMeter
from rating.core.publications import Outcome, Progress, following
from rating.core.usageevents import named, whom
from rating.errors import Finding
from rating.ports import Book


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that a gateway accepted and could not use, as it told later."""

    name: str
    why: str


def park_failed(
    book: Book, gateway: str, wanted: Offered, failed: Iterable[FailedEvent], *, now: datetime
) -> tuple[tuple[Progress, ...], tuple[Finding, ...]]:
    """Park each event that failed after it was accepted: `rating stripe retry` tells it again.

    The same report twice parks it once. What is not known to be ours is a Finding.
    """
    known: dict[str, tuple[RemoteMeter, str]] = {}
    for contract in wanted.contracts:
        for meter in contract.offer.meters:
            known[whom(meter.key, contract.customer)] = (meter, contract.customer)
    parked, findings = [], []
    for one in failed:
        about = named(one.name, known)
        if about is None:
            hint = "look for it there; an event of ours begins with rating:"
            findings.append(Finding(f"usage event {one.name}", f"was not used: {one.why}", hint))
            continue
        entries = book.progressed(gateway, about[0])
        why = f"{one.name}: {one.why}"
        if entries and entries[-1].progress.outcome is Outcome.REFUSED:
            continue
        if any(entry.progress.said == why for entry in entries):
            # The same report once more, after a person has asked to try again.
            continue
        parked.append(following(gateway, about[0], entries, Outcome.REFUSED, why))
    if parked:
        book.progress(parked, at=now)
    return tuple(parked), tuple(findings)
