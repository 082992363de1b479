"""Resubscribing: a plan that was chosen, changed or ended at a gateway moves the subscription in our book.

Decides from when. Changes follow each other by the plan each of them leaves, so that one which is told too early waits
for the one before it. An end that is only announced is not entered: it may be taken back, and one in the book cannot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rating.core.periods import align, stamp
from rating.core.plans import Plan
from rating.core.settling import Decision, Ending, Verdict, known, parked, waits
from rating.core.signals import Began, Ended, Moved, SubscriptionFact
from rating.core.subscriptions import Subscription, merge

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Contracted:
    """Who is on which plan."""

    written: Sequence[Subscription]
    """In the catalogue."""
    kept: Sequence[Subscription]
    """In the book, by command."""
    plans: Mapping[str, Plan]
    zone: ZoneInfo

    def of(self, consumer: str, plan: str) -> list[Subscription]:
        return [one for one in self.kept if (one.consumer, one.plan) == (consumer, plan)]

    def written_of(self, consumer: str, plan: str) -> list[Subscription]:
        return [one for one in self.written if (one.consumer, one.plan) == (consumer, plan)]

    def consumers(self) -> set[str]:
        return {one.consumer for one in (*self.written, *self.kept)}


def about_subscription(fact: SubscriptionFact, consumer: str, customer: str, contracted: Contracted) -> Decision:
    """`consumer` and `customer` are our names of whose usage it is and who pays; empty where they are not known."""
    if not consumer:
        return parked(
            f"{fact.subscription} names no consumer of ours; write rating_consumer into its metadata there, or "
            "subscribe by `rating subscriptions add` and dismiss this"
        )
    for plan in (fact.before, fact.plan) if isinstance(fact, Moved) else (fact.plan,):
        if plan not in contracted.plans:
            said = f'"{plan}"' if plan else "no plan of ours"
            return parked(
                f"{fact.subscription} is on {said}, which is not in the catalogue; give its price there a lookup key "
                f"or metadata rating_plan that names one, or move {consumer} by `rating subscriptions move`"
            )
    match fact:
        case Began():
            return _began(fact, consumer, customer, contracted)
        case Moved():
            return _moved(fact, consumer, contracted)
        case Ended():
            return _ended(fact, consumer, contracted)


def _began(fact: Began, consumer: str, customer: str, contracted: Contracted) -> Decision:
    start = align(fact.at, _window(contracted, fact.plan))
    same = (*contracted.of(consumer, fact.plan), *contracted.written_of(consumer, fact.plan))
    if any(one.start <= start and (one.end is None or one.end > start) for one in same):
        return known(f"{consumer} is on {fact.plan}")
    if any(one.key == f"{consumer}/{fact.plan}/{start.date().isoformat()}" for one in same):
        return parked(
            f"{consumer} began {fact.plan} twice on {start.date()}; `rating subscriptions add` takes another day"
        )
    payer = "" if customer == consumer else customer
    new = Subscription(consumer, fact.plan, start, customer=payer, zone=contracted.zone)
    return _fitting((), new, contracted)


def _moved(fact: Moved, consumer: str, contracted: Contracted) -> Decision:
    if fact.before == fact.plan:
        return known("the plan is the same")
    at = _boundary(fact.at, contracted, fact.before, fact.plan)
    if any(one.start == at for one in contracted.of(consumer, fact.plan)):
        return known(f"{consumer} moved to {fact.plan} at {stamp(at)}")
    current = [one for one in contracted.of(consumer, fact.before) if one.end is None and one.start <= at]
    if not current:
        if any(one.end is None for one in contracted.written_of(consumer, fact.before)):
            return parked(
                f"{consumer} is on {fact.before} by the catalogue, and went to {fact.plan} there at {stamp(fact.at)}; "
                f"give it an end: {stamp(at)} in the catalogue, and subscribe it to {fact.plan} from then on"
            )
        return waits(f"{consumer} went from {fact.before} to {fact.plan} there, and is not on {fact.before} with us")
    old = current[-1]
    return _fitting((Ending(old.key, at),), replace(old, plan=fact.plan, start=at, end=None, pauses=()), contracted)


def _ended(fact: Ended, consumer: str, contracted: Contracted) -> Decision:
    at = _boundary(fact.at, contracted, fact.plan)
    own = contracted.of(consumer, fact.plan)
    current = [one for one in own if one.end is None and one.start <= at]
    if current:
        key = current[-1].key
        return Decision(Verdict.ENTERED, f"{key} ends at {stamp(at)}", (Ending(key, at),))
    written = contracted.written_of(consumer, fact.plan)
    if any(one.end is not None and one.start <= at for one in (*own, *written)):
        return known("it has an end")
    if written:
        return parked(f"{consumer} is on {fact.plan} by the catalogue, and ended there; give it an end: {stamp(at)}")
    return waits(f"{consumer} left {fact.plan} there at {stamp(fact.at)}, and is not on it with us")


def _fitting(ends: tuple[Ending, ...], new: Subscription, contracted: Contracted) -> Decision:
    """Unless it would bill something twice."""
    ending = {one.key: one.end for one in ends}
    kept = [one for one in contracted.kept if one.key != new.key]
    after = [replace(one, end=ending[one.key]) if one.key in ending else one for one in kept]
    _, before = merge(contracted.written, kept, contracted.plans)
    _, then = merge(contracted.written, (*after, new), contracted.plans)
    clashes = [str(finding) for finding in then if finding not in before]
    if clashes:
        return waits("; ".join(clashes))
    return Decision(Verdict.ENTERED, f"{new.key} from {stamp(new.start)}", (*ends, new))


def _boundary(at: datetime, contracted: Contracted, *plans: str) -> datetime:
    """The end of the usage windows that were open then: what is counted in them is billed by the plan before."""
    window = max(_window(contracted, plan) for plan in plans)
    start = align(at, window)
    return start if start == at else start + window


def _window(contracted: Contracted, plan: str) -> timedelta:
    return max((card.meter.window for card in contracted.plans[plan].cards), default=_SECOND)
