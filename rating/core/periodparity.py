"""Amounts of billing periods: what a gateway that rates by itself charges for one, beside what our rating comes to.

Decides what is a difference, to the smallest unit and in both directions. Only what is rated counts, before taxes:
metered lines and fees, and what was added or credited there to correct a period. Everything else on a customer's
invoice there is the customer's business with the gateway's account.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rating.core.money import Currency, Money
from rating.core.parity import Difference, Differs
from rating.core.periods import Period, stamp
from rating.core.remotepapers import RemoteCharge, RemoteNote, RemotePaper, Stand
from rating.errors import Finding


def period_name(subscription: str, period: Period) -> str:
    """What a correction there says it is about: `acme/pro/2026-10-01/2026-11-01T00:00:00Z`."""
    return f"{subscription}/{period.start:%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, slots=True)
class Rated:
    """One billing period of one contract as our book rates it by now, with all usage that is known."""

    subscription: str
    """Ours; the contract's."""
    remote: str
    """What the gateway calls it."""
    period: Period
    amount: Money
    judged: bool
    """Is the gateway's invoice of it final, and was it asked for?"""
    customer: str = ""
    goes_on: bool = True
    """Is there another invoice of the subscription to come, on which a correction would stand?"""

    @property
    def name(self) -> str:
        return period_name(self.subscription, self.period)


@dataclass(frozen=True, slots=True)
class Charged:
    """What was charged there: on invoices, and by corrections that stand on none yet."""

    papers: Sequence[RemotePaper]
    notes: Sequence[RemoteNote] = ()
    pending: Sequence[RemoteCharge] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """One period that is final there, on both sides."""

    rated: Rated
    papers: tuple[str, ...]
    """The gateway's names of the invoices that charge it."""
    found: tuple[Money, ...]
    """What is charged there, with what was corrected."""
    corrected: bool
    """Was any of it charged or credited there later?"""

    @property
    def less(self) -> Money | None:
        """How much is not charged there that we charge; below zero when it charges more, None in another currency."""
        mine = self.rated.amount
        if any(one.currency != mine.currency for one in self.found):
            return None
        return mine - sum(self.found, Money(0, mine.currency))


@dataclass(frozen=True, slots=True)
class Correction:
    """What is charged there with the customer's next invoice to make a final period come to our amount."""

    name: str
    """Of the period: `period_name`."""
    customer: str
    period: Period
    amount: Money
    """Below zero it is credited."""
    charged: Money
    """What the period came to there before."""


def amounts(gateway: str, ours: Iterable[Rated], theirs: Charged) -> Iterator[Differs]:
    """Every period whose amounts differ, and every one that is charged there and not by us."""
    known: dict[str, list[Rated]] = {}
    for rated in ours:
        known.setdefault(rated.remote, []).append(rated)
    for one in compared((rated for periods in known.values() for rated in periods), theirs):
        yield from _differing(gateway, one)
    for remote, periods in known.items():
        own = [paper for paper in _made(theirs) if any(one.subscription == remote for one in paper.charges)]
        yield from _strangers(gateway, remote, periods, own)


def _made(theirs: Charged) -> list[RemotePaper]:
    return [paper for paper in theirs.papers if paper.made_there and paper.stand is not Stand.VOID]


def compared(ours: Iterable[Rated], theirs: Charged) -> Iterator[Compared]:
    """Each of our periods that is to be judged, with what is charged for it there."""
    papers = _made(theirs)
    corrections: dict[str, list[Money]] = {}
    for charge in (*(one for paper in papers for one in paper.charges), *theirs.pending):
        if charge.corrects:
            corrections.setdefault(charge.corrects, []).append(charge.amount)
    credited: dict[str, list[Money]] = {}
    for note in theirs.notes:
        credited.setdefault(note.invoice, []).append(-note.amount)
    for rated in ours:
        on = [paper for paper in papers if _of(paper, rated)]
        if not rated.judged or any(paper.stand is Stand.DRAFT for paper in on):
            continue
        found = [charge.amount for paper in on for charge in _of(paper, rated)]
        later = list(corrections.get(rated.name, ()))
        # A credit note corrects the period of its invoice, where that has one alone.
        later += [one for paper in on if len(_starts(paper)) == 1 for one in credited.get(paper.name, ())]
        yield Compared(rated, tuple(paper.name for paper in on), (*found, *later), bool(later))


def _of(paper: RemotePaper, rated: Rated) -> list[RemoteCharge]:
    return [
        one
        for one in paper.charges
        if not one.corrects and one.subscription == rated.remote and rated.period.contains(one.start)
    ]


def _starts(paper: RemotePaper) -> set[tuple[str, datetime]]:
    return {(one.subscription, one.start) for one in paper.charges if not one.corrects}


def _differing(gateway: str, one: Compared) -> Iterator[Differs]:
    rated, found, less = one.rated, one.found, one.less
    where = f"billing period {rated.period} of {rated.subscription}"
    mine, unit = rated.amount, rated.amount.currency
    if one.papers:
        where += f" ({', '.join(one.papers)})"
    if less is None:
        others = sorted({str(each.currency) for each in found} - {str(unit)})
        said = f"is charged in {', '.join(others)} at {gateway}, and in {unit} by us"
        yield Differs(Difference.CURRENCY, Finding(where, said, "void that invoice there"))
        return
    if not less.minor:
        return
    charged = mine - less
    if less.minor > 0:
        hint = f"add an item over {less} to the customer there, with metadata rating_period {rated.name}"
    else:
        hint = f"credit {-less} there by a credit note, or an item of {less} with metadata rating_period {rated.name}"
    if not one.papers:
        said = f"comes to {mine} by our rating and has no invoice at {gateway}"
        said += f", {charged} by corrections" if found else ""
        yield Differs(Difference.PERIOD_MISSING_THERE, Finding(where, said, f"is the subscription ended there? {hint}"))
        return
    hint = f"`rating stripe correct` where it is late usage; else {hint}"
    much = f"{less} too little" if less.minor > 0 else f"{-less} too much"
    said = f"comes to {mine} by our rating and {gateway} charges {charged}: {much}"
    yield Differs(Difference.PERIOD_AMOUNT, Finding(where, said, hint))


def _strangers(gateway: str, remote: str, periods: Sequence[Rated], own: Sequence[RemotePaper]) -> Iterator[Differs]:
    """What is charged there for a time that we do not bill."""
    first = min(one.period.start for one in periods)
    names = ", ".join(dict.fromkeys(one.subscription for one in periods))
    sums: dict[tuple[str, datetime], list[Money]] = {}
    for paper in own:
        for charge in paper.charges:
            if charge.corrects or charge.subscription != remote or charge.start < first or paper.stand is Stand.DRAFT:
                continue
            if not any(one.period.contains(charge.start) for one in periods):
                sums.setdefault((paper.name, charge.start), []).append(charge.amount)
    for (name, start), found in sums.items():
        if any(one.minor for one in found):
            said = f"charges {_together(found)} at {gateway} from {stamp(start)} on, which we do not bill"
            hint = "credit it there, and end the subscription there if it is ours no more"
            yield Differs(Difference.PERIOD_MISSING_HERE, Finding(f"invoice {name} of {names}", said, hint))


def _together(found: Sequence[Money]) -> str:
    sums: dict[Currency, Money] = {}
    for one in found:
        sums[one.currency] = sums[one.currency] + one if one.currency in sums else one
    return " and ".join(str(one) for one in sums.values())
