"""Usage records: a day's usage as it is kept by a collector that takes one record for a subscription and an item.

Decides what stands on a record so that it is found again, what no record can say, and whether a subscription that a
person made there is billed as our contract is. Knows no collector by name.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rating.core.canonical import digest
from rating.core.offers import RemoteContract
from rating.core.periods import align, stamp
from rating.core.usageevents import DAY, Share, UsageEvent, middle

LONGEST = timedelta(hours=11)
"""How far from ours something may begin or end there: less than from midnight to the middle of a day."""
MOST = 10**15
"""Numbers below are held exactly by whatever reads JSON."""


def tag(event: UsageEvent, share: Share, product: str) -> str:
    """The same for every number about one day of one product under one subscription, and for no other."""
    about = digest(f"{event.meter}\n{event.customer}\n{share.subscription}\n{product}")
    return f"rating:{event.hour:%Y%m%d}:{about[:24]}"


def unsayable(share: Share) -> str:
    """Why no record can say it; empty when one can."""
    if share.value < 0:
        return f"usage of {share.value} is below zero; correct the window"
    if share.value >= MOST:
        return f"usage of {share.value} has more than {len(str(MOST)) - 1} digits; give the meter a coarser resolution"
    return ""


def period_differs(contract: RemoteContract, ends: datetime, least: timedelta, most: timedelta) -> str:
    """How its billing period there, which ends then, is another than ours; empty when it is ours.

    It may end so long after the end of ours. `least` and `most` lie less than half a day from it, and usage stands in
    the middle of its day, so no record falls between the two ends.
    """
    period = contract.period
    for ours in (period.end, period.start):  # it may not have renewed yet
        if least <= ends - ours <= most:
            return ""
    return (
        f"its billing period ends there at {stamp(ends)} and by our book at {stamp(period.end)}; set its next billing "
        f"date there to a time from {stamp(period.end + least)} to {stamp(period.end + most)}"
    )


def end_differs(contract: RemoteContract, end: datetime | None) -> str:
    """How it ends there otherwise than by our book; empty when it does not.

    The last day's usage stands in the middle of it, which must not come after the end.
    """
    if contract.end is None:
        return "" if end is None else f"it ends there at {stamp(end)} and goes on by our book; let it go on there"
    if end is not None and -LONGEST <= end - contract.end < DAY:
        return ""
    there = "goes on there" if end is None else f"ends there at {stamp(end)}"
    return f"it ends at {stamp(contract.end)} by our book and {there}; let it end there as it does here"


def begun_late(contract: RemoteContract, began: datetime) -> str:
    """How a billing period that began there then leaves out what is to be told first; empty when it does not."""
    first = middle(begins(contract), contract, DAY)
    if began <= first:
        return ""
    return (
        f"its billing period began there at {stamp(began)}, and the first usage to be told is of {stamp(first)}; let "
        f"it begin by then, or, in the period from {stamp(contract.period.end)}, collect what was used before by our "
        "invoice"
    )


def begins(contract: RemoteContract) -> datetime:
    """From when usage is told of a contract that is first carried now: whole days of its billing period under way."""
    return align(max(contract.begins, contract.period.start), DAY)
