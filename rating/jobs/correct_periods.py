"""Correct periods: charge or credit at a gateway what late usage has changed of periods whose invoice is final there.

Asked for by a person. What is missing is worked out from what stands there, corrections included, each time anew: done
twice is done once, and after a crash the rest is done. A difference that no late usage explains is left to a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from rating.core.periodparity import Charged, Compared, Correction, compared
from rating.core.publications import Outcome, customer_subject, following
from rating.core.usageevents import bucket_of
from rating.errors import Overtaken
from rating.jobs.compare_amounts import rated_periods
from rating.jobs.contracts import Contracts
from rating.jobs.reconcile import BACK
from rating.jobs.rounds import USAGE
from rating.ports import Book, OfferGateway, Reconcilable


@dataclass(frozen=True, slots=True)
class Corrected:
    """What was done about one period, or would be."""

    correction: Correction
    remote: str = ""
    """What it is called there; empty in a dry run."""
    why_not: str = ""


def correct(
    book: Book,
    contracts: Contracts,
    gateway: OfferGateway,
    reading: Reconcilable,
    *,
    takes: Callable[[str], bool],
    now: datetime,
    dry_run: bool = False,
) -> tuple[Corrected, ...]:
    """By customer and period. Raises as the gateway does, and:

    Raises:
        Overtaken: usage is told there at the same time; ask again.
    """
    with book.claim(f"{USAGE}/{gateway.name}") as free:
        if not free:
            raise Overtaken(f"usage is told to {gateway.name} just now; run it again in a minute")
        return tuple(_corrected(book, contracts, gateway, reading, takes, now, dry_run))


def _corrected(
    book: Book,
    contracts: Contracts,
    gateway: OfferGateway,
    reading: Reconcilable,
    takes: Callable[[str], bool],
    now: datetime,
    dry_run: bool,
) -> Iterator[Corrected]:
    since = now - BACK
    everything = rated_periods(book, contracts, gateway, takes=takes, now=now)
    ours = [one for one in everything if one.period.end >= since]
    parked = [entry.progress.subject for entry in book.parked(gateway.name)]
    theirs = Charged(tuple(reading.papers(since)), tuple(reading.notes(since)), tuple(reading.corrections()))
    names = {one.subject: one.name for one in book.remote_names(gateway.name) if not one.part}
    for one in sorted(compared(ours, theirs), key=lambda one: (one.rated.customer, one.rated.name)):
        late = _late(parked, one)
        less = one.less
        if less is None or not less.minor:
            if less is not None and one.corrected and late and not dry_run:
                # A crash came before it was noted.
                _noted(book, gateway.name, late, f"{one.rated.name} was corrected there", now)
            continue
        rated = one.rated
        what = Correction(rated.name, rated.customer, rated.period, less, rated.amount - less)
        why_not = _why_not(one, late)
        if why_not or dry_run:
            yield Corrected(what, why_not=why_not)
            continue
        remote = gateway.correct(what, names[customer_subject(rated.customer)])
        _noted(book, gateway.name, late, f"{less} of {rated.name} stands there as {remote}", now)
        yield Corrected(what, remote)


def _late(parked: list[str], one: Compared) -> list[str]:
    """What is parked of the customer's usage in that period."""
    found = []
    for subject in parked:
        about = bucket_of(subject)
        if about is not None and about[3] == one.rated.customer and one.rated.period.contains(about[1]):
            found.append(subject)
    return found


def _why_not(one: Compared, late: list[str]) -> str:
    if not one.papers:
        return "it has no invoice there"
    if not late:
        return "no usage of it is parked that would explain the difference: look at its lines there"
    if not one.rated.goes_on:
        return "the subscription has ended, and no invoice follows on which it would stand: charge or credit it by hand"
    return ""


def _noted(book: Book, gateway: str, subjects: list[str], said: str, now: datetime) -> None:
    entries = [
        following(gateway, subject, book.progressed(gateway, subject), Outcome.DONE, said) for subject in subjects
    ]
    book.progress(entries, at=now)
