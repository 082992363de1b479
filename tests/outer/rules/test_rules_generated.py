"""The generated rules and routes, read by the real promtool and amtool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from rating.bootstrap import load_catalogue
from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating.core.meters import Kind, Lifetime, Matcher
from rating.core.subscriptions import Subscription
from rating.settings import Settings
from rating_rules import Muted, Receivers, files, generate
from rating_rules.files import ALLOWANCES, groups
from rating_rules.groups import Record
from tests.outer.rules.catalogues import CALLS, catalogue, with_meter

ROOT = Path(__file__).parents[3]


def demonstration() -> Catalogue:
    return load_catalogue(Settings(catalog=ROOT / "compose" / "catalogue"))


def placed(texts: Mapping[str, str], folder: Path) -> Path:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


CATALOGUES = {
    "two meters, three plans": catalogue(),
    "a durable counter without replicas": with_meter(
        replace(CALLS, lifetime=Lifetime.DURABLE, replica_labels=(), where=())
    ),
    "windows of a quarter of an hour, slow scrapes": with_meter(
        replace(CALLS, window=timedelta(minutes=15), scrape_interval=timedelta(minutes=1))
    ),
    "a dimension called plan, a hostile pattern": with_meter(
        replace(CALLS, dimensions=("plan", "route"), where=(Matcher("path", '/a"b\\\\c{1}.*'),))
    ),
    "two metrics, API keys that stand for consumers": with_meter(
        replace(CALLS, added_metrics=("api_retries_total",), consumers=(("0" * 64, "acme"),))
    ),
    "a gauge of bytes, billed in GiB seconds": with_meter(
        replace(
            CALLS, metric="stored_bytes", where=(), kind=Kind.GAUGE, digits=6, unit="GiB", conversion=Fraction(1, 2**30)
        )
    ),
    "a counter in thousands, one path left out": with_meter(
        replace(CALLS, conversion=Fraction(1, 1000), where=(Matcher("path", "/health", negated=True),))
    ),
    "nothing to sell": Catalogue(catalogue().currency, {}, {}),
}


@pytest.mark.parametrize("given", CATALOGUES.values(), ids=list(CATALOGUES))
def test_prometheus_accepts_the_rules_of_any_catalogue(given: Catalogue, promtool: Path, tmp_path: Path) -> None:
    folder = placed(generate(given), tmp_path)
    done = run(promtool, "check", "rules", *sorted(folder.glob("*.rules.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_do_not_grow_with_consumers() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    subscriptions = tuple(Subscription(f"c{number}", "pro", start) for number in range(10_000))
    assert generate(replace(catalogue(), subscriptions=subscriptions)) == generate(catalogue())


def test_one_rule_per_meter_and_threshold_serves_every_plan_that_asks_for_it() -> None:
    rules = [rule for content in groups(catalogue()).values() for group in content for rule in group.alerts]
    reached = [rule for rule in rules if rule.name == "RatingAllowanceReached"]
    assert [(rule.labels["meter"], rule.labels["threshold"]) for rule in reached] == [
        ("api_calls", "80%"),
        ("api_calls", "100%"),
        ("tokens", "80%"),
        ("tokens", "100%"),
    ]
    assert 'plan=~"free|pro"' in str(reached[0].expr)
    assert 'plan="pro"' in str(reached[2].expr)


def test_the_same_catalogue_gives_the_same_bytes() -> None:
    assert files(catalogue()) == files(catalogue())


def test_every_alert_says_who_should_care_and_where_to_read_on() -> None:
    readme = (ROOT / "rules" / "README.md").read_text()
    alerts = [rule for content in groups(demonstration()).values() for group in content for rule in group.alerts]
    assert len(alerts) > 10
    for alert in alerts:
        assert alert.labels["audience"] in ("upsell", "finance", "operations")
        assert alert.labels["severity"] in ("info", "warning", "critical")
        assert {"summary", "description", "runbook"} <= set(alert.annotations)
        assert f"### {alert.name}\n" in readme, f"rules/README.md tells nobody what to do about {alert.name}"


def test_the_committed_files_are_fresh() -> None:
    for name, text in files(demonstration()).items():
        assert (ROOT / "rules" / name).read_text() == text, f"rules/{name} is stale; run: rating rules write"
    assert all(
        text.startswith(("# Generated", "{{/* Generated")) and "rating rules write" in text
        for text in files(demonstration()).values()
    )


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "rules" / "promtool").glob("*.yml")))
def test_the_rules_own_tests_pass(file: str, promtool: Path) -> None:
    done = run(promtool, "test", "rules", ROOT / "rules" / "promtool" / file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title in CATALOGUES if title != "nothing to sell"])
def test_live_usage_of_any_meter_passes_its_stories(title: str, promtool: Path, tmp_path: Path) -> None:
    folder = placed(files(CATALOGUES[title]), tmp_path)
    story = folder / "promtool" / "live_usage.test.yml"
    assert len(yaml.safe_load(story.read_text())["tests"]) >= 2
    done = run(promtool, "test", "rules", story)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_meter_that_promql_cannot_tell_by_consumer_shows_exact_usage_alone(promtool: Path, tmp_path: Path) -> None:
    shaped = CATALOGUES["two metrics, API keys that stand for consumers"]
    folder = placed(files(shaped), tmp_path)
    recorded = [
        (record.name, record.labels["meter"])
        for group in groups(shaped)[ALLOWANCES]
        for record in group.rules
        if isinstance(record, Record)
    ]
    assert recorded == [
        (names.ESTIMATED_USAGE_UNITS, "api_calls"),
        (names.LIVE_UNITS, "tokens"),
        (names.ESTIMATED_USAGE_UNITS, "tokens"),
    ]
    stories = sorted(folder.glob("promtool/*.test.yml"))
    assert len(stories) > 4
    done = run(promtool, "test", "rules", *stories)
    assert done.returncode == 0, done.stdout + done.stderr


# Alertmanager

URLS = Receivers("http://crm/hook", "http://pager/hook", "", "http://log/hook", "http://engine/hook", "/run/token")


def test_alertmanager_accepts_its_configuration(amtool: Path, tmp_path: Path) -> None:
    for name, receivers in {"all": URLS, "none": Receivers("", "", "", "", "")}.items():
        file = tmp_path / f"{name}.yml"
        file.write_text(generate(catalogue(), receivers)["alertmanager.yml"])
        done = run(amtool, "check-config", file)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("audience=upsell", "threshold=80%", "consumer=acme"), "engine,upsell"),
        (("audience=operations", "severity=critical"), "engine,operations"),
        (("audience=finance",), "engine,finance"),
        (("alertname=SomebodyElses",), "default"),
    ],
)
def test_an_alert_reaches_its_audience(labels: tuple[str, ...], receiver: str, amtool: Path, tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(generate(catalogue(), URLS)["alertmanager.yml"])
    done = run(amtool, "config", "routes", "test", f"--config.file={file}", f"--verify.receivers={receiver}", *labels)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_higher_threshold_silences_the_lower_ones_of_the_same_consumer_and_meter() -> None:
    configuration = yaml.safe_load(generate(catalogue(), URLS)["alertmanager.yml"])
    full = configuration["inhibit_rules"][0]
    assert full["source_matchers"] == ['alertname="RatingAllowanceReached"', 'threshold="100%"']
    assert full["target_matchers"] == ['alertname="RatingAllowanceReached"', 'threshold=~"80%"']
    assert full["equal"] == ["consumer", "meter"]
    upsell = next(route for route in configuration["route"]["routes"] if route["receiver"] == "upsell")
    assert upsell["group_by"] == ["customer"]


def test_the_engine_hears_each_alert_at_once_and_by_its_token() -> None:
    """A second threshold must not wait for the turn of the group that the first one is in."""
    written = yaml.safe_load(generate(catalogue(), URLS)["alertmanager.yml"])
    route = written["route"]["routes"][0]
    assert (route["receiver"], route["group_by"], route["continue"]) == ("engine", ["..."], True)
    [hook] = written["receivers"][0]["webhook_configs"]
    assert (hook["url"], hook["send_resolved"]) == ("http://engine/hook", True)
    assert hook["http_config"]["authorization"] == {"type": "Bearer", "credentials_file": "/run/token"}
    alone = yaml.safe_load(generate(catalogue(), Receivers("", "", "", "", ""))["alertmanager.yml"])
    assert "engine" not in {receiver["name"] for receiver in alone["receivers"]}


QUIET = Muted(("saturday", "sunday"), "18:00", "08:00", "Europe/Berlin")


def test_quiet_times_hold_for_sales_and_finance_alone(amtool: Path, tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(generate(catalogue(), URLS, muted=QUIET)["alertmanager.yml"])
    done = run(amtool, "check-config", file)
    assert done.returncode == 0, done.stdout + done.stderr
    configuration = yaml.safe_load(file.read_text())
    muted = {route["receiver"] for route in configuration["route"]["routes"] if route.get("mute_time_intervals")}
    assert muted == {"upsell", "finance"}
    [named] = configuration["time_intervals"]
    assert [interval.get("weekdays", interval.get("times")) for interval in named["time_intervals"]] == [
        ["saturday", "sunday"],
        [{"start_time": "18:00", "end_time": "24:00"}],
        [{"start_time": "00:00", "end_time": "08:00"}],
    ]
    assert {interval["location"] for interval in named["time_intervals"]} == {"Europe/Berlin"}
    assert Muted((), "22:00", "00:00").intervals() == [
        {"times": [{"start_time": "22:00", "end_time": "24:00"}], "location": "UTC"}
    ]


def test_people_read_sentences_in_slack(amtool: Path, tmp_path: Path) -> None:
    texts = generate(catalogue(), replace(URLS, slack_url_file="/run/slack", slack_channel="#rating"))
    placed({name: texts[name] for name in ("alertmanager.yml", "rating.tmpl")}, tmp_path)
    done = run(amtool, "check-config", tmp_path / "alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 templates" in done.stdout
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "RatingWindowsHeld", "meter": "api_calls"},
            "annotations": {"summary": "2 windows of api_calls are held", "description": "Look.", "runbook": "here"},
        }
    ]
    data = {
        "status": "firing",
        "alerts": alerts,
        "commonLabels": alerts[0]["labels"],
        "commonAnnotations": {},
        "groupLabels": {},
        "receiver": "operations",
        "externalURL": "http://am",
    }
    (tmp_path / "data.json").write_text(json.dumps(data))
    said = {}
    for name in ("rating.title", "rating.text"):
        text = f'{{{{ template "{name}" . }}}}'
        words = ("--template.glob", tmp_path / "rating.tmpl", "--template.text", text)
        done = run(amtool, "template", "render", *words, "--template.data", tmp_path / "data.json")
        assert done.returncode == 0, done.stdout + done.stderr
        said[name] = done.stdout.strip()
    assert said["rating.title"] == "1 RatingWindowsHeld of api_calls"
    assert said["rating.text"] == "2 windows of api_calls are held\nLook.\nWhat to do: here"
