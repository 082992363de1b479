"""Sources that meters choose: doors that demand something, shards that add up, dialects, and one that is down."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from email.message import Message
from pathlib import Path

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.named_sources import NamedSources
from rating.adapters.prometheus import PrometheusSource
from rating.adapters.prometheus.dialects import DIALECTS as SPOKEN
from rating.adapters.prometheus.remote.choice import Way
from rating.bootstrap import open_estimates, open_source
from rating.core.counters import Readings, decide
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.windows import Closing, Held
from rating.errors import EdgeRefused, EdgeUnavailable, SpecError
from rating.jobs.collect import collect
from rating.ports import CounterSource, Estimate, Examinable, Foreseeing, Verdict
from rating.settings import Settings
from rating.specs.sources import DIALECTS, WAYS
from rating_demo import blocks
from rating_demo.faults import Outage, Replica, Restarts, Traffic
from rating_demo.parts import Prometheus
from rating_demo.scenarios import FIRST_DAY, HOUR, MINUTE
from rating_demo.truth import World
from tests.adapters.prometheus.gate import Authority, Gate
from tests.promises.metering.proxy import Spoil

METER = Meter("calls", "api_requests_total", "consumer_id", ("endpoint",), scrape_interval=MINUTE)
EU = World(
    seed=41,
    start=FIRST_DAY,
    end=FIRST_DAY + 3 * HOUR,
    consumers={"acme": Traffic(90), "globex": Traffic(20)},
    interval=MINUTE,
    restarts=Restarts(30 * MINUTE, 2 * HOUR),
)
# The same addresses in another network: neither replicas nor neighbours of the first.
US = replace(EU, seed=42, consumers={"acme": Traffic(50), "initech": Traffic(30)})
PAIR = replace(
    EU,
    replicas=(Replica("a"), Replica("b")),
    faults=(Outage(HOUR, 20 * MINUTE, "a"), Outage(2 * HOUR, 20 * MINUTE, "b")),
)
PERIOD = Period(EU.start, EU.start + 3 * HOUR)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path, promtool: Path) -> Iterator[list[str]]:
    """Europe, America, and the two halves of a pair without a common front."""
    folder = tmp_path_factory.mktemp("sources")
    halves = [
        [
            replace(one, labels={name: value for name, value in one.labels.items() if name != "replica"})
            for one in PAIR.series()
            if one.labels["replica"] == replica
        ]
        for replica in ("a", "b")
    ]
    running = []
    try:
        for number, series in enumerate((EU.series(), US.series(), *halves)):
            blocks.create(series, folder / f"blocks{number}", promtool)
            server = Prometheus(folder / str(number), blocks=folder / f"blocks{number}", retention="4000d")
            running.append(server.start())
        yield [server.url for server in running]
    finally:
        for server in running:
            server.stop()


def counted(source: CounterSource, meter: Meter = METER) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for window in PERIOD.windows(HOUR):
        closing = decide(meter, window, source.read(meter, window))
        assert isinstance(closing, Closing), closing
        for usage in closing.usage:
            sums[usage.consumer, usage.dimensions[0]] += usage.quantity
    return dict(sums)


class Told:
    """A source that only remembers what it was told of."""

    def __init__(self) -> None:
        self.windows: dict[Meter, list[Period]] = {}

    def read(self, meter: Meter, window: Period) -> Readings:
        raise AssertionError("nobody asked")

    def foresee(self, windows: Mapping[Meter, Sequence[Period]]) -> None:
        self.windows = {meter: list(own) for meter, own in windows.items()}


def test_each_source_is_told_of_its_own_meters_windows() -> None:
    unnamed, eu, us = Told(), Told(), Told()
    windows = list(PERIOD.windows(HOUR))
    both, one = replace(METER, sources=("eu", "us")), replace(METER, name="other", sources=("us",))
    NamedSources(unnamed, {"eu": eu, "us": us}).foresee({METER: windows[:1], both: windows, one: windows[2:]})
    assert unnamed.windows == {METER: windows[:1]}
    assert eu.windows == {METER: windows}
    assert us.windows == {METER: windows, replace(one, sources=()): windows[2:]}


def test_readings_are_the_same_whether_or_not_they_were_foreseen(servers: list[str], tmp_path: Path) -> None:
    eu, us, *_ = servers
    source = open_source(settings(tmp_path, f"eu: {{urls: [{eu}]}}\nus: {{urls: [{us}]}}\n"))
    both, one = replace(METER, sources=("eu", "us")), replace(METER, sources=("us",))
    windows = list(PERIOD.windows(HOUR))
    plain = [source.read(meter, window) for window in windows for meter in (both, one)]
    assert isinstance(source, Foreseeing)
    source.foresee({both: windows, one: windows})
    assert [source.read(meter, window) for window in windows for meter in (both, one)] == plain


def proven(*worlds: World) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for world in worlds:
        for who, quantity in world.usage(PERIOD).items():
            sums[who.consumer, who.endpoint] += quantity
    return dict(sums)


def settings(folder: Path, text: str) -> Settings:
    (folder / "sources.yaml").write_text(text)
    return Settings.from_environment({"RATING_SOURCES": str(folder / "sources.yaml")})


def test_shards_add_up_and_a_pair_without_a_front_is_one(servers: list[str], tmp_path: Path) -> None:
    eu, us, first, second = servers
    given = settings(tmp_path, f"eu: {{urls: [{eu}]}}\nus: {{urls: [{us}]}}\npair: {{urls: [{first}, {second}]}}\n")
    source = open_source(given)
    assert counted(source, replace(METER, sources=("eu",))) == proven(EU)
    assert counted(source, replace(METER, sources=("us", "eu"))) == proven(EU, US)
    assert counted(source, replace(METER, sources=("pair",))) == proven(PAIR)
    both = replace(METER, sources=("eu", "us"))
    window = Period(EU.start + HOUR, EU.start + 2 * HOUR)
    closing, alone = (
        decide(both, window, source.read(both, window)),
        decide(METER, window, PrometheusSource([eu]).read(METER, window)),
    )
    assert isinstance(closing, Closing)
    assert isinstance(alone, Closing)
    assert closing.evidence.scrapes_expected > alone.evidence.scrapes_expected
    assert {query.text.partition(":")[0] for query in closing.evidence.queries} == {"eu", "us"}
    estimates = open_estimates(given)
    parts = [
        estimates.estimate(replace(METER, sources=(name,)), PERIOD, Estimate.WHOLE).quantities for name in ("eu", "us")
    ]
    summed = estimates.estimate(both, PERIOD, Estimate.WHOLE).quantities
    assert summed["acme"] == parts[0]["acme"] + parts[1]["acme"]


def test_a_shard_that_is_down_leaves_the_window_and_says_which(servers: list[str], tmp_path: Path) -> None:
    source = open_source(settings(tmp_path, f"eu: {{urls: [{servers[0]}]}}\nus: {{urls: ['http://127.0.0.1:1']}}\n"))
    meter, book = replace(METER, sources=("eu", "us")), MemoryBook()
    with pytest.raises(EdgeUnavailable, match=r"source us: http://127\.0\.0\.1:1"):
        source.read(meter, Period(EU.start, EU.start + HOUR))
    collected = collect(book, source, (meter,), since=EU.start, until=PERIOD.end, now=PERIOD.end + HOUR)
    assert (collected.closed, len(collected.stopped), collected.waiting) == ((), 1, 3)
    assert book.closings("calls", PERIOD) == ()


def test_a_shard_that_doubts_itself_holds_the_window(servers: list[str], tmp_path: Path) -> None:
    with Gate(servers[1]) as gate:
        gate.spoil(lambda number: Spoil.PARTIAL)
        source = open_source(
            settings(tmp_path, f"eu: {{urls: [{servers[0]}]}}\nus: {{urls: [{gate.url}], read: promql}}\n")
        )
        meter = replace(METER, sources=("eu", "us"))
        held = decide(meter, Period(EU.start, EU.start + HOUR), source.read(meter, Period(EU.start, EU.start + HOUR)))
    assert isinstance(held, Held)
    assert "us: store gateway 3 of 4 did not answer" in held.reason


def test_a_source_nobody_named_is_refused_and_diagnosed(servers: list[str], tmp_path: Path) -> None:
    source = open_source(settings(tmp_path, f"eu: {{urls: [{servers[0]}]}}\n"))
    meter = replace(METER, sources=("asia",))
    with pytest.raises(EdgeRefused, match='"asia" is not in the file of RATING_SOURCES; there are eu'):
        source.read(meter, PERIOD)
    assert isinstance(source, Examinable)
    found = list(source.examine((meter,), longest_period=timedelta(days=1), now=EU.end))
    assert (Verdict.FAIL, "calls") in [(one.verdict, one.about) for one in found]
    assert any(one.about.startswith("eu, http") for one in found)


def basic(headers: Message) -> bool:
    return headers.get("Authorization") == "Basic " + base64.b64encode(b"bill:pass word").decode()


DOORS = {
    "basic authentication": (basic, "username: bill, password_file: password"),
    "a bearer token": (lambda headers: headers.get("Authorization") == "Bearer t0ken", "bearer_token_file: token"),
    "a tenant": (lambda headers: headers.get("X-Scope-OrgID") == "team-7", "tenant: team-7, dialect: mimir"),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_door_opens_for_those_who_bring_what_it_demands(servers: list[str], tmp_path: Path, door: str) -> None:
    demand, key = DOORS[door]
    authority = Authority(tmp_path)
    authority.signed("client")
    (tmp_path / "password").write_text("pass word\n")
    (tmp_path / "token").write_text("t0ken\n")
    tls = "ca_file: authority.pem, client_cert: client.crt, client_key: client.key"
    meter = replace(METER, sources=("eu",))
    with Gate(servers[0], demand, authority.server()) as gate:
        open_to = open_source(settings(tmp_path, f"eu: {{urls: [{gate.url}], {tls}, {key}}}\n"))
        assert counted(open_to, meter) == proven(EU)
        shut = open_source(settings(tmp_path, f"eu: {{urls: [{gate.url}], {tls}}}\n"))
        with pytest.raises(EdgeRefused, match="HTTP 401"):
            shut.read(meter, Period(EU.start, EU.start + HOUR))


def test_tls_demands_our_certificate_and_we_demand_its(
    servers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    authority = Authority(tmp_path)
    stranger = Authority(tmp_path, "stranger")
    authority.signed("client")
    stranger.signed("impostor")
    window = Period(EU.start, EU.start + HOUR)
    meter = replace(METER, sources=("eu",))
    with Gate(servers[0], context=authority.server()) as gate:
        for tls, error in (
            ("ca_file: stranger.pem, client_cert: client.crt, client_key: client.key", EdgeRefused),
            # The server's refusal may come as a TLS alert or as a closed connection: neither is an answer.
            ("ca_file: authority.pem", (EdgeRefused, EdgeUnavailable)),
            (
                "ca_file: authority.pem, client_cert: impostor.crt, client_key: impostor.key",
                (EdgeRefused, EdgeUnavailable),
            ),
        ):
            source = open_source(settings(tmp_path, f"eu: {{urls: [{gate.url}], {tls}}}\n"))
            with pytest.raises(error):
                source.read(meter, window)


@pytest.mark.parametrize(
    ("dialect", "sent"),
    {
        "thanos": {"partial_response": "false", "dedup": "false"},
        "mimir": {},
        "victoriametrics": {"nocache": "1"},
    }.items(),
)
def test_every_question_carries_what_its_dialect_needs(
    servers: list[str], tmp_path: Path, dialect: str, sent: dict[str, str]
) -> None:
    """A stand-in that writes down the requests: Prometheus itself ignores these parameters."""
    with Gate(servers[0]) as gate:
        source = open_source(settings(tmp_path, f"eu: {{urls: [{gate.url}], dialect: {dialect}, tenant: team-7}}\n"))
        meter = replace(METER, sources=("eu",))
        assert counted(source, meter) == proven(EU)
        asked = list(gate.asked_with)
    assert asked
    for path, form, headers in asked:
        assert {name: form.get(name) for name in sent} == sent, path
        assert headers["X-Scope-OrgID"] == "team-7"


MISTAKES = {
    "eu: {urls: [prometheus:9090]}": 'sources.yaml:1: eu, urls 1: "prometheus:9090" is not a URL; write it like '
    "http://prometheus:9090",
    "eu: {urls: [http://a], dialect: thanso}": 'sources.yaml:1: eu, dialect: "thanso" is not one of prometheus, '
    'thanos, mimir, victoriametrics; did you mean "thanos"?',
    "eu: {urls: [http://a], read: sql}": 'sources.yaml:1: eu, read: "sql" is not one of auto, promql, remote; '
    "write one of these",
    "eu: {urls: []}": "sources.yaml:1: eu, urls: ",
    "eu: {urls: [http://a], password: x}": "sources.yaml:1: eu: ",
    "- eu": "sources.yaml:1: the file names no source; write a mapping",
    "eu: {urls: [http://a], password_file: gone}": "gone: no such file; it is named in ",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_the_file_is_said_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError) as refused:
        open_source(settings(tmp_path, text))
    [finding] = refused.value.findings
    assert MISTAKES[text] in str(finding)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "RATING_PROMETHEUS_URL",
            "localhost:9090",
            '"localhost:9090" is not a URL; write it like http://localhost:9090',
        ),
        ("RATING_PROMETHEUS_URL", "bill:secret@host:9090", '"***@host:9090" is not a URL'),
        ("RATING_PROMETHEUS_URL", " , ", "names no server"),
        ("RATING_PROMETHEUS_DIALECT", "cortex", '"cortex" is not one of prometheus, thanos'),
        ("RATING_PROMETHEUS_READ", "graphql", '"graphql" is not one of auto, promql, remote'),
    ],
)
def test_a_setting_that_is_no_server_is_wrong_input(variable: str, value: str, said: str) -> None:
    with pytest.raises(SpecError) as refused:
        open_source(Settings.from_environment({variable: value}))
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_every_dialect_and_way_that_may_be_written_is_known() -> None:
    assert tuple(SPOKEN) == DIALECTS
    assert tuple(Way) == WAYS
