"""Recurly as a gateway: one purchase for each invoice of ours. Needs the extra `recurly`."""

from rating.adapters.recurly.gateway import RecurlyGateway

__all__ = ["RecurlyGateway"]
