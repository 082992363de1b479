"""The named semantics of a question in the neutral form, and its words for rounding.

Each switch is a question the field answers in two ways; our own answer holds where a line says nothing. The switches
are explained in `core/prices/README.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

from rating.core.money import Rounding
from rating.core.tiers import Beyond, Upper
from rating.specs.neutral import Fields, words

ROUNDINGS = {
    "half_away_from_zero": Rounding.HALF_UP,
    "half_up": Rounding.HALF_UP,
    "half_even": Rounding.HALF_EVEN,
    "half_down": Rounding.HALF_DOWN,
    "up": Rounding.UP,
    "away_from_zero": Rounding.UP,
    "down": Rounding.DOWN,
    "toward_zero": Rounding.DOWN,
    "truncate": Rounding.DOWN,
    "ceil": Rounding.CEILING,
    "ceiling": Rounding.CEILING,
    "floor": Rounding.FLOOR,
}


@dataclass(frozen=True, slots=True)
class Switches:
    """The named semantics of one line; our own where it states none."""

    charge_at_zero: bool = False
    upper: Upper = Upper.INCLUSIVE
    beyond: Beyond = Beyond.REFUSE
    round_each_line: bool | None = None
    """None where the line does not say: then its model decides."""
    clamp_negative: bool = False
    convert_slices_alone: bool = False
    true_up_on_rounded: bool = False
    select_by_full_units: bool | None = None
    """None where the line does not say: then a full count, where it is given, selects."""


def switches(fields: Fields) -> Switches:
    # Defaults may be written out, as the words the field's comparison uses for them.
    found = Switches(
        charge_at_zero=fields.word("zero_usage_flat", {"charge_first_tier": True, "skip": False}, False),
        upper=fields.word(
            "tier_boundary",
            {
                "up_to_inclusive": Upper.INCLUSIVE,
                "up_to inclusive": Upper.INCLUSIVE,
                "inclusive": Upper.INCLUSIVE,
                "up_to_exclusive": Upper.EXCLUSIVE,
                "exclusive": Upper.EXCLUSIVE,
            },
            Upper.INCLUSIVE,
        ),
        beyond=fields.word("beyond_last_tier", {"error": Beyond.REFUSE, **words(Beyond)}, Beyond.REFUSE),
        round_each_line=fields.word("rounding_granularity", {"total": False, "per_line": True}, None),
        clamp_negative=fields.word("negative_usage", {"clamp_to_zero": True, "as_is": False, "as is": False}, False),
        convert_slices_alone=fields.word(
            "split_conversion",
            {"slice_converted_alone": True, "running_total": False, "running total": False},
            False,
        ),
        true_up_on_rounded=fields.word("true_up_on", {"rounded_usage": True, "exact": False}, False),
        select_by_full_units=fields.word("tier_selection", {"full_units": True, "quantity": False}, None),
    )
    fields.finish()
    return found
