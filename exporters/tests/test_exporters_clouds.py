"""Figures of clouds become counters: each request once, through growth, shrinkage, kills, pages and throttling.

One suite of promises that every cloud runs, against servers in this process that answer as the providers document it;
what is only one cloud's own comes after. No cloud account takes part: of AWS, moto has keys and plans but no GetUsage.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rating_exporters import cli, cloud_command
from rating_exporters.brokers import Message
from rating_exporters.cloud import (
    Cell,
    CloudCounter,
    CloudRefused,
    CloudUnavailable,
    Figure,
    decided,
    guard_for,
    stretches,
    within,
)
from rating_exporters.cloud_aws import AwsUsage
from rating_exporters.cloud_http import JsonApi
from rating_exporters.cloudstate import CloudState
from rating_exporters.eventstate import Counted, EventState, Verdict

NOW = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)
TODAY = datetime(2026, 11, 24, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
Run = Callable[..., int]


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only what a test sets, never those of whoever runs it."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def served(kind: str, peers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("boto3") if kind == "aws" else None
    peer = peers.PEERS[kind]()
    for name, value in peer.environment.items():
        monkeypatch.setenv(name, value)
    return peer


@pytest.fixture(params=["aws", "azure", "apigee"])
def peer(request: pytest.FixtureRequest, cloud_peers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with served(request.param, cloud_peers, monkeypatch) as one:
        yield one


@pytest.fixture
def aws(cloud_peers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with served("aws", cloud_peers, monkeypatch) as one:
        yield one


@pytest.fixture
def azure(cloud_peers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with served("azure", cloud_peers, monkeypatch) as one:
        yield one


@pytest.fixture
def apigee(cloud_peers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with served("apigee", cloud_peers, monkeypatch) as one:
        yield one


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`rating-exporters cloud ... --once`, at a moment."""

    def once(peer: Any, *more: str, now: datetime = NOW, mode: str = "--once") -> int:
        given_state = [] if "--state" in more else ["--state", str(tmp_path / "state")]
        words = ["cloud", *peer.options(), *given_state, mode, *more]
        seen: list[Any] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cloud_command, "run", lambda options: seen.append(options) or 0)
            cli.main(words)
        return cloud_command.run(seen[0], now)

    return once


def totals(path: Path) -> dict[str, int]:
    """What a page would show, by consumer; and `shrunk`."""
    state = CloudState(path, {}, NOW)
    found = {
        labels[0] if metric == "cloud_requests_total" else "shrunk": total
        for (metric, labels), (total, _) in state.totals().items()
    }
    state.close()
    return found


# What every cloud promises.


def test_twice_is_once_and_a_figure_that_grows_adds_the_difference(peer: Any, run: Run, tmp_path: Path) -> None:
    peer.tell = {("c0", TODAY): 10, ("c1", TODAY): 7, ("c2", TODAY): 1}
    for _ in range(3):
        assert run(peer) == 0
        assert totals(tmp_path / "state") == {"c0": 10, "c1": 7, "c2": 1}
    peer.tell["c0", TODAY] = 25
    peer.tell["c3", TODAY] = 4
    for _ in range(2):
        assert run(peer) == 0
        assert totals(tmp_path / "state") == {"c0": 25, "c1": 7, "c2": 1, "c3": 4}


def test_a_figure_that_shrinks_is_told_and_not_subtracted(
    peer: Any, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for told, counted, shrunk in [(100, 100, 0), (90, 100, 1), (90, 100, 1), (95, 100, 1), (110, 110, 1), (0, 110, 2)]:
        peer.tell = {("c0", TODAY): told, ("c1", TODAY): 1}
        assert run(peer) == 0
        assert totals(tmp_path / "state") == {"c0": counted, "c1": 1, **({"shrunk": shrunk} if shrunk else {})}
    del peer.tell["c1", TODAY]  # vanished: shrunk to nothing
    assert run(peer) == 0
    assert totals(tmp_path / "state") == {"c0": 110, "c1": 1, "shrunk": 3}
    assert "the figure of c0 (gold) for 2026-11-24T00:00Z shrank from 100 to 90; 100 stay counted" in caplog.text


def test_killed_between_any_two_steps_it_counts_each_request_once(peer: Any, tmp_path: Path) -> None:
    peer.tell = {(f"c{number}", TODAY): 10 + number for number in range(3)}
    worker = [sys.executable, str(Path(__file__).parent / "cloud_worker.py"), str(tmp_path / "state"), NOW.isoformat()]
    done = subprocess.run([*worker, *peer.options()], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lives = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    assert {after for _, after in lives} == {33}
    assert {before for before, _ in lives} == {0, 33}  # all of a reading or none of it
    assert len([before for before, _ in lives if before == 0]) > 10


def test_every_page_is_read(peer: Any, run: Run, tmp_path: Path) -> None:
    peer.tell = {(f"c{number}", TODAY): 10 + number for number in range(5)}
    cloud = cloud_of(peer)
    if peer.name == "apigee":
        cloud.page = 2
    assert sum(figure.amount for figure in cloud.figures(TODAY, TODAY + DAY)) == 60
    pages = [path for path in peer.asked if "usage?" in path or "/reports/" in path or "/stats/" in path]
    assert len(pages) == 3


def test_throttled_it_waits_and_counts_and_when_it_lasts_nothing_is_counted(
    peer: Any, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.tell = {("c0", TODAY): 10}
    peer.throttle = 1
    assert run(peer) == 0
    assert totals(tmp_path / "state") == {"c0": 10}
    peer.tell = {("c0", TODAY): 11}
    peer.throttle = 1_000
    cloud = AwsUsage("eu-west-1", url=peer.url, tries=2) if peer.name == "aws" else cloud_of(peer)
    state = CloudState(tmp_path / "state", cloud.settings(), NOW)
    with pytest.raises(CloudUnavailable, match=r"429|TooManyRequests"):
        CloudCounter(cloud, state).step(NOW)
    state.close()
    assert totals(tmp_path / "state") == {"c0": 10}


def test_credentials_that_are_wrong_or_missing_are_told_of_and_never_printed(
    peer: Any, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.allow = False
    assert run(peer) == 2
    refused = capsys.readouterr()
    assert re.search("401: the token is not good; the credentials are|AccessDeniedException", refused.err)
    assert peer.secret not in refused.err + refused.out
    for name in peer.environment:
        monkeypatch.delenv(name)
    assert run(peer) == 2
    assert re.search("no credentials: give --token-file|Unable to locate credentials", capsys.readouterr().err)


def test_a_backlog_is_counted_from_its_first_day_and_a_long_stop_is_caught_up(
    peer: Any, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.tell = {("c0", TODAY - number * DAY): 1 for number in range(-12, 60)}
    assert run(peer, "--since", "2026-10-16") == 0  # 40 days with today, in two slices
    assert capsys.readouterr().out.count("requests added") == 2
    assert totals(tmp_path / "state") == {"c0": 40}
    assert run(peer, now=NOW + 12 * DAY) == 0
    assert totals(tmp_path / "state") == {"c0": 52}
    # What lies before the days asked for again is not heard of.
    peer.tell["c0", TODAY + 8 * DAY] = peer.tell["c0", TODAY + 9 * DAY] = 100
    assert run(peer, now=NOW + 12 * DAY) == 0
    assert totals(tmp_path / "state") == {"c0": 52 + 99}
    assert run(peer, "--reread", "4", now=NOW + 12 * DAY) == 0
    assert totals(tmp_path / "state") == {"c0": 52 + 99 + 99}
    assert run(peer, "--since", "2026-09-01", now=NOW + 12 * DAY) == 0
    assert "began at 2026-10-16; --since is for a new state file" in capsys.readouterr().out
    assert totals(tmp_path / "state") == {"c0": 52 + 99 + 99}


def test_a_check_says_what_would_count_and_changes_nothing(
    peer: Any, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.tell = {("c0", TODAY): 10, ("c1", TODAY): 7}
    assert run(peer, mode="--check") == 0
    assert list(tmp_path.iterdir()) == []
    told = capsys.readouterr().out
    assert f"read 2 figures of {peer.name} since 2026-11-24 (UTC); nothing changed" in told
    series = 'cloud_requests_total{{consumer_id="{}",cloud="{}",product="gold"}}'
    assert f"would add 10 to {series.format('c0', peer.name)}" in told
    assert run(peer) == 0
    peer.tell = {("c0", TODAY): 12, ("c1", TODAY): 5}
    assert run(peer, mode="--check") == 1
    told = capsys.readouterr().out
    assert f"would add 2 to {series.format('c0', peer.name)}" in told
    assert "shrank from 7 to 5" in told
    assert run(peer, "--output", "json", mode="--check") == 1
    look = json.loads(capsys.readouterr().out)
    labels = {"consumer_id": "c0", "cloud": peer.name, "product": "gold"}
    assert look["adds"] == [{"metric": "cloud_requests_total", "labels": labels, "amount": 2}]
    assert (look["read"], look["set_aside"]) == (2, [])
    assert "shrank from 7 to 5" in look["warnings"][0]
    assert totals(tmp_path / "state") == {"c0": 10, "c1": 7}


def test_totals_of_two_meanings_are_never_one(peer: Any, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    other = {"aws": "customer", "azure": "user", "apigee": "developer"}[peer.name]
    assert run(peer) == 0
    assert run(peer, "--consumer", other) == 2
    assert f"and now {other} is asked for" in capsys.readouterr().err
    assert run(peer, "--consumer", other, mode="--check") == 2


def test_the_state_of_another_exporter_is_left_alone(
    azure: Any, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = EventState(tmp_path / "state", {"format": "json"})
    delivery = Message("orders", "orders/0", (1,), b"")
    counted = Counted(((("events_total", ("c0", "orders")), 1),))
    events.commit([Verdict(delivery, (counted,))], 0)
    before = events.totals()
    events.close()
    assert run(azure, mode="--check") == 2
    refusal = "`rating-exporters events` counts into this state file, so `rating-exporters cloud` does not"
    assert refusal in capsys.readouterr().err
    assert run(azure) == 2
    assert refusal in capsys.readouterr().err
    events = EventState(tmp_path / "state", {"format": "json"})
    assert events.totals() == before
    events.close()


# The page.


def test_the_page_shows_the_totals_and_how_far_it_read(azure: Any, tmp_path: Path) -> None:
    azure.tell = {("c0", datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)): 10}
    command = [sys.executable, "-m", "rating_exporters", "cloud", *azure.options(), "--state", str(tmp_path / "s")]
    with subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        assert "10 requests added" in process.stdout.readline()
        page = urllib.request.urlopen(address, timeout=5).read().decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert 'cloud_requests_total{cloud="azure",consumer_id="c0",product="gold"} 10' in page
    assert 'rating_exporters_cloud_shrunk_total{cloud="azure"} 0' in page
    assert re.search(r'cloud_read_until_timestamp_seconds\{cloud="azure"\} \d\.\d+e\+09', page)


def test_beyond_the_bound_consumers_overflow_and_growth_stays_where_it_began(azure: Any, tmp_path: Path) -> None:
    azure.tell = {(f"c{number}", TODAY): 10 for number in range(3)}
    cloud = cloud_of(azure)
    registry = CollectorRegistry()
    state = CloudState(tmp_path / "state", cloud.settings(), TODAY)
    counter = CloudCounter(cloud, state, registry=registry, guard=guard_for(registry, 2))
    for _ in range(2):
        counter.step(NOW)
    labels = {"metric": "cloud_requests_total", "label": "consumer_id"}
    assert registry.get_sample_value("rating_exporters_overflow_total", labels) == 1
    state.close()
    assert totals(tmp_path / "state") == {"c0": 10, "c1": 10, "<overflow>": 10}


# Each cloud's own.


def test_a_key_that_is_renamed_or_deleted_is_still_whoever_used_it(aws: Any, run: Run, tmp_path: Path) -> None:
    aws.tell = {("c0", TODAY): 10, ("c1", TODAY): 10}
    assert run(aws) == 0
    aws.keys["c0"]["name"], aws.keys["c1"]["gone"] = "renamed", True  # c1 has two days of usage
    aws.tell = {("c0", TODAY): 15, ("c1", TODAY): 12, ("c0", TODAY + DAY): 1, ("c1", TODAY + DAY): 2}
    assert run(aws, now=NOW + DAY) == 0
    assert totals(tmp_path / "state") == {"c0": 15, "c1": 12, "renamed": 1, "<unknown>": 2}
    asked = len(aws.asked)
    assert run(aws, now=NOW + DAY) == 0
    assert sum("includeValues=true" in path for path in aws.asked[asked:]) == 1  # not once for each nobody


def test_usage_listed_by_the_keys_values_is_theirs_and_the_values_stay_out(
    aws: Any, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.by_value = True
    aws.tell = {("c0", TODAY): 10, ("c1", TODAY): 10}
    aws.answer("/usageplans", {}, {"Authorization": "Credential=AKIATEST/ /eu-west-1/apigateway/aws4_request"})
    aws.keys["c1"]["gone"] = True
    assert run(aws) == 0
    assert totals(tmp_path / "state") == {"c0": 10, "<unknown>": 10}
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"value-of" not in files


@pytest.mark.parametrize(
    ("consumer", "expected"), [("name", "c0"), ("id", "id-c0"), ("customer", "cust"), ("tag:acct", "A7")]
)
def test_a_key_names_its_consumer(aws: Any, consumer: str, expected: str) -> None:
    aws.keys["c0"] = {"id": "id-c0", "name": "c0", "value": "v", "customerId": "cust", "tags": {"acct": "A7"}}
    aws.tell = {("c0", TODAY): 10}
    cloud = AwsUsage("eu-west-1", url=aws.url, consumer=consumer)
    assert [figure.consumer for figure in cloud.figures(TODAY, TODAY + DAY)] == [expected]
    with pytest.raises(CloudRefused, match=r"no usage plan p9 in eu-west-1; there are p1 \(gold\)"):
        AwsUsage("eu-west-1", ["p9"], url=aws.url).figures(TODAY, TODAY + DAY)
    with pytest.raises(ValueError, match="there are name, customer, id and tag:NAME"):
        AwsUsage("eu-west-1", url=aws.url, consumer="nmae")
    with pytest.raises(ValueError, match="--consumer tag:: of a key"):
        AwsUsage("eu-west-1", url=aws.url, consumer="tag:")


def test_more_days_than_getusage_answers_are_several_questions(aws: Any) -> None:
    aws.tell = {("c0", TODAY - number * DAY): 1 for number in range(200)}
    cloud = AwsUsage("eu-west-1", url=aws.url)
    assert sum(figure.amount for figure in cloud.figures(TODAY - 199 * DAY, TODAY + DAY)) == 200
    assert len([path for path in aws.asked if "/usage?" in path]) == 3


def test_keys_and_plans_of_moto(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto has no GetUsage: its answer, in AWS's shape, is handed to botocore, which parses it by AWS's own model."""
    moto = pytest.importorskip("moto", exc_type=ImportError)
    pytest.importorskip("openapi_spec_validator", reason="moto's API Gateway needs it")
    import boto3
    from botocore.awsrequest import AWSResponse

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with moto.mock_aws():
        client = boto3.client("apigateway", region_name="eu-west-1")
        plan = client.create_usage_plan(name="gold", quota={"limit": 100, "period": "MONTH"})["id"]
        key = client.create_api_key(name="acme", enabled=True, tags={"account": "A7"})["id"]
        client.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
        cloud = AwsUsage("eu-west-1", [plan], consumer="tag:account")
        with pytest.raises(CloudRefused, match="GetUsage answered"):
            list(cloud.figures(TODAY, TODAY + DAY))

        def usage(request: Any, **_: Any) -> AWSResponse:
            assert f"/usageplans/{plan}/usage?startDate=2026-11-23&endDate=2026-11-24" in request.url
            body = {"startDate": "2026-11-23", "endDate": "2026-11-24", "values": {key: [[3, 97], [4, 93]]}}

            class Raw:
                def stream(self, **_: Any) -> Iterator[bytes]:
                    yield json.dumps(body).encode()

            return AWSResponse(request.url, 200, {}, Raw())

        cloud._client.meta.events.register_first("before-send.apigateway.GetUsage", usage)
        figures = list(cloud.figures(TODAY - DAY, TODAY + DAY))
    assert [(one.consumer, one.product, one.amount) for one in figures] == [("A7", "gold", 3), ("A7", "gold", 4)]
    assert [one.cell.start for one in figures] == [(TODAY - DAY).timestamp(), TODAY.timestamp()]


@pytest.mark.parametrize("kind", ["azure", "apigee"])
def test_hours_are_cells_of_their_own(
    kind: str, request: pytest.FixtureRequest, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = request.getfixturevalue(kind)
    peer.tell = {("c0", TODAY + 13 * HOUR): 10, ("c0", TODAY + 14 * HOUR): 5}
    assert run(peer, "--unit", "hour") == 0
    peer.tell = {("c0", TODAY + 13 * HOUR): 4, ("c0", TODAY + 14 * HOUR): 50}  # their sum grew, and one of them fell
    assert run(peer, "--unit", "hour") == 0
    assert totals(tmp_path / "state") == {"c0": 10 + 50, "shrunk": 1}
    assert run(peer, "--unit", "day") == 2
    assert "counts with unit hour, and now day" in capsys.readouterr().err


def test_azure_counts_what_is_asked_for_by_whom_is_asked_for(azure: Any) -> None:
    azure.tell = {("c0", TODAY): 10}
    for more, expected in [
        ([], ("c0", 10)),
        (["--count", "total"], ("c0", 15)),
        (["--consumer", "name"], ("Subscription of c0", 10)),
        (["--consumer", "user"], ("u-c0", 10)),
    ]:
        (figure,) = cloud_of(azure, *more).figures(TODAY, TODAY + DAY)
        assert (figure.consumer, figure.amount) == expected


def test_azure_takes_the_credentials_of_an_application(
    azure: Any, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AZURE_ACCESS_TOKEN")
    for name, value in {"TENANT_ID": "tenant-1", "CLIENT_ID": "app-1", "CLIENT_SECRET": "app-secret"}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    azure.tell = {(f"c{number}", TODAY): 10 for number in range(3)}
    assert run(azure) == 0
    assert sum("/oauth2/" in path for path in azure.asked) == 1  # one token for all pages
    assert totals(tmp_path / "state") == {"c0": 10, "c1": 10, "c2": 10}
    (tmp_path / "secret").write_text("wrong-secret\n")
    monkeypatch.setenv("AZURE_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    assert run(azure) == 2
    told = capsys.readouterr().err
    assert "401: AADSTS7000215: Invalid secret.; the credentials are wrong" in told
    assert "wrong-secret" not in told


def test_a_token_goes_nowhere_else(azure: Any, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    azure.tell = {(f"c{number}", TODAY): 10 for number in range(3)}
    azure.next_at = "http://127.0.0.1:9"
    assert run(azure) == 2
    assert "the next page is said to be at http://127.0.0.1:9/" in capsys.readouterr().err
    assert totals(tmp_path / "state") == {}  # two of three were read: none is counted
    azure.moved_to = f"{azure.url}/elsewhere"
    assert run(azure) == 2
    assert "answered 302" in capsys.readouterr().err
    assert not any("elsewhere" in path for path in azure.asked)
    with pytest.raises(ValueError, match="starts with https://"):
        JsonApi("http://management.azure.com", lambda: "t")


def test_a_rotated_token_is_taken_up(apigee: Any, tmp_path: Path, cloud_peers: ModuleType) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    cloud = cloud_of(apigee, "--token-file", str(file))
    with pytest.raises(CloudRefused, match="401"):
        list(cloud.figures(TODAY, TODAY + DAY))
    file.write_text(cloud_peers.TOKEN + "\n")
    assert list(cloud.figures(TODAY, TODAY + DAY)) == []


def spoilt(row: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"environments": [{"name": "prod", "dimensions": [row]}], **more}


def row(names: list[str], value: str = "7.0", at: datetime = TODAY) -> dict[str, Any]:
    values = [{"timestamp": int(at.timestamp() * 1000), "value": value}]
    return {"name": ",".join(names), "metrics": [{"name": "sum(message_count)", "values": values}]}


def test_apigee_names_nobody_wrongly(apigee: Any) -> None:
    for answer, expected in [
        (row(["app", "gold"]), ("app", "gold")),
        (row(["(not set)", "(not set)"]), ("<anonymous>", "<anonymous>")),
        (row(["app, the second", "gold"]), ("<unknown>", "<unknown>")),  # which comma?
        ({**row(["a,b", "gold"]), "individualNames": ["a,b", "gold"]}, ("a,b", "gold")),
        (row(["<overflow>", "gold"]), ("<unknown>", "gold")),
    ]:
        apigee.spoilt = spoilt(answer)
        (figure,) = cloud_of(apigee).figures(TODAY, TODAY + DAY)
        assert (figure.consumer, figure.product, figure.amount) == (*expected, 7)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (spoilt(row(["a", "b"], "7.5")), "7.5 requests"),
        (spoilt(row(["a", "b"], "NaN")), "InvalidOperation|ValueError"),
        (spoilt(row(["a", "b"], "-1")), "-1 requests"),
        (spoilt({"name": "a,b"}), "KeyError: 'metrics'"),
        (spoilt(row(["a", "b"]), metaData={"errors": ["partial result"]}), "partial result"),
        (["?"], "cannot be counted"),
    ],
)
def test_what_cannot_be_counted_counts_nothing(
    answer: Any, error: str, apigee: Any, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apigee.spoilt = answer
    assert run(apigee) == 2
    assert re.search(error, capsys.readouterr().err)
    assert totals(tmp_path / "state") == {}


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--since", "yesterday"], "it reads YEAR-MONTH-DAY"),
        (["--since", "2027-01-01"], "is not here yet; now it is 2026-11-24"),
        (["--reread", "91"], "0 to 90 days"),
        (["--interval", "1"], "at least 10 seconds"),
    ],
)
def test_options_that_cannot_be(
    more: list[str], error: str, apigee: Any, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(apigee, *more) == 2
    assert error in capsys.readouterr().err


def test_a_service_is_a_resource_id(azure: Any, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(azure, "--service", "apim1") == 2
    assert "as `az apim show --query id` prints it" in capsys.readouterr().err


def test_a_figure_of_another_day_than_was_asked_for_is_refused() -> None:
    for start in (TODAY - HOUR, TODAY + DAY):
        with pytest.raises(CloudRefused, match="asked for 2026-11-24T00:00Z to 2026-11-25T00:00Z, and the answer"):
            within([Figure(Cell("s", "k", int(start.timestamp())), "c0", "gold", 1)], TODAY, TODAY + DAY)


# What figures add, against the obvious computation.


def test_a_figure_on_two_pages_is_one_figure() -> None:
    for amounts in ((7, 9), (9, 7)):
        figures = [Figure(Cell("s", "k", 0), "c0", "gold", amount) for amount in amounts]
        assert list(decided({}, figures, lambda figure: (figure.consumer,)).adds.values()) == [9]


@settings(max_examples=60, deadline=None)
@given(
    readings=st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 20), max_size=3), max_size=8),
)
def test_a_total_is_the_sum_of_each_cells_largest_figure(readings: list[dict[str, int]]) -> None:
    known: dict[Cell, Any] = {}
    counted, falls = 0, 0
    for reading in readings:
        figures = [Figure(Cell("s", key, 0), "everybody", "gold", amount) for key, amount in reading.items()]
        decision = decided(known, figures, lambda figure: (figure.consumer, "cloud", figure.product))
        assert min(decision.adds.values(), default=0) >= 0
        counted += decision.adds["cloud_requests_total", ("everybody", "cloud", "gold")]
        falls += decision.adds["rating_exporters_cloud_shrunk_total", ("cloud",)]
        known.update(decision.cells)
    keys = {key for reading in readings for key in reading}
    series = {key: [reading.get(key, 0) for reading in readings] for key in keys}
    assert counted == sum(max(amounts) for amounts in series.values())
    assert falls == sum(b < a for amounts in series.values() for a, b in pairwise(amounts))


@settings(max_examples=60, deadline=None)
@given(
    begin=st.integers(0, 2_000), later=st.integers(0, 2_000), reached=st.none() | st.integers(0, 2_000),
    reread=st.integers(0, 90), unit=st.sampled_from([DAY, HOUR]),
)  # fmt: skip
def test_stretches_leave_no_gap(begin: int, later: int, reached: int | None, reread: int, unit: timedelta) -> None:
    start = TODAY + begin * HOUR
    now = start + later * HOUR
    last = None if reached is None else start + min(reached, later) * HOUR
    found = stretches(start, last, now, reread * DAY, unit)
    assert found[0][0] <= max(start, (last or start) - reread * DAY)
    assert found[-1][0] <= now < found[-1][1]
    assert all(until == since for (_, until), (since, _) in pairwise(found))
    assert all(since.timestamp() % unit.total_seconds() == 0 for since, _ in found)


def cloud_of(peer: Any, *more: str) -> Any:
    seen: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloud_command, "run", lambda options: seen.append(options) or 0)
        cli.main(["cloud", *peer.options(), "--state", "none", *more])
    return cloud_command.cloud_of(seen[0])
