"""What a tax line of an issued paper says: its rate, and what is contained in the prices where nothing is added.

A line's title is part of what was hashed, so it says the same for ever. How much tax there is was decided by
`settlements`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from rating.core.invoices import LineItem
from rating.core.money import Money, exact, round_amount
from rating.core.taxation import Treatment

_RATE = re.compile(r" ([0-9.]+) %(, contained: (-?[0-9.]+))?\Z")


@dataclass(frozen=True, slots=True)
class TaxLine:
    title: str
    """Empty for a note."""
    percent: Fraction | None = None
    contained: Money | None = None
    """Of the prices; None where the tax was added to them."""
    note: str = ""
    """Why there is no tax, or what else must be printed."""
    treatment: str = ""
    """Of a note: reverse_charge, exempt or outside."""


def tax_line(line: LineItem) -> TaxLine:
    if line.card in set(Treatment):
        return TaxLine("", note=line.title, treatment="" if line.card == Treatment.STANDARD else line.card)
    found = _RATE.search(line.title.removesuffix(f", {line.settles.replace('/', ' line ')}"))
    if found is None:
        return TaxLine(line.title)
    contained = None if found[3] is None else round_amount(exact(found[3]), line.amount.currency)
    return TaxLine(line.card or line.title, exact(found[1]), contained)
