"""Every metric name, label name and reserved label value of this package, written once.

Decides spelling. Leaves what the numbers mean to the module that counts them.
"""

from __future__ import annotations

import re
from typing import Final

NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")  # metric and label names that every format carries as they are

REQUESTS: Final = "api_requests_total"
DURATION: Final = "api_request_duration_seconds"
REQUEST_BYTES: Final = "api_request_bytes_total"
RESPONSE_BYTES: Final = "api_response_bytes_total"
CONNECTION_SECONDS: Final = "api_connection_seconds_total"
OVERFLOWS: Final = "rating_exporters_overflow_total"
FAULTS: Final = "rating_exporters_faults_total"

TOKENS: Final = "llm_tokens_total"
INFERENCES: Final = "llm_inferences_total"
UNMETERED: Final = "llm_unmetered_responses_total"

ESTIMATED: Final = "llm_estimated_tokens_total"

QUERIES: Final = "queries_total"
ROWS: Final = "query_rows_total"
STALE: Final = "rating_exporters_stale_connections_total"

LOG_LINES: Final = "rating_exporters_log_lines_total"
LOG_TRUNCATIONS: Final = "rating_exporters_log_truncations_total"

EVENTS: Final = "events_total"
EVENT_QUANTITY: Final = "event_quantity_total"
EVENTS_READ: Final = "rating_exporters_events_read_total"
EVENTS_LOST: Final = "rating_exporters_events_lost_total"
EVENT_BACKLOG: Final = "rating_exporters_event_backlog"

CLOUD_REQUESTS: Final = "cloud_requests_total"
CLOUD_SHRUNK: Final = "rating_exporters_cloud_shrunk_total"
CLOUD_READ_UNTIL: Final = "rating_exporters_cloud_read_until_timestamp_seconds"

CONSUMER: Final = "consumer_id"
ENDPOINT: Final = "endpoint"
METHOD: Final = "method"
STATUS: Final = "status"
BILLABLE: Final = "billable"
MODEL: Final = "model"
CLOUD: Final = "cloud"
PRODUCT: Final = "product"

# Reserved label values wear angle brackets. A consumer id from outside that wears them too is answered with UNKNOWN,
# so nobody can send himself to a bucket that another rule prices at nothing.
ANONYMOUS: Final = "<anonymous>"  # no credential was shown
UNKNOWN: Final = "<unknown>"  # a credential was shown that belongs to nobody we know
UNMATCHED: Final = "<unmatched>"  # no route took the request
MOUNTED: Final = "<mounted>"  # the prefix of a mounted application that the outer routes cannot explain
OVERFLOW: Final = "<overflow>"  # a bound of the cardinality guard was reached
OTHER: Final = "<other>"  # a method or status outside HTTP's own lists

METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY", "WEBSOCKET", "CALL"}
)

CLIENT_CLOSED: Final = 499  # nginx's word: the client left before the response was complete
SERVER_BROKE: Final = 500


def reserved(value: str) -> bool:
    """Whether a label value wears the angle brackets of this package's own words."""
    return value.startswith("<") and value.endswith(">")


def cleaned(value: str) -> str:
    """The value as text that any exposition can carry: a lone surrogate would break the whole page, so it becomes ?."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode()
    return value
