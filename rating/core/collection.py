"""Who collects from which customer: the gateway that names it, or the one that takes everybody else.

Decides which one. How each of them is reached is written in the file of gateways, and never in the book.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Collection:
    """Customers by the names of their gateways."""

    ordinary: str = ""
    """Takes customers that none names; empty where there is none."""
    named: Mapping[str, str] = field(default_factory=dict)
    """The gateway's name by customer."""

    def gateway_of(self, customer: str) -> str:
        """Empty where nobody collects from it."""
        return self.named.get(customer, self.ordinary)
