"""The port `CounterSource` over Prometheus's query API: opens the servers, refuses what they no longer retain, and
reads a window again when its data changed under the reading, and waits where their clock says so. The questions
themselves are `gathering`.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from rating.adapters.prometheus.asking import Asking, Names
from rating.adapters.prometheus.client import Client
from rating.adapters.prometheus.decoding import RuntimeReply
from rating.adapters.prometheus.dialects import DIALECTS
from rating.adapters.prometheus.examination import examine
from rating.adapters.prometheus.gathering import Carried, Gathering
from rating.core.counters import Naming, Readings, scale_of, together
from rating.core.meters import Kind, Meter
from rating.core.periods import Period
from rating.errors import EdgeRefused, SamplesMissing, WindowStillOpen
from rating.ports import Diagnosis

_ATTEMPTS = 3
_SKEW = timedelta(seconds=5)
"""By how much clocks may differ without a word."""


class PrometheusSource:
    """Counters behind one or several Prometheus servers; several are replicas or shards of one whole."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        timeout: float = 120.0,
        bearer_token: str = "",
        username: str = "",
        password: str = "",
        tenant: str = "",
        ca_file: str = "",
        client_cert: str = "",
        client_key: str = "",
        dialect: str = "prometheus",
    ) -> None:
        if dialect not in DIALECTS:
            raise EdgeRefused(
                f"dialect {dialect!r} is unknown; RATING_PROMETHEUS_DIALECT is one of {', '.join(DIALECTS)}"
            )
        if not urls:
            raise EdgeRefused("no Prometheus to read from; set RATING_PROMETHEUS_URL")
        self._dialect = DIALECTS[dialect]
        headers = {"X-Scope-OrgID": tenant} if tenant else {}
        if bearer_token:
            headers["Authorization"] = f"Bearer {bearer_token}"
        self.clients = [
            Client(
                url,
                timeout=timeout,
                dialect=self._dialect,
                headers=headers,
                auth=(username, password) if username else None,
                verify=ca_file or True,
                cert=(client_cert, client_key) if client_cert and client_key else client_cert or None,
            )
            for url in urls
        ]
        self._names: dict[Meter, Names] = {}
        self._carried: dict[Meter, Carried] = {}
        self._retention: timedelta | None = None
        self._retention_asked = False

    def asking(self, meter: Meter) -> Asking:
        """A fresh conversation about a meter."""
        names = self._names.get(meter)
        if names is None or names.full:
            names = self._names[meter] = Names(Naming(meter))
            # Numbers of series mean nothing among other names.
            self._carried.pop(meter, None)
        return Asking(self.clients, names, scale_of(meter), hides=meter.consumer if meter.consumers else "")

    def read(self, meter: Meter, window: Period) -> Readings:
        return together([self._read(one, window) for one in meter.of_each_metric])

    def _read(self, meter: Meter, window: Period) -> Readings:
        """The readings of a meter of one metric."""
        self._check_retention(window)
        for attempt in range(_ATTEMPTS):
            gathering = Gathering(self.asking(meter), meter, window, self._carried.get(meter))
            with _collector_paused():
                readings = gathering.gauges() if meter.kind is Kind.GAUGE else gathering.read()
            counts = readings.counts
            if counts is None or counts.clean + counts.rebuilt == counts.all or attempt == _ATTEMPTS - 1:
                break
            self._carried.pop(meter, None)
        self._carried.pop(meter, None)
        self._check_ended(meter, window)
        if not readings.warnings:
            self._carried[meter] = gathering.carried()
        return readings

    def examine(self, meters: Sequence[Meter], *, longest_period: timedelta, now: datetime) -> Iterator[Diagnosis]:
        return examine(self, meters, longest_period=longest_period, now=now)

    @property
    def retention(self) -> timedelta | None:
        """How long the servers keep samples, by time; None where they do not tell. The shortest of several."""
        if not self._retention_asked and self._dialect.tells_retention:
            told = []
            for client in self.clients:
                try:
                    info = client.get(RuntimeReply, "/api/v1/status/runtimeinfo").data
                except EdgeRefused:
                    continue
                span = duration(info.storage_retention.partition(" ")[0])
                if span is not None:
                    told.append(span)
            self._retention = min(told, default=None)
            self._retention_asked = True
        return self._retention

    def _check_retention(self, window: Period) -> None:
        # Asked first: only an answer tells the server's clock, and ours is not to be trusted about its samples.
        retention = self.retention
        clock = next((client.server_time for client in self.clients if client.server_time is not None), None)
        if retention is not None and clock is not None and window.start < clock - retention:
            raise SamplesMissing(
                f"{self.clients[0].shown_url} keeps samples for {_days(retention)} and the window began "
                f"{_days(clock - window.start)} ago: what is left of it cannot be trusted; "
                "collect sooner, or raise --storage.tsdb.retention.time"
            )

    def _check_ended(self, meter: Meter, window: Period) -> None:
        # After the answers, which told the server's clock a moment ago. What it has not lived through looks empty.
        needed = window.end + meter.settling - min(_SKEW, meter.settling)
        for client in self.clients:
            if client.server_time is not None and client.server_time < needed:
                raise WindowStillOpen(
                    f"{client.shown_url}: its clock says {client.server_time:%Y-%m-%d %H:%M:%S} and the window ends "
                    f"{window.end:%Y-%m-%d %H:%M:%S} and settles for {meter.settling}"
                )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A window is a hundred thousand small tuples and not one cycle: looking for cycles costs more than parsing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.1f}".removesuffix(".0") + " days"


_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\Z")


def duration(text: str) -> timedelta | None:
    """`15d`, `1y2w`, `36h`: Prometheus's spelling. None for anything else, such as a size."""
    match = _DURATION.match(text)
    if not text or match is None:
        return None
    years, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=365 * years + 7 * weeks + days, hours=hours, minutes=minutes, seconds=seconds)
