"""How far a window that is not whole is believed: what its meter tolerates. Says nothing about what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from rating.core.meters import Degraded, Meter
from rating.core.money import decimal_text, fixed_point
from rating.core.windows import Completeness, Evidence, Usage


def completeness(evidence: Evidence) -> Completeness:
    missed = evidence.scrapes_seen < evidence.scrapes_expected
    doubtful = missed or evidence.baselines or evidence.resets or evidence.unseen or evidence.uncovered
    return Completeness.DEGRADED if doubtful else Completeness.COMPLETE


def beyond_policy(meter: Meter, evidence: Evidence, usage: Sequence[Usage]) -> str | None:
    """Why the meter's own policy holds this window; None where it does not."""
    if meter.degraded is Degraded.HOLD and completeness(evidence) is Completeness.DEGRADED:
        return f"it is degraded ({_doubts(evidence)}) and the meter bills whole windows only; release it"
    counted = sum(row.quantity for row in usage)
    lacking, word = evidence.unseen, "an estimated"
    if evidence.bound is not None:
        # The bound holds for each consumer, those who were not seen counting included; what is billed is theirs.
        lacking, word = evidence.bound * max(1, len({row.consumer for row in usage})), "at most"
    for limit, said in (
        (meter.tolerated, "" if meter.tolerated is None else decimal_text(meter.tolerated)),
        (
            None if meter.tolerated_share is None else meter.tolerated_share * meter.quantity(counted),
            "" if meter.tolerated_share is None else f"{percent(meter.tolerated_share)} of what was counted",
        ),
    ):
        if limit is not None and meter.quantity(lacking) > limit:
            return (
                f"it lacks {word} {decimal_text(meter.quantity(lacking))} {meter.unit} beside "
                f"{decimal_text(meter.quantity(counted))} counted, and the meter tolerates {said}; "
                "release it, or tolerate more"
            )
    return None


def _doubts(evidence: Evidence) -> str:
    found = [
        (evidence.scrapes_expected - evidence.scrapes_seen, "scrapes missed"),
        (evidence.resets, "resets"),
        (evidence.baselines, "unproven births"),
        (evidence.uncovered // 1000, "seconds without a sample"),
        (evidence.unseen, "steps estimated unseen"),
    ]
    return ", ".join(f"{count} {what}" for count, what in found if count > 0)


def percent(share: Fraction) -> str:
    return f"{fixed_point(share * 100, 1)} %"
