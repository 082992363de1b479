"""Whether these servers are fit to bill a meter from: one diagnosis per thing looked at, with what to do.

Decides nothing about usage, and never raises for what it finds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.asking import Asking
from rating.adapters.prometheus.client import Client
from rating.adapters.prometheus.decoding import BuildReply, VectorReply
from rating.core.counters import EXACT, WHOLE, Accounts, unknown
from rating.core.meters import Kind, Lifetime, Matcher, Meter
from rating.core.periods import Period, milliseconds
from rating.core.vocabulary import PROCESS_START, UP
from rating.errors import EdgeError
from rating.ports import Diagnosis, Verdict

_LOOK = 60 * 60_000
"""Milliseconds of the past that are looked at: a meter that was silent for an hour deserves a word."""
_RECENT = timedelta(hours=1)
_DAY = 24 * 60 * 60_000
_SKEW = timedelta(seconds=5)
_SHOWN = 3


class Servers(Protocol):
    clients: list[Client]

    def asking(self, meter: Meter) -> Asking: ...

    def way(self, meter: Meter, window: Period) -> Diagnosis: ...

    @property
    def retention(self) -> timedelta | None: ...


def examine(
    servers: Servers, meters: Sequence[Meter], *, longest_period: timedelta, now: datetime
) -> Iterator[Diagnosis]:
    """The servers first; the meters only when every server answers."""
    well = True
    for client in servers.clients:
        for found in _server(client, now):
            well = well and found.verdict is not Verdict.FAIL
            yield found
    if not well:
        return
    yield from _retention(servers, meters, longest_period)
    for meter in meters:
        yield servers.way(meter, Period(now - _RECENT, now))
        for one in meter.of_each_metric:
            about = f"{meter.name} ({one.metric})" if meter.added_metrics else meter.name
            try:
                for found in _meter(servers.asking(one), one, milliseconds(now)):
                    yield found._replace(about=about)
            except EdgeError as error:
                yield Diagnosis(Verdict.FAIL, about, str(error))


def _server(client: Client, now: datetime) -> Iterator[Diagnosis]:
    about = client.shown_url
    try:
        reply = client.query(VectorReply, "vector(1)", milliseconds(now))
    except EdgeError as error:
        yield Diagnosis(Verdict.FAIL, about, str(error).removeprefix(f"{about}: "))
        return
    version = ""
    with suppress(EdgeError):  # not every dialect tells
        version = client.get(BuildReply, "/api/v1/status/buildinfo").data.version
    yield Diagnosis(Verdict.OK, about, f"reachable{f', version {version}' if version else ''}")
    if reply.warnings:
        yield Diagnosis(
            Verdict.FAIL,
            about,
            f"doubts its own answers: {'; '.join(reply.warnings)}",
            "windows are held until every part of it answers again",
        )
    if client.server_time is not None:
        # The Date header is cut to whole seconds.
        skew = abs(client.server_time - now)
        if skew > _SKEW:
            hint = "set both clocks by NTP: windows close by this machine's clock and are filled by that one's"
            yield Diagnosis(Verdict.WARN, about, f"its clock differs from ours by {skew.total_seconds():.0f} s", hint)
        else:
            yield Diagnosis(Verdict.OK, about, "its clock agrees with ours")


def _retention(servers: Servers, meters: Sequence[Meter], longest_period: timedelta) -> Iterator[Diagnosis]:
    about = servers.clients[0].shown_url
    retention = servers.retention
    if retention is None:
        hint = "make sure that samples are kept longer than the longest billing period"
        yield Diagnosis(Verdict.WARN, about, "does not tell how long it keeps samples", hint)
        return
    needed = max((meter.window + meter.settling for meter in meters), default=timedelta(0))
    if retention < needed:
        hint = "raise --storage.tsdb.retention.time: windows would be gone before they are closed"
        yield Diagnosis(Verdict.FAIL, about, f"keeps samples for {retention}, a window needs {needed}", hint)
    elif retention < longest_period:
        hint = "windows are closed in time, but a month cannot be verified or collected late; raise the retention"
        what = f"keeps samples for {retention.days} days, the longest billing period has {longest_period.days}"
        yield Diagnosis(Verdict.WARN, about, what, hint)
    else:
        yield Diagnosis(Verdict.OK, about, f"keeps samples for {retention.days} days")


def _meter(ask: Asking, meter: Meter, now: int) -> Iterator[Diagnosis]:
    counters = queries.counters(meter)
    readings = ask.readings(queries.last(counters, _LOOK), now)
    if not len(readings.numbers):
        yield _absent(ask, meter, now)
        return
    roster = ask.names.roster
    identities = len(np.unique(roster.identity[readings.numbers]))
    accounts = np.unique(roster.account[readings.numbers]).tolist()
    consumers = {roster.ledger.accounts[number][0] for number in accounts} - {""}
    yield Diagnosis(
        Verdict.OK, meter.name, f"{identities} {meter.kind}s of {len(consumers)} consumers in the last hour"
    )
    if meter.consumers:
        yield from _lookup(meter, consumers)
    yield from _labels(ask, meter, now)
    yield from _targets(ask, meter, now)
    yield from _survivors(ask, meter, now)
    yield from _interval(ask, meter, now)
    largest = int(readings.units.max())
    if largest >= EXACT // 2:
        hint = "restart the counter's process, or give the meter fewer digits"
        what = f"a counter stands at {largest}; beyond {EXACT} its float64 loses single units and windows are held"
        yield Diagnosis(Verdict.WARN, meter.name, what, hint)


def _lookup(meter: Meter, values: Collection[str]) -> Iterator[Diagnosis]:
    """Values of the consumer's label that stand for nobody; shown as their usage is kept."""
    accounts = Accounts(meter)
    nobody = [value for value in values if accounts.consumer(value) == unknown(value)]
    if nobody:
        found = sorted({unknown(value) for value in nobody})
        shown = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        what = f"values of {meter.consumer} that stand for no consumer: {len(nobody)}; their usage is kept for {shown}"
        yield Diagnosis(Verdict.WARN, meter.name, what, "name them under the meter's consumers")


def _absent(ask: Asking, meter: Meter, now: int) -> Diagnosis:
    if meter.where and len(ask.vector(queries.last(meter.metric, _LOOK), now)[0]):
        patterns = ", ".join(f"{matcher.label}: {matcher.pattern}" for matcher in meter.where)
        return Diagnosis(
            Verdict.FAIL,
            meter.name,
            f"{meter.metric} is there, but no series of it matches where {patterns}",
            "patterns are anchored at both ends, write 2.. and not 2",
        )
    hint = "check the metric's name in the catalogue (counters end in _total), and that its targets are scraped"
    return Diagnosis(Verdict.FAIL, meter.name, f"no series of {meter.metric} in the last hour", hint)


def _labels(ask: Asking, meter: Meter, now: int) -> Iterator[Diagnosis]:
    for label in (meter.consumer, *meter.dimensions):
        nameless = (*meter.where, Matcher(label, ""))
        missing = len(ask.vector(queries.last(queries.selector(meter.metric, nameless), _LOOK), now)[0])
        if not missing:
            continue
        if label == meter.consumer:
            hint = "usage without it is kept for nobody; set the label where the request is counted"
            yield Diagnosis(Verdict.FAIL, meter.name, f"{missing} series have no consumer label {label}", hint)
        else:
            yield Diagnosis(Verdict.WARN, meter.name, f"{missing} series have no dimension label {label}")


def _targets(ask: Asking, meter: Meter, now: int) -> Iterator[Diagnosis]:
    labels = meter.target_labels
    targets = queries.labelled(queries.counters(meter), labels, _LOOK)
    wanted = [(UP, "whether scrapes were missed cannot be judged")]
    if meter.kind is Kind.COUNTER and meter.lifetime is Lifetime.PROCESS:
        wanted.insert(0, (PROCESS_START, "restarts to a higher value and births cannot be proven"))
    for metric, consequence in wanted:
        lacking = queries.without(targets, labels, queries.labelled(metric, labels, _LOOK))
        found = sorted(" ".join(pair.get(label, "") for label in labels) for pair, _ in ask.values(lacking, now, WHOLE))
        if found:
            shown = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
            hint = f"{consequence}; expose it beside the counter, or set the meter's target labels or lifetime"
            yield Diagnosis(Verdict.WARN, meter.name, f"no {metric} for {len(found)} targets: {shown}", hint)
        else:
            yield Diagnosis(Verdict.OK, meter.name, f"{metric} is there for every target")


def _survivors(ask: Asking, meter: Meter, now: int) -> Iterator[Diagnosis]:
    """Counters that outlive their process under a meter that says they do not: each restart would bill them whole."""
    if meter.kind is Kind.GAUGE or meter.lifetime is not Lifetime.PROCESS:
        return
    went_on = queries.went_on(queries.counters(meter), PROCESS_START, meter.target_labels, _DAY)
    found = sorted(
        " ".join(labels.get(label, "") for label in meter.target_labels)
        for labels, _ in ask.values(went_on, now, WHOLE)
    )
    if found:
        shown = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        yield Diagnosis(
            Verdict.WARN,
            meter.name,
            f"restarted within a day while its counters went on instead of falling: {shown}",
            "if they outlive their process (a DurableStore, a leader's state), write `counter: durable`, "
            "or each restart bills the whole total again",
        )


def _interval(ask: Asking, meter: Meter, now: int) -> Iterator[Diagnosis]:
    """The pace of the last ten scrapes of one target against the meter's scrape interval."""
    declared = meter.scrape_interval // timedelta(milliseconds=1)
    span = 10 * declared
    paces = []
    targets = queries.labelled(queries.counters(meter), meter.target_labels, span)
    for labels, _ in ask.values(targets, now, WHOLE)[:_SHOWN]:
        among = {label: {labels.get(label, "")} for label in meter.target_labels}
        for series in ask.samples(
            queries.samples(queries.selector(UP, among=among), span), now, WHOLE, now - span, now + 1
        ):
            if len(series.times) > 2:
                paces.append((series.times[-1] - series.times[0]) / (len(series.times) - 1))
    if not paces:
        return
    pace = min(paces)
    if abs(pace - declared) > declared / 5:
        hint = f"set scrape_interval: {round(pace / 1000)}s in the meter, or its windows look half empty or too full"
        what = f"scraped every {pace / 1000:.0f} s, the meter says {declared / 1000:.0f} s"
        yield Diagnosis(Verdict.WARN, meter.name, what, hint)
    else:
        yield Diagnosis(Verdict.OK, meter.name, f"scraped every {declared / 1000:.0f} s as declared")
