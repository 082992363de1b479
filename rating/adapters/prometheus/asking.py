"""One window's conversation with the servers behind a meter: sends each question to all of them and joins the answers.

Keeps what the evidence needs: the queries with their instants, and every warning. Decides nothing.
"""

from __future__ import annotations

import re
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from rating.adapters.prometheus.client import Client, milliseconds
from rating.adapters.prometheus.decoding import AnyReply, MatrixReply, NamesReply, RawReply, VectorReply, labels, pairs
from rating.adapters.prometheus.pieces import MOST_SERIES, Piece, cut
from rating.core.counters import (
    SOURCE,
    Column,
    Integers,
    Name,
    Naming,
    Roster,
    Samples,
    Scale,
    Series,
    doubles,
    quantised,
)
from rating.core.meters import Meter
from rating.core.windows import Query
from rating.errors import EdgeDisagrees

METRIC_NAME = "__name__"
Doubles = NDArray[Any]
"""float64."""
Spelling = Callable[[bytes], dict[str, str]]
"""Reads the labels of a series from the bytes of an answer."""

# Prometheus puts remarks about a query's style among the warnings of some versions; they do not doubt the answer.
_REMARK = "PromQL info:"
_LONG = 300


class Names:
    """Label sets seen so far, as raw bytes, and the numbers of their series. Lasts from window to window."""

    _LIMIT = 3_000_000

    def __init__(self, meter: Meter, most: int = MOST_SERIES) -> None:
        self.most = most
        self.pieces: list[Piece] = []
        """How the meter is cut into questions, once that is known."""
        self.calm = True
        """Whether no series fell or ended early in the last window: it is likely that none does in the next one."""
        self._planned = 0
        self.roster = Roster(Naming(meter))
        self._metric = meter.metric
        self._named = f'"__name__":"{meter.metric}",'.encode()
        self._known: dict[tuple[object, ...], dict[bytes, int]] = {}
        self._spelled: list[tuple[bytes, int, Spelling]] = []
        self._guard = threading.Lock()

    @property
    def full(self) -> bool:
        """Pods come and go, and their label sets would pile up for ever: then it is time to begin anew."""
        return sum(map(len, self._known.values())) >= self._LIMIT

    def plan(self, label: str, sizes: Mapping[str, int]) -> None:
        """Cut the meter anew when it has outgrown its pieces: `sizes` are its series by the values of the label."""
        total = sum(sizes.values())
        if not self.pieces or 2 * total > 3 * self._planned:
            self.pieces, self._planned = cut(label, sizes, self.most), max(total, self.most)

    def of_json(self, server: int, raws: Iterable[bytes]) -> Integers:
        """The numbers of series by their labels in an answer's JSON."""
        # Functions differ in whether they keep the metric's name.
        return self.of(server, (raw.replace(self._named, b"", 1) for raw in raws), labels)

    def of(self, server: int, raws: Iterable[bytes], spelling: Spelling) -> Integers:
        """The numbers of series by their labels, in whatever spelling."""
        known = self._known.setdefault((server, spelling), {})
        found = array("q")
        for raw in raws:
            number = known.get(raw)
            if number is None:
                number = known[raw] = self._enter(server, raw, spelling)
            found.append(number)
        return np.array(found, dtype=np.int64)

    def _enter(self, server: int, raw: bytes, spelling: Spelling) -> int:
        with self._guard:
            number = self.roster.number(labelled(spelling(raw), server))
            if number == len(self._spelled):
                self._spelled.append((raw, server, spelling))
            return number

    def number(self, found: Mapping[str, str]) -> int:
        """The number of the series with these labels."""
        own = {name: value for name, value in found.items() if name != SOURCE}
        return int(self.of_json(int(found.get(SOURCE, 0)), [msgspec.json.encode(own)])[0])

    def labels(self, number: int) -> dict[str, str]:
        """The labels of a series."""
        raw, server, spelling = self._spelled[number]
        return labelled({METRIC_NAME: self._metric, **spelling(raw)}, server)

    def name(self, number: int) -> Name:
        return self.roster.naming.name(self.labels(number))


def labelled(found: dict[str, str], server: int) -> dict[str, str]:
    """The labels of a series with the server it came from: what two servers hold alike, two replicas saw."""
    if server:
        found[SOURCE] = str(server)
    return found


class _Instant(NamedTuple):
    """A query at one instant."""

    kind: type[VectorReply] | type[MatrixReply] | type[RawReply]
    text: str
    at: int
    shown: str

    def ask(self, client: Client) -> Any:
        return client.query(self.kind, self.text, self.at, self.shown)


class _Range(NamedTuple):
    text: str
    start: int
    end: int
    step: int

    def ask(self, client: Client) -> MatrixReply:
        return client.query_range(MatrixReply, self.text, self.start, self.end, self.step)


class _Values(NamedTuple):
    """The values of a label."""

    label: str
    series: str
    start: int
    end: int

    def ask(self, client: Client) -> NamesReply:
        span = {"match[]": self.series, "start": f"{self.start / 1000:.3f}", "end": f"{self.end / 1000:.3f}"}
        return client.get(NamesReply, f"/api/v1/label/{self.label}/values", span)


_Question = _Instant | _Range | _Values


class Asking:
    """Raises as Client does; one server that fails fails the question, for a part is not the whole."""

    def __init__(
        self, clients: Sequence[Client], names: Names, scale: Scale, hides: str = "", pool: Executor | None = None
    ) -> None:
        """`hides`: a label whose values are secrets, such as API keys; evidence and errors show none of them."""
        self.clients = clients
        self.names = names
        self.scale = scale
        self._secret = re.compile(rf'\b{hides}(=|!)~"(?:[^"\\]|\\.)*"') if hides else None
        self._pool = pool
        self._begun: dict[_Question, list[Future[Any]]] = {}
        self.queries: list[Query] = []
        self.warnings: dict[str, None] = {}
        self.infos: dict[str, None] = {}

    def begin(self, text: str, at: int) -> None:
        """Send a question whose answer is a vector ahead of the moment when it is needed."""
        self._begin(_Instant(VectorReply, text, at, self.shown(text)))

    def begin_raw(self, text: str, at: int) -> None:
        """The same for `samples`."""
        self._begin(_Instant(MatrixReply, text, at, self.shown(text)))

    def begin_instants(self, text: str, start: int, end: int, step: int) -> None:
        self._begin(_Range(text, start, end, step))

    def begin_label_values(self, label: str, series: str, start: int, end: int) -> None:
        self._begin(_Values(label, series, start, end))

    def _begin(self, question: _Question) -> None:
        if self._pool is not None and question not in self._begun:
            self._begun[question] = [self._pool.submit(question.ask, client) for client in self.clients]

    def _answers(self, question: _Question) -> Iterator[tuple[int, Any]]:
        """What each server answers, in order; asked now where it was not begun."""
        begun = self._begun.pop(question, None)
        for server, client in enumerate(self.clients):
            yield server, self._kept(question.ask(client) if begun is None else begun[server].result())

    def end(self) -> None:
        """Leave no question of this conversation behind on a server: after a failure some may still be on their way."""
        begun = [future for futures in self._begun.values() for future in futures if not future.cancel()]
        self._begun.clear()
        wait(begun)

    def readings(self, text: str, at: int) -> Column:
        """A vector of counter readings in units of the meter."""
        numbers, values = self.vector(text, at)
        return Column(numbers, self.units(text, values, self.scale))

    def vector(self, text: str, at: int) -> tuple[Integers, Doubles]:
        """A vector as it comes: the number of each series and its value."""
        numbers, values = [np.empty(0, dtype=np.int64)], [np.empty(0)]
        for server, reply in self._vectors(text, at):
            items = reply.data.result
            numbers.append(self.names.of_json(server, (bytes(item.metric) for item in items)))
            values.append(self._doubles(text, [item.value[1] for item in items]))
        return np.concatenate(numbers), np.concatenate(values)

    def values(self, text: str, at: int, scale: Scale) -> list[tuple[dict[str, str], int]]:
        """A vector of anything: labels and value in whole units of the scale."""
        result = []
        for server, reply in self._vectors(text, at):
            items = reply.data.result
            found = self.units(text, self._doubles(text, [item.value[1] for item in items]), scale).tolist()
            result += [(labelled(labels(item.metric), server), value) for item, value in zip(items, found, strict=True)]
        return result

    def raw(self, text: str, at: int, since: int, before: int) -> Samples:
        """Raw samples of counters with since <= t < before: servers disagree about the ends of a range, so it is cut
        here."""
        found = []
        for server, reply in self._answers(_Instant(RawReply, text, at, self.shown(text))):
            items = reply.data.result
            numbers = self.names.of_json(server, (bytes(item.metric) for item in items))
            try:
                counts, seconds, values = pairs([item.values for item in items])
            except (ValueError, msgspec.DecodeError) as error:
                raise self._unbillable(text, error) from error
            # Prometheus writes milliseconds as seconds with three decimals.
            times = np.rint(seconds * 1000).astype(np.int64)
            inside = (times >= since) & (times < before)
            if self.clients[server].dialect.shows_markers:
                inside &= ~np.isnan(values)
            passed = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(inside)))
            bounds = passed[np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))]
            some = np.diff(bounds) > 0
            bounds = np.append(bounds[:-1][some], bounds[-1])
            found.append(Samples(numbers[some], bounds, times[inside], values[inside]))
            self.note(text, at, len(items))
        return Samples.joined(found)

    def samples(self, text: str, at: int, scale: Scale, since: int, before: int) -> list[Series]:
        """Raw samples of anything, in whole units of the scale."""
        series = []
        for server, reply in self._answers(_Instant(MatrixReply, text, at, self.shown(text))):
            for item in reply.data.result:
                times = np.rint(np.array([seconds for seconds, _ in item.values]) * 1000).astype(np.int64)
                inside = (times >= since) & (times < before)
                found = self._doubles(text, [value for _, value in item.values])
                if self.clients[server].dialect.shows_markers:
                    inside &= ~np.isnan(found)
                if inside.any():
                    units = self.units(text, found[inside], scale).tolist()
                    series.append(Series(labelled(labels(item.metric), server), times[inside].tolist(), units))
            self.note(text, at, len(reply.data.result))
        return series

    def instants(self, text: str, start: int, end: int, step: int) -> list[int]:
        """The steps of a range query at which anything answered, on any server."""
        found: set[int] = set()
        for _, reply in self._answers(_Range(text, start, end, step)):
            found.update(milliseconds(seconds) for item in reply.data.result for seconds, _ in item.values)
            self.note(text, end, len(reply.data.result))
        return sorted(found)

    def label_values(self, label: str, series: str, start: int, end: int) -> set[str]:
        return {name for _, reply in self._answers(_Values(label, series, start, end)) for name in reply.data}

    def units(self, text: str, values: Doubles, scale: Scale) -> Integers:
        """Values in whole units of the scale; raises EdgeDisagrees for what no counter can hold."""
        try:
            return quantised(values, scale)
        except ValueError as error:
            raise self._unbillable(text, error) from error

    def _doubles(self, text: str, values: Sequence[str]) -> Doubles:
        try:
            return doubles(values)
        except ValueError as error:
            raise self._unbillable(text, error) from error

    def _unbillable(self, text: str, error: Exception) -> EdgeDisagrees:
        return EdgeDisagrees(f"{self.shown(text)}: {error}; a counter cannot be billed from that")

    def _vectors(self, text: str, at: int) -> Iterable[tuple[int, VectorReply]]:
        self.begin(text, at)
        for server, reply in self._answers(_Instant(VectorReply, text, at, self.shown(text))):
            self.note(text, at, len(reply.data.result))
            yield server, reply

    def note(self, text: str, at: int, series: int) -> None:
        """For the evidence. A query that names hundreds of counters is cut: it is kept for every window, for years."""
        text = self.shown(text)
        shown = text if len(text) <= _LONG else f"{text[:_LONG]}... ({len(text)} characters)"
        self.queries.append(Query(shown, at, series))

    def shown(self, text: str) -> str:
        """The query as evidence and errors may show it."""
        if self._secret is None:
            return text
        return self._secret.sub(lambda match: f'{match[0].partition("~")[0]}~"..."', text)

    def _kept(self, reply: AnyReply) -> AnyReply:
        for warning in reply.warnings:
            (self.infos if warning.startswith(_REMARK) else self.warnings)[warning] = None
        self.infos.update(dict.fromkeys(reply.infos))
        return reply
