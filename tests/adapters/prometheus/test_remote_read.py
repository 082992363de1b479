"""Remote read on a real Prometheus says what PromQL says; whatever goes wrong with it is told apart and explained."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import cramjam
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as some

from rating.adapters.prometheus import PrometheusSource
from rating.adapters.prometheus.client import Client
from rating.adapters.prometheus.dialects import DIALECTS
from rating.adapters.prometheus.remote import chunks
from rating.adapters.prometheus.remote.choice import external_labels
from rating.adapters.prometheus.remote.streams import read
from rating.adapters.prometheus.remote.wire import How, Matcher, question
from rating.core.counters import decide
from rating.core.meters import Lifetime, Meter
from rating.core.meters import Matcher as Where
from rating.core.periods import Period, milliseconds
from rating.core.windows import Closing
from rating.errors import EdgeDisagrees, EdgeError, EdgeRefused, EdgeUnavailable
from rating.ports import Verdict
from rating_demo import blocks
from rating_demo.faults import Outage, Replica, Restarts, Shape, Traffic, Unreachable
from rating_demo.openmetrics import Series
from rating_demo.parts import Prometheus
from rating_demo.scenarios import FIRST_DAY
from rating_demo.truth import World
from tests.adapters.prometheus import encoding
from tests.adapters.prometheus.encoding import double
from tests.adapters.prometheus.test_bad_answers import EMPTY, METER, WINDOW, Reply, body, server

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
SPAN = 4 * HOUR
CONFIG = "global: {scrape_interval: 15s, external_labels: {cluster: eu, zone: z1}}\n"
PAIR = "global: {scrape_interval: 15s, external_labels: {replica: a}}\n"
STREAMED = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"


def random_world(seed: int) -> World:
    """Any mixture of what happens to counters, each world under a metric and a job of its own."""
    rng = random.Random(seed)
    minutes = [timedelta(minutes=rng.randrange(5, 230)) for _ in range(8)]
    replicas = rng.choice(
        [(Replica(),), (Replica(),), (Replica("a"), Replica("b", 17 * SECOND)), (Replica("a"), Replica("b"))]
    )
    faults = (
        Outage(minutes[0], timedelta(seconds=rng.randrange(30, 4000)), rng.choice([None, replicas[0].name or None])),
        Unreachable(minutes[1], timedelta(seconds=rng.randrange(30, 4000)), 0),
    )
    shortest = rng.choice([90, 1200, 4000])
    restarts = Restarts(
        shortest * SECOND,
        (shortest + rng.choice([100, 3000])) * SECOND,
        2.5 * SECOND,
        renamed=rng.random() < 0.3,
        hidden=rng.random() < 0.3,
    )
    return World(
        seed=seed,
        start=FIRST_DAY,
        end=FIRST_DAY + SPAN,
        consumers={
            "acme": Traffic(rng.choice([900, 40, 3])),
            "birch": Traffic(60, Shape.BURSTY, begins=minutes[2]),
            'o"dd\\é': Traffic(20, begins=minutes[3]),
        },
        statuses={"200": 0.9, "500": 0.1},
        metric=f"calls_{seed}_total",
        job=f"job{seed}",
        interval=rng.choice([15, 60]) * SECOND,
        replicas=replicas,
        faults=faults[: rng.randrange(3)],
        restarts=rng.choice([None, restarts, restarts]),
        zero_initialised=rng.random() < 0.3,
        created_samples=rng.random() < 0.2,
        carried=rng.choice([0, 0, 12_345, 2**53 - 2000]),
        digits=0,
    )


WORLDS = [random_world(seed) for seed in range(12)]


def _own(world: World) -> Iterator[Series]:
    """Its series, and the server's own `up` under a name of its own."""
    for one in world.series():
        job = one.labels["job"]
        yield replace(one, labels={**one.labels, "job": job if job == world.job else f"{job}{world.seed}"})


def meter_of(world: World) -> Meter:
    return Meter(
        world.job,
        world.metric,
        world.consumer_label,
        ("endpoint",),
        where=(Where("status", "2.."),),
        window=20 * MINUTE,
        scrape_interval=world.interval,
        coverage=Fraction(0),
        lifetime=Lifetime.DURABLE if world.seed % 5 == 4 else Lifetime.PROCESS,
    )


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path, promtool: Path
) -> Iterator[Prometheus]:
    """All worlds in one server, which has external labels."""
    folder = tmp_path_factory.mktemp("remote-read")
    blocks.create((one for world in WORLDS for one in _own(world)), folder / "blocks", promtool)
    with Prometheus(folder, CONFIG, blocks=folder / "blocks", retention="100y") as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: f"world {world.seed}")
def test_both_ways_read_the_same(world: World, prometheus: Prometheus) -> None:
    """Usage, completeness, every count of the evidence, and the digest of the samples themselves; also where the
    windows to come are known, whose samples then come in one stream."""
    meter = meter_of(world)
    streamed = PrometheusSource([prometheus.url], read="remote")
    asked = PrometheusSource([prometheus.url], read="promql")
    foreseeing = [PrometheusSource([prometheus.url], read=way) for way in ("remote", "promql")]
    windows = list(Period(world.start, world.end + meter.window).windows(meter.window))
    for source in foreseeing:
        source.foresee({meter: windows})
    rows = 0
    for window in windows:
        one, other = (decide(meter, window, source.read(meter, window)) for source in (streamed, asked))
        ahead = [decide(meter, window, source.read(meter, window)) for source in foreseeing]
        assert ahead == [one, other]
        assert any(query.text.startswith("remote read ") for query in one.evidence.queries)
        assert not any(query.text.startswith("remote read ") for query in other.evidence.queries)
        one, other = (replace(found, evidence=replace(found.evidence, queries=())) for found in (one, other))
        assert one == other
        rows += len(one.usage) if isinstance(one, Closing) else 1
    assert rows > 5


def test_the_worlds_are_worth_comparing() -> None:
    """Several of each: replicas, restarts that show no fall, pods that change their name, births and outages."""
    assert sum(len(world.replicas) > 1 for world in WORLDS) > 2
    assert sum(bool(world.restarts and world.restarts.hidden) for world in WORLDS) > 1
    assert sum(bool(world.restarts and world.restarts.renamed) for world in WORLDS) > 1
    assert sum(bool(world.faults) for world in WORLDS) > 3


def stream(prometheus: Prometheus, world: World, low: int, high: int) -> dict[frozenset[Any], list[tuple[int, float]]]:
    client = Client(
        prometheus.url, timeout=30, dialect=DIALECTS["prometheus"], headers={}, auth=None, verify=True, cert=None
    )
    found = {}
    for block in read(client, [Matcher(How.EQUAL, "__name__", world.metric)], low, high, "a test"):
        _, _, _, _, bounds, times, values = block.decoded
        pairs = list(zip(times.tolist(), values.tolist(), strict=True))
        for raw, start, end in zip(block.heads, bounds[:-1], bounds[1:], strict=True):
            labels = chunks.labels(raw)
            assert (labels.pop("cluster"), labels.pop("zone")) == ("eu", "z1")
            found[frozenset(labels.items())] = pairs[start:end]
    return found


@pytest.mark.parametrize("cut", [0, 7 * 60_000 + 1])
def test_a_stream_holds_what_a_raw_range_query_shows(prometheus: Prometheus, cut: int) -> None:
    world = next(world for world in WORLDS if len(world.replicas) == 1 and world.restarts)
    low, high = milliseconds(world.start) + cut, milliseconds(world.end) - cut
    asked = requests.get(
        f"{prometheus.url}/api/v1/query",
        params={"query": f"{world.metric}[{high - low}ms]", "time": f"{(high - 1) / 1000:.3f}"},
        timeout=30,
    ).json()["data"]["result"]
    raw = {
        frozenset((name, value) for name, value in one["metric"].items()): [
            (round(time * 1000), float(value)) for time, value in one["values"] if low <= round(time * 1000) < high
        ]
        for one in asked
    }
    streamed = stream(prometheus, world, low, high)
    assert {labels: samples for labels, samples in streamed.items() if samples} == raw
    assert sum(map(len, raw.values())) > 1000


def test_a_server_whose_frames_are_tiny_is_read_alike(prometheus: Prometheus, tmp_path: Path, promtool: Path) -> None:
    """Every series takes several frames."""
    world = WORLDS[0]
    blocks.create(world.series(), tmp_path / "blocks", promtool)
    flags = ["--storage.remote.read-max-bytes-in-frame=200"]
    with Prometheus(tmp_path, CONFIG, blocks=tmp_path / "blocks", retention="100y", flags=flags) as tiny:
        span = milliseconds(world.start), milliseconds(world.end)
        assert stream(tiny, world, *span) == stream(prometheus, world, *span)


def test_the_doctor_says_which_way_is_used_and_why(prometheus: Prometheus) -> None:
    meter, at = meter_of(WORLDS[0]), WORLDS[0].end

    def said(**settings: str) -> tuple[Verdict, str]:
        source = PrometheusSource([prometheus.url], **settings)  # type: ignore[arg-type]
        found = [one for one in source.examine([meter], longest_period=HOUR, now=at) if "read by" in one.what]
        return found[0].verdict, found[0].what

    assert said(read="auto") == (Verdict.OK, "read by remote read")
    assert said(read="promql") == (Verdict.OK, "read by PromQL: RATING_PROMETHEUS_READ asks for PromQL")
    assert said(read="auto", dialect="thanos") == (Verdict.OK, "read by PromQL: thanos serves no remote read")
    verdict, what = said(read="remote", dialect="thanos")
    assert (verdict, what) == (Verdict.FAIL, "cannot be read by remote read: thanos serves no remote read")


def test_a_label_that_is_external_as_well_is_read_by_promql(
    tmp_path: Path, prometheus_binary: Path, promtool: Path
) -> None:
    """`replica` is on the stored series of a pair, and external on this server: whose it is could not be told."""
    world = replace(WORLDS[0], replicas=(Replica("a"), Replica("b")), faults=(), restarts=None)
    blocks.create(world.series(), tmp_path / "blocks", promtool)
    window = Period(world.start + HOUR, world.start + HOUR + 20 * MINUTE)
    with Prometheus(tmp_path, PAIR, blocks=tmp_path / "blocks", retention="100y") as pair:
        with pytest.raises(EdgeRefused, match="has a label replica of its own beside the external one"):
            PrometheusSource([pair.url], read="remote").read(meter_of(world), window)
        readings = PrometheusSource([pair.url], read="auto").read(meter_of(world), window)
    assert not any(query.text.startswith("remote read ") for query in readings.queries)


# ---- what a server may answer instead -----------------------------------------------------------------------------

SAMPLES = [(1_790_812_800_000 + 15_000 * n, double(7.0 * n)) for n in range(240)]
LABELS = {"__name__": "api_requests_total", "consumer_id": "c1", "instance": "one", "job": "api"}
FRAME = encoding.frame(encoding.message(LABELS, [encoding.chunk(SAMPLES[:120]), encoding.chunk(SAMPLES[120:])]))


def chunked(*parts: bytes, end: bool = True) -> Reply:
    """As Prometheus sends it: every part flushed by itself."""

    def reply(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Content-Type", STREAMED)
        handler.send_header("Transfer-Encoding", "chunked")
        # Said, because HTTP/1.1 goes on with a connection otherwise.
        handler.send_header("Connection", "close")
        handler.end_headers()
        for part in parts:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        if end:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return reply


def as_mimir(answer: Reply) -> Reply:
    """Answers remote read so, and everything else as an empty server; the probe finds nothing wrong."""

    def reply(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        if not handler.path.endswith("/api/v1/read"):
            content = b'{"status":"success","data":[]}' if "/label/" in handler.path else EMPTY
            body(200, content)(handler, form)
        elif b"api_requests_total" in bytes(cramjam.snappy.decompress_raw(handler.sent)):  # type: ignore[attr-defined]
            answer(handler, form)
        else:
            chunked()(handler, form)

    return reply


BAD: dict[str, tuple[Reply, type[EdgeError], str]] = {
    "a connection that breaks between two series": (
        chunked(FRAME, end=False),
        EdgeUnavailable,
        "the connection broke in mid-answer; retry",
    ),
    "a frame that is not all there": (chunked(FRAME, FRAME[:-9]), EdgeUnavailable, "cut short in mid-frame"),
    "words where a frame should be": (
        chunked(FRAME, b"expanding series: context deadline exceeded\n"),
        EdgeUnavailable,
        "(expanding series: context deadline exceeded); retry",
    ),
    "a wrong sum": (
        chunked(encoding.frame(encoding.message(LABELS, [encoding.chunk(SAMPLES)]), crc=7)),
        EdgeUnavailable,
        "does not match its CRC-32C",
    ),
    "a chunk that is cut": (
        chunked(encoding.frame(encoding.message(LABELS, [encoding.chunk(SAMPLES)[:-20]]))),
        EdgeUnavailable,
        "a chunk ends before its last sample",
    ),
    "no message": (chunked(encoding.frame(b"\xff\xff")), EdgeUnavailable, "a frame is no message"),
    "native histograms": (
        chunked(encoding.frame(encoding.message(LABELS, [b"\x00\x01"], encoding=3))),
        EdgeRefused,
        "holds native histograms, and a counter is billed",
    ),
    "an encoding nobody knows": (
        chunked(encoding.frame(encoding.message(LABELS, [b"\x00\x01"], encoding=8))),
        EdgeRefused,
        "sends chunks in encoding 8, and only 1 (XOR) is known",
    ),
    "samples instead of chunks": (
        body(200, b"\x00", "application/x-protobuf"),
        EdgeRefused,
        "answers application/x-protobuf instead of streamed chunks",
    ),
    "its sample limit": (
        body(400, b"exceeded sample limit (50000000)\n", "text/plain"),
        EdgeRefused,
        "HTTP 400 , exceeded sample limit (50000000)",
    ),
    "no remote read at all": (body(404, b"404 page not found", "text/plain"), EdgeRefused, "has no remote read"),
    "too many remote reads at once": (
        body(500, b"remote read gate: context canceled", "text/plain"),
        EdgeUnavailable,
        "remote read gate: context canceled; retry later",
    ),
    "a stored value that is no number": (
        chunked(encoding.frame(encoding.message(LABELS, [encoding.chunk([(SAMPLES[0][0], double(float("inf")))])]))),
        EdgeError,
        "a reading is not a finite number; a counter cannot be billed from that",
    ),
}


@pytest.mark.parametrize(("answer", "kind", "sentence"), BAD.values(), ids=BAD.keys())
def test_a_bad_stream_is_told_apart_and_explained(answer: Reply, kind: type[EdgeError], sentence: str) -> None:
    with server(as_mimir(answer)) as (url, _):
        source = PrometheusSource((url,), timeout=60, dialect="mimir", read="remote", tenant="t")
        with pytest.raises(kind) as caught:
            source.read(METER, WINDOW)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", ["native histograms", "no remote read at all", "samples instead of chunks"])
def test_what_is_refused_is_read_the_other_way_unless_it_was_asked_for(what: str) -> None:
    with server(as_mimir(BAD[what][0])) as (url, forms):
        source = PrometheusSource((url,), timeout=60, dialect="mimir", read="auto", tenant="t")
        source.read(METER, WINDOW)
        tried = sum(form["path"].endswith("/read") for form in forms)
        source.read(METER, WINDOW)
    assert "last_over_time(api_requests_total[300000ms])" in {form.get("query") for form in forms}
    assert sum(form["path"].endswith("/read") for form in forms) == tried, "given up for good"


def test_a_stream_is_counted_and_named_in_the_evidence() -> None:
    with server(as_mimir(chunked(FRAME[:700], FRAME[700:]))) as (url, _):
        source = PrometheusSource((url,), timeout=60, dialect="mimir", read="remote", tenant="t")
        readings = source.read(METER, WINDOW)
    texts = {query.text: query.series for query in readings.queries}
    said = "remote read of 240 samples from 1790812140000 to 1790816399999: api_requests_total"
    assert texts[said] == 1
    (born,) = readings.series
    assert (born.labels["consumer_id"], born.units[-1]) == ("c1", 7 * 239)


def reads(forms: list[dict[str, str]]) -> int:
    return sum(form["path"].endswith("/read") for form in forms)


def test_windows_that_follow_come_in_one_stream() -> None:
    hours = list(Period(WINDOW.start, WINDOW.start + 3 * HOUR).windows(HOUR))
    with server(as_mimir(chunked(FRAME))) as (url, forms):
        source = PrometheusSource((url,), timeout=60, dialect="mimir", read="remote", tenant="t")
        source.read(METER, hours[0])
        before = reads(forms)
        source.foresee({METER: hours})
        source.read(METER, hours[1])
        source.read(METER, hours[2])
        assert reads(forms) == before + 1
        source.foresee({METER: hours})
        source.read(METER, hours[1])
        source.foresee({})
        source.read(METER, hours[2])
        assert reads(forms) == before + 3, "what was read ahead for a run that ended is not used"


def test_a_bad_reading_in_a_later_window_holds_no_earlier_one() -> None:
    hours = list(Period(WINDOW.start, WINDOW.start + 3 * HOUR).windows(HOUR))
    at = milliseconds(hours[2].start) + 60_000
    bad = encoding.chunk([*SAMPLES, (at, double(float("inf")))])
    with server(as_mimir(chunked(encoding.frame(encoding.message(LABELS, [bad]))))) as (url, _):
        source = PrometheusSource((url,), timeout=60, dialect="mimir", read="remote", tenant="t")
        source.read(METER, hours[0])
        source.foresee({METER: hours})
        source.read(METER, hours[1])
        with pytest.raises(EdgeDisagrees, match="not a finite number"):
            source.read(METER, hours[2])


def test_without_numba_plain_python_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from rating.adapters.prometheus import source as sources
    from rating.adapters.prometheus.remote import streams

    found = []
    for fast in (True, False):
        for module in (streams, sources):
            monkeypatch.setattr(module, "compiled", lambda fast=fast: fast)
        streams._decoder.cache_clear()
        with server(as_mimir(chunked(FRAME, FRAME.replace(b"c1", b"c1")))) as (url, _):
            reader = PrometheusSource((url,), timeout=60, dialect="mimir", read="remote", tenant="t")
            found.append(reader.read(METER, WINDOW))
            if not fast:
                way = PrometheusSource((url,), timeout=60, dialect="mimir", read="auto").way(METER, WINDOW)
                assert "the extra `fast` is not installed (numba)" in way.what
    streams._decoder.cache_clear()
    assert found[0] == found[1]


def test_external_labels_are_found_in_any_configuration() -> None:
    text = (
        "global:\n  scrape_interval: 15s\n\n  # a remark\n  external_labels:\n    cluster: eu\n    n: 1\n"
        "rule_files:\n- x\nscrape_configs:\n- job_name: {weird\n"
    )
    assert external_labels(text) == {"cluster": "eu", "n": "1"}
    assert external_labels("global: {external_labels: {a: b}}\n") == {"a": "b"}
    assert external_labels("scrape_configs: []\n") == {}


@given(some.text(), some.text(), some.integers(0, 2**42), some.integers(0, 2**42))
def test_a_question_carries_any_text(label: str, value: str, start: int, end: int) -> None:
    asked = bytes(cramjam.snappy.decompress_raw(question([Matcher(How.LIKE, label, value)], start, end)))
    (_, query), (kind, streamed) = chunks._fields(asked)
    assert (kind, streamed) == (2, 1)
    assert isinstance(query, bytes)
    fields = dict(chunks._fields(query))
    assert (fields[1], fields[2]) == (start, end)
    assert isinstance(fields[3], bytes)
    inner = dict(chunks._fields(fields[3]))
    assert inner == {1: 2, 2: label.encode(), 3: value.encode()}
