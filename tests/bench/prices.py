"""How fast a five-tier graduated price is: ours, a Decimal loop, float64 and pandas with Decimal objects, in one run.

Every contender rates the same quantities; the loops get a sample of them, as they would take minutes. All exact ones
must agree to the last digit with ours on that sample, and floats are shown with the lines they get wrong.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from rating.core.column import Column
from rating.core.money import Rounding
from rating.core.prices.graduated import Graduated
from rating.core.tiers import Tier, Tiers

TITLE = "Rate a five-tier graduated price"

TIERS = ((1_000, "0.0125"), (10_000, "0.0095"), (100_000, "0.0071"), (1_000_000, "0.0049"), (None, "0.0031"))
PRICE = Graduated(
    Tiers(tuple(Tier(None if up_to is None else Fraction(up_to), Fraction(price)) for up_to, price in TIERS))
)

CLOUDKITTY = 137_000
"""Points a second on two cores, measured on a machine of this size in another run: the order of magnitude counts."""


def rows(quick: bool) -> list[tuple[str, str]]:
    sizes = [10**4, 10**5, 10**6] if quick else [10**4, 10**5, 10**6, 10**7]
    quantities = np.random.default_rng(7).lognormal(10, 2.5, sizes[-1]).astype(np.int64)
    found: list[tuple[str, str]] = []
    speed = 0.0
    for size in sizes:
        column = Column.of_units(quantities[:size])
        seconds, rated = best(lambda column=column: PRICE.amounts(column), 5)
        speed = size / seconds
        found.append((f"ours, {size:,} rows", f"{seconds * 1e3:,.2f} ms, {speed / 1e6:,.0f} million rows a second"))
        del rated
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found.append(("peak memory of this process", f"{memory:,.0f} MiB"))
    sample = quantities[: 20_000 if quick else 100_000]
    ours = PRICE.amounts(Column.of_units(sample)).fractions()
    for name, contender, count in (
        ("Decimal loop", decimal_loop, len(sample)),
        ("pandas, Decimal objects", pandas_objects, len(sample) // 5),
    ):
        seconds, amounts = best(lambda contender=contender, count=count: contender(sample[:count]), 1)
        if [Fraction(amount) for amount in amounts] != ours[:count]:
            raise AssertionError(f"{name} and the engine disagree on the same {count} rows")
        found.append(
            (name, f"{count / seconds / 1e6:,.2f} million rows a second; ours is {speed / (count / seconds):,.0f}x")
        )
    found.append(
        (
            "CloudKitty's hashmap core, not run here",
            f"{CLOUDKITTY / 1e6:.3f} million points a second when it was measured; ours is {speed / CLOUDKITTY:,.0f}x",
        )
    )
    seconds, floats = best(lambda: float_columns(quantities), 3)
    cents = PRICE.amounts(Column.of_units(quantities)).whole(Fraction(1, 100), Rounding.HALF_UP).units
    wrong = floats != cents
    found.append(
        (
            "float64 columns",
            f"{len(quantities) / seconds / 1e6:,.0f} million rows a second; {int(wrong.sum()):,} of "
            f"{len(quantities):,} lines a cent wrong, {int(np.abs(floats - cents).sum()):,} cents in all; ours 0",
        )
    )
    return found


def best(work: Callable[[], Any], times: int) -> tuple[float, Any]:
    """The shortest of several runs, and what it returned."""
    shortest, result = float("inf"), None
    for _ in range(times):
        began = time.perf_counter()
        result = work()
        shortest = min(shortest, time.perf_counter() - began)
    return shortest, result


def _decimal(quantity: Decimal) -> Decimal:
    amount, lower = Decimal(0), Decimal(0)
    for up_to, price in TIERS:
        upper = quantity if up_to is None else min(quantity, Decimal(up_to))
        if upper <= lower:
            break
        amount += (upper - lower) * Decimal(price)
        lower = upper
    return amount


def decimal_loop(quantities: np.ndarray[Any, np.dtype[np.int64]]) -> list[Decimal]:
    with localcontext(prec=40):
        return [_decimal(Decimal(quantity)) for quantity in quantities.tolist()]


def pandas_objects(quantities: np.ndarray[Any, np.dtype[np.int64]]) -> list[Decimal]:
    """What a data frame of Decimals does: object columns, clipped tier by tier."""
    with localcontext(prec=40):
        column = pd.Series([Decimal(quantity) for quantity in quantities.tolist()], dtype=object)
        amount = pd.Series([Decimal(0)] * len(column), dtype=object)
        lower = Decimal(0)
        for up_to, price in TIERS:
            upper = column if up_to is None else column.where(column < Decimal(up_to), Decimal(up_to))
            inside = upper - lower
            amount = amount + inside.where(inside > 0, Decimal(0)) * Decimal(price)
            lower = lower if up_to is None else Decimal(up_to)
        return list(amount)


def float_columns(quantities: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Whole cents per line, half up as floats see halves."""
    column = quantities.astype(np.float64)
    amount, lower = np.zeros(len(column)), 0.0
    for up_to, price in TIERS:
        upper = column if up_to is None else np.minimum(column, float(up_to))
        amount += np.maximum(upper - lower, 0.0) * float(price)
        lower = lower if up_to is None else float(up_to)
    return np.floor(amount * 100 + 0.5).astype(np.int64)
