"""The catalogue: meters, plans and subscriptions that belong together, and the digest of the text they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.notices import Routing
from rating.core.parties import NOBODY, Parties
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription
from rating.core.taxation import TaxRule


@dataclass(frozen=True, slots=True)
class Catalogue:
    currency: Currency
    meters: Mapping[str, Meter]
    plans: Mapping[str, Plan]
    subscriptions: tuple[Subscription, ...] = ()
    zone: ZoneInfo = ZoneInfo("UTC")
    parties: Parties = NOBODY
    """Who sells and who pays, as they are printed on papers."""
    notifications: Routing = field(default_factory=Routing)
    tax_rules: tuple[TaxRule, ...] = ()
    """Who is taxed how, in place of the plans' taxes; the first that fits."""
    text: str = ""
    """The source it was compiled from, canonical enough to compile again."""
    digest: str = field(default="")
    """SHA-256 of `text`; names this version of the catalogue in the book."""
