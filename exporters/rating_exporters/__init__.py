"""Per-consumer usage counters beside your traffic: counters that never lie to the bill.

Public names only; nothing happens on import.
"""

from .asgi import UsageMiddleware
from .batch import Batch, PushFailed, push, write_textfile
from .billable import Response, by_header, by_status
from .calls import Call, counted
from .consumers import Request, first_of, from_header, from_jwt_claim, from_state
from .django import django_endpoint
from .durable import DurableStore
from .durable_counter import DurableCounter
from .estimate import TokenEstimate
from .exposition import metrics_app, metrics_wsgi_app
from .guard import Guard
from .inference import InferenceMetrics
from .queries import CountedConnection, QueryMetrics
from .records import DamagedStore
from .render import render
from .routes import endpoints_of
from .tokens import TokenReader, Tokens, tokens_of
from .usage import UsageMetrics
from .vocabulary import ANONYMOUS, OVERFLOW, UNKNOWN, UNMATCHED
from .wsgi import UsageMiddlewareWSGI

__all__ = [
    "ANONYMOUS",
    "OVERFLOW",
    "UNKNOWN",
    "UNMATCHED",
    "Batch",
    "Call",
    "CountedConnection",
    "DamagedStore",
    "DurableCounter",
    "DurableStore",
    "Guard",
    "InferenceMetrics",
    "PushFailed",
    "QueryMetrics",
    "Request",
    "Response",
    "TokenEstimate",
    "TokenReader",
    "Tokens",
    "UsageMetrics",
    "UsageMiddleware",
    "UsageMiddlewareWSGI",
    "by_header",
    "by_status",
    "counted",
    "django_endpoint",
    "endpoints_of",
    "first_of",
    "from_header",
    "from_jwt_claim",
    "from_state",
    "metrics_app",
    "metrics_wsgi_app",
    "push",
    "render",
    "tokens_of",
    "write_textfile",
]
