"""The slow, obvious way to price: one number at a time, in fractions, straight from the words of the card.

Shares no code with the engine. What it says, the engine must say for every row of every column.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

F = Fraction


class Refused(Exception):
    """The card does not say what this usage costs."""


def half_away(x: Fraction, decimals: int) -> Fraction:
    scaled = abs(x) * 10**decimals
    whole = math.floor(scaled + F(1, 2))
    return F(whole if x >= 0 else -whole, 10**decimals)


def packages(q: Fraction, size: Fraction, rounding: str) -> Fraction:
    if rounding == "exact":
        return q / size
    return F(math.ceil(q / size) if rounding == "up" else math.floor(q / size))


def price(card: dict[str, Any], q: Fraction, how: dict[str, str]) -> Fraction:
    """What `q` units cost by the card's price alone."""
    model = card["model"]
    if model == "per_unit":
        return q * F(card["unit_amount"])
    if model == "dynamic":
        return q * F(card["multiplier"])
    if model == "flat_fee":
        return F(card["amount"])
    if model == "package":
        count = packages(q, F(card["package_size"]), card.get("package_rounding", "up"))
        return (
            max(count, F(card["minimum_packages"])) * F(card["package_amount"])
            if card.get("minimum_packages")
            else count * F(card["package_amount"])
        )
    if model == "components":
        amount = F(0)
        for each in card["components"]:
            amount = amount * F(each["value"]) if each["model"] == "factor" else amount + price(each, q, how)
        return amount
    if model == "percentage":
        return events(card, [q]) if q else F(0)
    tiers = [
        (
            None if tier["up_to"] is None else F(tier["up_to"]),
            F(tier.get("rate_percent", 0)) / 100 + F(tier.get("unit_amount", 0)),
            F(tier.get("flat_amount", 0)),
            tier,
        )
        for tier in card["tiers"]
    ]
    end = tiers[-1][0]
    exclusive = how.get("tier_boundary") == "up_to_exclusive"
    beyond = how.get("beyond_last_tier", "error")
    if end is not None and (q > end or (exclusive and q == end)):
        if beyond == "error":
            raise Refused
        if beyond == "unbilled":
            q = min(q, end)
    if q <= 0:
        _, unit, flat, tier = tiers[0]
        return in_tier(q, unit, flat if how.get("zero_usage_flat") == "charge_first_tier" else F(0), tier)
    if model in ("volume", "stairstep") and not card.get("additive"):
        for up_to, unit, flat, tier in tiers:
            if up_to is None or q < up_to or (q == up_to and not exclusive):
                return in_tier(q, unit, flat, tier)
        return in_tier(q, *tiers[-1][1:])
    amount, lower = F(0), F(0)
    for number, (up_to, unit, flat, tier) in enumerate(tiers, 1):
        if number > 1 and (q < lower or (q == lower and not exclusive)):
            break
        open_ended = up_to is None or (number == len(tiers) and beyond == "last_tier_price")
        upper = q if open_ended else min(q, up_to)
        amount += in_tier(upper - lower, unit, flat, tier)
        lower = upper if up_to is None else up_to
    return amount


def in_tier(inside: Fraction, unit: Fraction, flat: Fraction, tier: dict[str, Any]) -> Fraction:
    amount = inside * unit + flat
    if "package_size" in tier:
        amount += packages(inside, F(tier["package_size"]), "up") * F(tier["package_amount"])
    return min(amount, F(tier["tier_cap"])) if tier.get("tier_cap") is not None else amount


def events(card: dict[str, Any], amounts: list[Fraction]) -> Fraction:
    """A percentage over events, walked one by one."""
    total, passed = F(0), F(0)
    free_events, free_amount = int(card.get("free_events", 0)), F(card.get("free_amount", 0))
    for number, amount in enumerate(amounts, 1):
        before, passed = passed, passed + amount
        paid, free = amount, False
        if free_events and number > free_events:
            pass
        elif free_amount:
            paid = max(passed - free_amount, F(0)) - max(before - free_amount, F(0))
            free = passed <= free_amount
        else:
            free = bool(free_events)
        if free:
            continue
        cost = paid * F(card["rate_percent"]) / 100 + F(card.get("fixed_per_event", 0))
        if "per_event_min" in card:
            cost = max(cost, F(card["per_event_min"]))
        if "per_event_max" in card:
            cost = min(cost, F(card["per_event_max"]))
        total += cost
    return total


def billable(card: dict[str, Any], converted: Fraction) -> Fraction:
    for key in ("included_units", "usage_discount"):
        if converted > 0:
            converted = max(converted - F(card.get(key, 0)), F(0))
    return converted


def converted(card: dict[str, Any], q: Fraction, how: dict[str, str]) -> Fraction:
    if how.get("negative_usage") == "clamp_to_zero":
        q = max(q, F(0))
    conversion = card.get("unit_conversion")
    if conversion is None:
        return q
    factor = F(conversion["factor"])
    q = q / factor if conversion["op"] == "divide" else q * factor
    match conversion["rounding"]:
        case "ceil":
            return F(math.ceil(q))
        case "floor":
            return F(math.floor(q))
        case "half_up":
            return half_away(q, 0)
    return q


def adjusted(card: dict[str, Any], amount: Fraction, final: bool = True) -> Fraction:
    for discount in card.get("discounts", ()):
        value = F(discount["value"])
        if discount["type"] == "percentage":
            amount -= amount * min(value, F(100)) / 100
        elif amount > 0:
            amount = max(amount - value, F(0))
    if "maximum" in card:
        amount = min(amount, F(card["maximum"]))
    if final and "minimum" in card:
        amount = max(amount, F(card["minimum"]))
    return amount * F(card.get("currency_conversion", 1))


def share(card: dict[str, Any]) -> Fraction:
    part = card.get("proration")
    return F(part["numerator"]) / F(part["denominator"]) if part else F(1)


def committed(
    promise: dict[str, Any], inside: Fraction, all_of_it: Fraction, promised: Fraction, final: bool
) -> Fraction:
    amount = inside + (all_of_it - inside) * F(promise["overage_factor"])
    return amount + max(promised - inside, F(0)) if promise["true_up"] and final else amount


def listed(card: dict[str, Any], q_converted: Fraction, how: dict[str, str], final: bool = True) -> Fraction:
    """By the list price for this part of a period, under what was promised."""
    q = billable(card, q_converted)
    amount, promise = price(card, q, how) * share(card), card.get("commitment")
    if promise is None:
        return amount
    if "amount" in promise:
        return committed(promise, min(amount, F(promise["amount"])), amount, F(promise["amount"]), final)
    units = F(promise["quantity"])
    promised = price(card, units, how) * share(card)
    return committed(promise, price(card, min(q, units), how) * share(card), amount, promised, final)


def owed(card: dict[str, Any], q_converted: Fraction, how: dict[str, str], final: bool = True) -> Fraction:
    return adjusted(card, listed(card, q_converted, how, final), final)


def quote(line: dict[str, Any]) -> tuple[Fraction, Fraction]:
    """Exact and rounded amount of a whole question."""
    card, usage, how = {"model": line["model"], **line["card"]}, line["usage"], line.get("semantics", {})
    decimals = {"JPY": 0, "USD": 2, "KWD": 3, "CLF": 4}[line["currency"]]
    amount = usage_amount(card, usage, how, decimals)
    for credit in card.get("credits", ()):
        amount -= min(F(credit), max(amount, F(0)))
    return amount, half_away(amount, decimals)


def usage_amount(card: dict[str, Any], usage: dict[str, Any], how: dict[str, str], decimals: int) -> Fraction:
    def one(q: Fraction, final: bool = True) -> Fraction:
        return owed(card, converted(card, q, how), how, final)

    if "cumulative_snapshots" in usage:
        snapshots = [F(q) for q in usage["cumulative_snapshots"]]
        billed = F(0)
        for number, q in enumerate(snapshots, 1):
            billed += half_away(one(q, number == len(snapshots)), decimals) - billed
        return billed
    if "periods" in usage:
        return sum((one(F(q)) for q in usage["periods"]), F(0))
    if "buckets" in usage:
        return adjusted(card, sum((listed(card, converted(card, F(q), how), how) for q in usage["buckets"]), F(0)))
    if "events" in usage:
        each = [converted(card, F(q), how) for q in usage["events"]]
        if card["model"] != "percentage":
            return one(sum((F(q) for q in usage["events"]), F(0)))
        amount, promise = events(card, each) * share(card), card.get("commitment")
        if promise:
            amount = committed(promise, min(amount, F(promise["amount"])), amount, F(promise["amount"]), True)
        return adjusted(card, amount)
    if "by_dimension" in usage:
        return matrix(card, usage, how)
    if "previous_quantity" in usage:
        before, now = F(usage["previous_quantity"]), F(usage["quantity"])
        if how.get("split_conversion") == "slice_converted_alone":
            total = converted(card, before, how) + converted(card, now, how)
        else:
            total = converted(card, before + now, how)
        due = owed(card, total, how, usage.get("final", True))
        if "previous_billed" in usage:
            return due - F(usage["previous_billed"])
        return due - one(before, final=False)
    if "quantities" in usage:
        return one(sum((F(q) for q in usage["quantities"]), F(0)))
    return one(F(usage["quantity"]))


def matrix(card: dict[str, Any], usage: dict[str, Any], how: dict[str, str]) -> Fraction:
    """Rows by their first cell; allowances of the whole are used up in the rows' order."""
    amount, used = F(0), F(0)
    for row in usage["by_dimension"]:
        cell = next((cell for cell in card["cells"] if cell["match"].items() <= row["dims"].items()), None)
        if cell is None:
            raise Refused
        q = F(row["usage"]["quantity"])
        left = billable(card, used + q) - billable(card, used)
        used += q
        amount += price(cell["price"], left, how) * share(card)
    return adjusted(card, amount)
