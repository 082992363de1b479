"""Recurly as a gateway: our papers as purchases, or our usage. Needs the extra `recurly`."""

from rating.adapters.recurly.gateway import RecurlyGateway
from rating.adapters.recurly.usage import RecurlyUsage

__all__ = ["RecurlyGateway", "RecurlyUsage"]
