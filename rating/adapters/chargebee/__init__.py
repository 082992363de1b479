"""Chargebee as a gateway: our papers under our own numbers. Needs the extra `chargebee`."""

from rating.adapters.chargebee.gateway import ChargebeeGateway

__all__ = ["ChargebeeGateway"]
