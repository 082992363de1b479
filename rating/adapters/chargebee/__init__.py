"""Chargebee as a gateway: our papers under our own numbers, or our usage. Needs the extra `chargebee`."""

from rating.adapters.chargebee.gateway import ChargebeeGateway
from rating.adapters.chargebee.usage import ChargebeeUsage

__all__ = ["ChargebeeGateway", "ChargebeeUsage"]
