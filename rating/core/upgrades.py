"""Upgrades: which plans may be compared with the plan they follow. What either costs is `charges`' to say."""

from __future__ import annotations

from rating.core.plans import Plan
from rating.core.standing import individual


def comparable(plan: Plan, after: Plan) -> bool:
    """Can the same usage be priced on both, so that their difference is what the change would cost or save?

    Not where they are billed in another currency or cadence; where the next plan has no price for a meter of this one
    (that usage would have to stop); and where it asks for more than how much was used: kinds, pools, earlier periods.
    """
    meters = {card.meter.name for card in plan.cards} - {card.meter.name for card in after.cards}
    return (plan.currency, plan.cadence) == (after.currency, after.cadence) and not meters and not individual(after)
