"""Which known gateways and frameworks a server has counters of, and whether they name consumers. Bills nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from rating.adapters.prometheus.client import Client
from rating.adapters.prometheus.decoding import VectorReply
from rating.core.periods import milliseconds
from rating.core.presets import Preset
from rating.errors import EdgeError
from rating.ports import Diagnosis, Verdict
from rating.specs.presets import pasted

_LOOK = "1h"


def recognise(
    clients: Sequence[Client], presets: Mapping[str, Preset], billed: Collection[str], now: datetime
) -> Iterator[Diagnosis]:
    """A diagnosis for each preset whose metric is scraped and not among the `billed` ones; none for what is absent.

    Presets that share a metric (gateways built on the same proxy) are named together. Never raises for what it finds.
    """
    of_metric: dict[str, list[Preset]] = {}
    for preset in presets.values():
        if preset.metric not in billed:
            of_metric.setdefault(preset.metric, []).append(preset)
    for metric, alike in of_metric.items():
        for client in clients:
            try:
                yield from _found(client, metric, alike, milliseconds(now))
            except EdgeError as error:
                yield Diagnosis(Verdict.WARN, client.shown_url, f"could not be asked for {metric}: {error}")


def _found(client: Client, metric: str, alike: Sequence[Preset], at: int) -> Iterator[Diagnosis]:
    series = _count(client, f"count(last_over_time({metric}[{_LOOK}]))", at)
    if not series:
        return
    about = " or ".join(preset.name for preset in alike)
    consumer, flag = alike[0].consumer, alike[0].flag
    # Both are names of ours: no text from outside is in the query.
    consumers = _count(
        client, f'count(count by ({consumer}) (last_over_time({metric}{{{consumer}!=""}}[{_LOOK}])))', at
    )
    if not consumers:
        hint = flag or f"set the label {consumer} where the request is counted"
        what = f"{metric} is there with {series} series, and its label {consumer} is empty: nobody could be billed"
        yield Diagnosis(Verdict.WARN, about, what, hint)
        return
    unnamed = _count(client, f'count(last_over_time({metric}{{{consumer}=""}}[{_LOOK}]))', at)
    if unnamed:
        what = f"{unnamed} of {series} series of {metric} have no {consumer}"
        yield Diagnosis(Verdict.WARN, about, what, flag or "their usage would be kept for nobody")
    text = pasted(alike[0], short=True).strip().replace("\n", " ")
    whom = "1 consumer" if consumers == 1 else f"{consumers} consumers"
    what = f"{metric} is there for {whom} and no meter counts it"
    traps = f"; mind: {alike[0].traps[0]}" if alike[0].traps else ""
    yield Diagnosis(Verdict.OK, about, what, f"paste {text} or see `rating presets show {alike[0].name}`{traps}")


def _count(client: Client, query: str, at: int) -> int:
    answer = client.query(VectorReply, query, at).data.result
    return int(float(answer[0].value[1])) if answer else 0
