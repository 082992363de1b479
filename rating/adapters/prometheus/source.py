"""The port `CounterSource` over Prometheus's query API: opens the servers, refuses what they no longer retain, and
reads a window again when its data changed under the reading, and waits where their clock says so. The questions
themselves are `gathering`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rating.adapters.collector import collector_paused
from rating.adapters.prometheus.asking import Asking, Names
from rating.adapters.prometheus.client import Asked, Client, unheard
from rating.adapters.prometheus.decoding import RuntimeReply
from rating.adapters.prometheus.dialects import DIALECTS
from rating.adapters.prometheus.examination import examine
from rating.adapters.prometheus.gauges import Gauges
from rating.adapters.prometheus.pieces import MOST_SERIES
from rating.adapters.prometheus.questions import Carried, Questions
from rating.adapters.prometheus.recognition import recognise
from rating.adapters.prometheus.remote.choice import Remote, Unserved, Way, compiled, probe, served
from rating.adapters.prometheus.vectors import Vectors
from rating.core.counters import Readings, scale_of, together
from rating.core.meters import Kind, Meter
from rating.core.periods import EPOCH, Period, milliseconds
from rating.core.presets import Preset
from rating.errors import EdgeRefused, EdgeUnavailable, SamplesMissing, WindowStillOpen
from rating.ports import Diagnosis, Verdict

if TYPE_CHECKING:
    from rating.adapters.prometheus.remote.streamed import Streamed

_ATTEMPTS = 3
_SKEW = timedelta(seconds=5)
"""By how much clocks may differ without a word."""
_MOST_AHEAD = 7
"""Windows read in one stream with the one asked for."""
_READINGS_AHEAD = 200_000
"""And of how many series, summed over these windows: a bound on memory."""


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
        read: str = Way.PROMQL,
        queries_at_once: int = 2,
        most_series: int = MOST_SERIES,
        asked: Asked = unheard,
    ) -> None:
        """`read` chooses the way samples are read; `queries_at_once` is how much one server is asked for at a time,
        `most_series` how many series one question is for, `asked` hears how each question ended."""
        if read not in set(Way):
            raise EdgeRefused(f"way {read!r} of reading is unknown; RATING_PROMETHEUS_READ is one of {', '.join(Way)}")
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
                asked=asked,
            )
            for url in urls
        ]
        self._way = Way(read)
        self._unserved = ""
        """Why remote read was given up, once it was."""
        self._probed = False
        self._most_series = most_series
        self._pool = ThreadPoolExecutor(queries_at_once * len(self.clients), "prometheus")
        self._names: dict[Meter, Names] = {}
        self._carried: dict[Meter, Carried] = {}
        self._foreseen: dict[Meter, Sequence[Period]] = {}
        self._ahead: dict[Meter, Sequence[Streamed | Vectors]] = {}
        """Windows of which something was asked together with an earlier one, the next one first."""
        self._retention: timedelta | None = None
        self._retention_asked = False

    def asking(self, meter: Meter) -> Asking:
        """A fresh conversation about a meter."""
        names = self._names.get(meter)
        if names is None or names.full:
            names = self._names[meter] = Names(meter, self._most_series)
            # Numbers of series mean nothing among other names.
            self._carried.pop(meter, None)
        return self._asking(meter, names)

    def _asking(self, meter: Meter, names: Names) -> Asking:
        hides = meter.consumer if meter.consumers else ""
        return Asking(self.clients, names, scale_of(meter), hides=hides, pool=self._pool)

    def foresee(self, windows: Mapping[Meter, Sequence[Period]]) -> None:
        self._foreseen = {one: own for meter, own in windows.items() for one in meter.of_each_metric}
        for meter in list(self._ahead):
            _close(self._ahead.pop(meter))

    def read(self, meter: Meter, window: Period) -> Readings:
        return together([self._read(one, window) for one in meter.of_each_metric])

    def remote(self, meter: Meter, window: Period) -> Remote:
        """How this meter is read by remote read. Raises Unserved: not at all, or it was not asked for."""
        if self._way is Way.PROMQL:
            raise Unserved("RATING_PROMETHEUS_READ asks for PromQL")
        if self._unserved:
            raise Unserved(self._unserved)
        found = served(self.clients, self._dialect, meter, window)
        if self._way is Way.AUTO and not compiled():
            raise Unserved("the extra `fast` is not installed (numba), and without it PromQL is faster")
        if not self._probed:
            try:
                for client in self.clients:
                    probe(client, milliseconds(window.end))
            except Unserved as error:
                self._unserved = str(error)
                raise
            self._probed = True
        return found

    def way(self, meter: Meter, window: Period) -> Diagnosis:
        """Which way this meter is read, and why not by remote read."""
        if meter.kind is Kind.GAUGE:
            return Diagnosis(Verdict.OK, meter.name, "read by PromQL, as every gauge is")
        try:
            self.remote(meter.of_each_metric[0], window)
        except (Unserved, EdgeUnavailable) as error:
            if self._way is Way.REMOTE:
                hint = "set RATING_PROMETHEUS_READ=auto to read it by PromQL"
                return Diagnosis(Verdict.FAIL, meter.name, f"cannot be read by remote read: {error}", hint)
            return Diagnosis(Verdict.OK, meter.name, f"read by PromQL: {error}")
        slow = "" if compiled() else "install the extra `fast` (numba): without it chunks are decoded slowly"
        return Diagnosis(Verdict.WARN if slow else Verdict.OK, meter.name, "read by remote read", slow)

    def _gathering(self, meter: Meter, window: Period) -> Questions:
        if meter.kind is Kind.GAUGE:
            return Gauges(self.asking(meter), meter, window)
        ahead = self._ahead.pop(meter, ())
        if not (ahead and ahead[0].window == window):
            _close(ahead)
            ahead = ()
        ready = ahead[0] if ahead else None
        following = self._following(meter, window)
        if isinstance(ready, Vectors):
            return self._vectors(meter, ready, following)
        if ready is not None:
            self._ahead[meter] = ahead[1:]
            return ready
        try:
            found = self.remote(meter, Period(window.start, following[-1].end) if following else window)
        except Unserved as error:
            if self._way is Way.REMOTE:
                raise EdgeRefused(f"RATING_PROMETHEUS_READ asks for remote read, but {error}") from error
            return self._vectors(meter, Vectors(self.asking(meter), meter, window), following)
        from rating.adapters.prometheus.remote.streamed import Streamed  # its libraries are an extra

        asking = self.asking(meter)
        # Under the same names, for they share a stream.
        later = [Streamed(self._asking(meter, asking.names), meter, one, found.external) for one in following]
        self._ahead[meter] = later
        return Streamed(asking, meter, window, found.external, later)

    def _vectors(self, meter: Meter, vectors: Vectors, following: Sequence[Period]) -> Vectors:
        vectors.carry(self._carried.get(meter))
        vectors.following = [Vectors(self.asking(meter), meter, one) for one in following[:1]]
        self._ahead[meter] = vectors.following
        return vectors

    def _following(self, meter: Meter, window: Period) -> list[Period]:
        """The windows after this one to be read in one stream with it: those foreseen that follow without a gap and are
        settled, as many as memory should hold."""
        names = self._names.get(meter)
        if not self._foreseen or names is None or not len(names.roster):
            return []
        clocks = [client.server_time for client in self.clients if client.server_time is not None]
        most = min(_MOST_AHEAD, _READINGS_AHEAD // (len(names.roster) * len(self._foreseen)))
        found: list[Period] = []
        end = window.end
        for one in self._foreseen.get(meter, ()):
            if len(found) < most and one.start == end and _over(meter, one) <= min(clocks, default=EPOCH):
                found.append(one)
                end = one.end
        return found

    def _gathered(self, meter: Meter, window: Period) -> tuple[Questions, Readings]:
        gathering = self._gathering(meter, window)
        try:
            with collector_paused(), closing(gathering):
                return gathering, gathering.read()
        except EdgeRefused as error:
            if self._way is not Way.AUTO or not gathering.streamed:
                raise
            # What the probe could not know, such as an encoding of its own or a limit: from here on the other way.
            self._unserved = str(error)
        return self._gathered(meter, window)

    def _read(self, meter: Meter, window: Period) -> Readings:
        """The readings of a meter of one metric."""
        self._check_retention(window)
        for attempt in range(_ATTEMPTS):
            gathering, readings = self._gathered(meter, window)
            counts = readings.counts
            if counts is None or counts.clean + counts.rebuilt == counts.all or attempt == _ATTEMPTS - 1:
                break
            self._carried.pop(meter, None)
            _close(self._ahead.pop(meter, ()))
        self._carried.pop(meter, None)
        self._check_ended(meter, window)
        carried = gathering.carried()
        if carried is not None and not readings.warnings:
            self._carried[meter] = carried
        return readings

    def recognise(self, presets: Mapping[str, Preset], billed: Collection[str], now: datetime) -> Iterator[Diagnosis]:
        return recognise(self.clients, presets, billed, now)

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
        needed = _over(meter, window)
        for client in self.clients:
            if client.server_time is not None and client.server_time < needed:
                raise WindowStillOpen(
                    f"{client.shown_url}: its clock says {client.server_time:%Y-%m-%d %H:%M:%S} and the window ends "
                    f"{window.end:%Y-%m-%d %H:%M:%S} and settles for {meter.settling}"
                )


def _close(ahead: Sequence[Questions]) -> None:
    for one in ahead:
        one.close()


def _over(meter: Meter, window: Period) -> datetime:
    """When a server's clock shows that the window has ended and settled."""
    return window.end + meter.settling - min(_SKEW, meter.settling)


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
