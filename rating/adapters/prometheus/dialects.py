"""How the servers that speak Prometheus's query API differ where billing would notice.

Each dialect is data: what is sent along with every query, and what may be asked of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Dialect:
    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Sent with every query."""
    tells_retention: bool = False
    """Whether /api/v1/status/runtimeinfo says how long samples are kept."""
    shows_markers: bool = False
    """Whether raw samples come with the markers that end a series, as NaN. It keeps no other NaN."""
    streams: bool = False
    """Whether it may serve remote read in streamed chunks."""
    tells_config: bool = False
    """Whether /api/v1/status/config says which external labels remote read adds."""


DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect("prometheus", tells_retention=True, streams=True, tells_config=True),
        # Thanos answers with what it could reach unless told not to; its deduplication switches between replicas and
        # can lose an increment, so the replicas are asked for and merged here.
        Dialect("thanos", {"partial_response": "false", "dedup": "false"}),
        # Its remote read adds no labels.
        Dialect("mimir", streams=True),
        # Cached rollups may miss samples that arrived late.
        Dialect("victoriametrics", {"nocache": "1"}, shows_markers=True),
    )
}
