"""Hypothesis strategies for cards of the neutral form: every price model, and everything that may stand around it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def decimals(most: int, places: int, least: int = 0) -> st.SearchStrategy[str]:
    """Decimal text with up to `places` decimals."""
    return st.builds(
        lambda units, cut: f"{units // 10**cut}.{units % 10**cut:0{cut}d}" if cut else str(units),
        st.integers(least, most),
        st.integers(0, places),
    )


money = decimals(5_000, 4)
quantities = st.one_of(
    st.integers(0, 60).map(str), decimals(6_000, 3), st.sampled_from(["0", "10", "20", "30", "29.999", "100"])
)
signed = st.one_of(quantities, quantities.map(lambda q: q if q == "0" else f"-{q}"))
percents = st.sampled_from(["0", "1", "12.5", "33.333", "50", "100"])


@st.composite
def tiers(draw: st.DrawFn, unit: str = "unit_amount", flats: bool = True, extras: bool = True) -> list[dict[str, Any]]:
    bounds = sorted(draw(st.sets(st.sampled_from([1, 2, 5, 10, 20, 30, 50, "0.5", "12.25"]), max_size=4)), key=float)
    steps: list[dict[str, Any]] = []
    for bound in [*bounds, None] if draw(st.booleans()) or not bounds else bounds:
        step: dict[str, Any] = {"up_to": bound}
        if unit:
            step[unit] = draw(money)
        if flats:
            step["flat_amount"] = draw(money)
        if extras and unit == "unit_amount" and draw(st.integers(0, 4)) == 0:
            step |= {"package_size": draw(st.sampled_from(["1", "3", "7.5"])), "package_amount": draw(money)}
        if extras and draw(st.integers(0, 4)) == 0:
            step["tier_cap"] = draw(money)
        steps.append(step)
    return steps


def tiered(model: str, **options: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda steps: {"model": model, "tiers": steps}, tiers(**options))


def _per_unit() -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda amount: {"model": "per_unit", "unit_amount": amount}, money)


prices: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "per_unit": _per_unit(),
    "dynamic": st.builds(lambda factor: {"model": "dynamic", "multiplier": factor}, money),
    "graduated": tiered("graduated"),
    "volume": tiered("volume"),
    "stairstep": tiered("stairstep", unit="", extras=False),
    "graduated_percentage": tiered("graduated_percentage", unit="rate_percent"),
    "package": st.fixed_dictionaries(
        {
            "model": st.just("package"),
            "package_size": st.sampled_from(["1", "3", "10", "2.5", "1000"]),
            "package_amount": money,
        },
        optional={"package_rounding": st.sampled_from(["up", "down", "exact"]), "minimum_packages": st.integers(0, 3)},
    ),
    "components": st.builds(
        lambda parts: {"model": "components", "components": parts},
        st.lists(
            st.one_of(
                _per_unit(),
                tiered("graduated"),
                st.builds(lambda factor: {"model": "factor", "value": factor}, decimals(30, 1)),
            ),
            min_size=1,
            max_size=4,
        ),
    ),
}
percentage = st.fixed_dictionaries(
    {"model": st.just("percentage"), "rate_percent": percents},
    optional={
        "fixed_per_event": money,
        "free_events": st.integers(0, 4),
        "free_amount": decimals(300, 1),
        "per_event_min": decimals(20, 1),
        "per_event_max": decimals(200, 1, least=20),
    },
)
around = st.fixed_dictionaries(
    {},
    optional={
        "unit_conversion": st.fixed_dictionaries(
            {
                "op": st.sampled_from(["multiply", "divide"]),
                "factor": st.sampled_from(["1.2", "3", "10", "0.5"]),
                "rounding": st.sampled_from(["none", "ceil", "floor", "half_up"]),
            }
        ),
        "included_units": quantities,
        "usage_discount": quantities,
        "discounts": st.lists(
            st.one_of(
                st.builds(lambda value: {"type": "percentage", "value": value}, percents),
                st.builds(lambda value: {"type": "fixed", "value": value}, money),
            ),
            max_size=3,
        ),
        "proration": st.builds(
            lambda part, whole: {"basis": "days_ratio", "numerator": part, "denominator": whole},
            st.integers(0, 31),
            st.sampled_from([28, 30, 31, 365]),
        ),
        "commitment": st.builds(
            lambda promise, factor, true_up: {**promise, "overage_factor": factor, "true_up": true_up},
            st.one_of(
                st.builds(lambda amount: {"amount": amount}, decimals(3_000, 2)),
                st.builds(lambda units: {"quantity": str(units)}, st.integers(0, 50)),
            ),
            st.sampled_from(["1", "1.5", "2"]),
            st.booleans(),
        ),
        "maximum": decimals(3_000, 2),
        "minimum": decimals(3_000, 2),
        "currency_conversion": st.sampled_from(["1", "0.92", "151.37"]),
        "credits": st.lists(decimals(3_000, 2), max_size=3),
    },
)
semantics = st.fixed_dictionaries(
    {},
    optional={
        "zero_usage_flat": st.sampled_from(["charge_first_tier", "skip"]),
        "tier_boundary": st.sampled_from(["up_to_exclusive", "up_to_inclusive"]),
        "beyond_last_tier": st.sampled_from(["error", "unbilled", "last_tier_price"]),
        "negative_usage": st.just("clamp_to_zero"),
        "split_conversion": st.just("slice_converted_alone"),
    },
)
currencies = st.sampled_from(["USD", "JPY", "KWD", "CLF"])


def usages(events_only: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """Every form usage comes in."""
    several = st.lists(quantities, min_size=1, max_size=5)
    by_events = st.builds(lambda each: {"events": each}, st.lists(quantities, max_size=6))
    if events_only:
        return by_events
    return st.one_of(
        st.builds(lambda q: {"quantity": q}, signed),
        st.builds(lambda each: {"quantities": each}, several),
        st.builds(lambda each: {"buckets": each}, several),
        st.builds(lambda each: {"periods": each}, several),
        st.builds(lambda each: {"cumulative_snapshots": each}, several),
        st.fixed_dictionaries(
            {"quantity": signed, "previous_quantity": quantities},
            optional={"final": st.booleans(), "previous_billed": money},
        ),
        by_events,
    )
