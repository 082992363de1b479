"""One window's conversation with the servers behind a meter: sends each question to all of them and joins the answers.

Keeps what the evidence needs: the queries with their instants, and every warning. Decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rating.adapters.prometheus.client import Client, milliseconds
from rating.adapters.prometheus.decoding import AnyReply, MatrixReply, NamesReply, VectorReply, labels
from rating.core.counters import SOURCE, Name, Naming, Reading, Scale, Series, column
from rating.core.windows import Query
from rating.errors import EdgeDisagrees

# Prometheus puts remarks about a query's style among the warnings of some versions; they do not doubt the answer.
_REMARK = "PromQL info:"
_LONG = 300


class Names:
    """Label sets seen so far: raw bytes to a number for the series and its name. Lasts from window to window."""

    _LIMIT = 2_000_000

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._by_bytes: dict[tuple[int, bytes], tuple[int, Name]] = {}
        self._by_labels: dict[tuple[tuple[str, str], ...], int] = {}

    @property
    def full(self) -> bool:
        """Pods come and go, and their label sets would pile up for ever: then it is time to begin anew."""
        return len(self._by_bytes) >= self._LIMIT

    def of(self, server: int, raw: bytes) -> tuple[int, Name]:
        known = self._by_bytes.get((server, raw))
        if known is None:
            found = labelled(labels(raw), server)
            # Functions differ in whether they keep the metric's name: the number is that of the labels without it.
            key = tuple(sorted(pair for pair in found.items() if pair[0] != "__name__"))
            known = (self._by_labels.setdefault(key, len(self._by_labels)), self._naming.name(found))
            self._by_bytes[server, raw] = known
        return known


def labelled(found: dict[str, str], server: int) -> dict[str, str]:
    """The labels of a series with the server it came from: what two servers hold alike, two replicas saw."""
    if server:
        found[SOURCE] = str(server)
    return found


class Asking:
    """Raises as Client does; one server that fails fails the question, for a part is not the whole."""

    def __init__(self, clients: Sequence[Client], names: Names, scale: Scale, hides: str = "") -> None:
        """`hides`: a label whose values are secrets, such as API keys; evidence and errors show none of them."""
        self._clients = clients
        self._names = names
        self._scale = scale
        self._secret = re.compile(rf'\b{hides}=~"(?:[^"\\]|\\.)*"') if hides else None
        self.queries: list[Query] = []
        self.warnings: dict[str, None] = {}
        self.infos: dict[str, None] = {}

    def readings(self, text: str, at: int) -> dict[int, Reading]:
        """A vector of counter readings in units of the meter, by the number of their series."""
        result: dict[int, Reading] = {}
        for server, reply in self._vectors(text, at):
            items = reply.data.result
            values = _column(self._shown(text), [item.value[1] for item in items], self._scale)
            for item, value in zip(items, values, strict=True):
                key, name = self._names.of(server, bytes(item.metric))
                result[key] = Reading(name, value)
        return result

    def items(self, text: str, at: int) -> Iterator[tuple[int, Name, str]]:
        """A vector as it comes: each series' number, its name, and the text of its value."""
        for server, reply in self._vectors(text, at):
            for item in reply.data.result:
                yield *self._names.of(server, bytes(item.metric)), item.value[1]

    def values(self, text: str, at: int, scale: Scale) -> list[tuple[dict[str, str], int]]:
        """A vector of anything: labels and value in whole units of the scale."""
        result = []
        for server, reply in self._vectors(text, at):
            items = reply.data.result
            found = _column(self._shown(text), [item.value[1] for item in items], scale)
            result += [(labelled(labels(item.metric), server), value) for item, value in zip(items, found, strict=True)]
        return result

    def samples(self, text: str, at: int, scale: Scale, since: int, before: int) -> list[Series]:
        """Raw samples with since <= t < before: servers disagree about the ends of a range, so it is cut here."""
        result = []
        for server, client in enumerate(self._clients):
            reply = self._kept(client.query(MatrixReply, text, at, self._shown(text)))
            for item in reply.data.result:
                inside = [
                    (time, value)
                    for time, value in ((milliseconds(seconds), value) for seconds, value in item.values)
                    if since <= time < before and not (client.dialect.shows_markers and value == "NaN")
                ]
                if inside:
                    units = _column(self._shown(text), [value for _, value in inside], scale)
                    found = labelled(labels(item.metric), server)
                    result.append(Series(found, [time for time, _ in inside], units))
            self._note(text, at, len(reply.data.result))
        return result

    def instants(self, text: str, start: int, end: int, step: int) -> list[int]:
        """The steps of a range query at which anything answered, on any server."""
        found: set[int] = set()
        for client in self._clients:
            reply = self._kept(client.query_range(MatrixReply, text, start, end, step))
            found.update(milliseconds(seconds) for item in reply.data.result for seconds, _ in item.values)
            self._note(text, end, len(reply.data.result))
        return sorted(found)

    def label_values(self, label: str, series: str, start: int, end: int) -> set[str]:
        parameters = {"match[]": series, "start": f"{start / 1000:.3f}", "end": f"{end / 1000:.3f}"}
        path = f"/api/v1/label/{label}/values"
        return {name for client in self._clients for name in self._kept(client.get(NamesReply, path, parameters)).data}

    def _vectors(self, text: str, at: int) -> Iterable[tuple[int, VectorReply]]:
        for server, client in enumerate(self._clients):
            reply = self._kept(client.query(VectorReply, text, at, self._shown(text)))
            self._note(text, at, len(reply.data.result))
            yield server, reply

    def _note(self, text: str, at: int, series: int) -> None:
        """For the evidence. A query that names hundreds of counters is cut: it is kept for every window, for years."""
        text = self._shown(text)
        shown = text if len(text) <= _LONG else f"{text[:_LONG]}... ({len(text)} characters)"
        self.queries.append(Query(shown, at, series))

    def _shown(self, text: str) -> str:
        """The query as evidence and errors may show it."""
        if self._secret is None:
            return text
        return self._secret.sub(lambda match: f'{match[0].partition("=~")[0]}=~"..."', text)

    def _kept(self, reply: AnyReply) -> AnyReply:
        for warning in reply.warnings:
            (self.infos if warning.startswith(_REMARK) else self.warnings)[warning] = None
        self.infos.update(dict.fromkeys(reply.infos))
        return reply


def _column(text: str, values: Sequence[str], scale: Scale) -> list[int]:
    try:
        return column(values, scale)
    except ValueError as error:
        raise EdgeDisagrees(f"{text}: {error}; a counter cannot be billed from that") from error
