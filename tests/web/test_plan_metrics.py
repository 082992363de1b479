"""What /metrics says by plan and of queries: tiers, who was told and converted, questions to Prometheus."""

from __future__ import annotations

import json
import math
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from rating.core.conversions import Approach
from rating.core.notices import Kind
from rating.core.periods import Cadence
from rating.core.plans import Plan
from rating.core.prices.converted import Conversion
from rating.web.planmetrics import PipelineCollector, TierCollector
from rating.web.querymetrics import QueryMetrics
from rating_dashboards.consumer import in_tiers
from rating_rules.promql import Match
from tests.stories import OCTOBER, PRO, USD

SCALE = Plan("scale", "Scale", USD, Cadence.YEAR, fee=Fraction(1200))


def samples(collector: Collector) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def tiers_of(plan: Plan) -> dict[tuple[str, ...], float]:
    collector = TierCollector()
    collector.show([plan])
    return samples(collector)


def test_tiers_of_a_plan_begin_with_its_allowance() -> None:
    found = {(name, labels[3], labels[4]): value for (name, *labels), value in tiers_of(PRO).items()}
    assert found == {
        ("rating_tier_start_units", "01", "0"): 0,
        ("rating_tier_end_units", "01", "0"): 100,
        ("rating_tier_start_units", "02", "0.015"): 100,
        ("rating_tier_end_units", "02", "0.015"): 300,
        ("rating_tier_start_units", "03", "0.0101"): 300,
        ("rating_tier_end_units", "03", "0.0101"): math.inf,
    }


def test_tiers_in_converted_units_are_shown_in_the_meter_s() -> None:
    card = replace(PRO.cards[0], conversion=Conversion(Fraction(1, 1000)))
    starts = [
        value for (name, *_), value in tiers_of(replace(PRO, cards=(card,))).items() if name.endswith("start_units")
    ]
    assert starts == [0, 100_000, 300_000]


def test_usage_in_each_tier_is_what_the_board_asks_for(promtool: Path, tmp_path: Path) -> None:
    """250 calls: 100 included, 150 of the 200 of the next tier, none in the last. Another's 9,000 are not counted."""
    registry = CollectorRegistry()
    collector = TierCollector()
    collector.show([PRO])
    registry.register(collector)
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    series = [
        {"series": line.rsplit(" ", 1)[0], "values": line.rsplit(" ", 1)[1].replace("+Inf", "Inf")} for line in lines
    ]
    series += [
        {"series": f'rating:estimate:usage_units{{consumer="{who}", plan="pro", meter="api_calls"}}', "values": value}
        for who, value in (("acme", "250"), ("globex", "9000"))
    ]
    expected = [
        {"labels": f'{{plan="pro", meter="api_calls", charge="api_calls", currency="USD", {rest}}}', "value": value}
        for rest, value in (
            ('tier="01", price="0", what="included"', 100),
            ('tier="02", price="0.015", what="each in this tier"', 150),
        )
    ]
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {"expr": str(in_tiers(Match("consumer", "=~", "acme"))), "eval_time": "0s", "exp_samples": expected}
        ],
    }
    file = tmp_path / "tiers.yml"
    file.write_text(json.dumps({"tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_who_was_told_and_who_is_on_the_next_plan() -> None:
    collector = PipelineCollector()
    plans = {"pro": PRO, "scale": SCALE}
    collector.show((), plans)
    assert samples(collector) == {
        ("rating_upsells_told", "pro", "scale"): 0,
        ("rating_upsells_converted", "pro", "scale"): 0,
    }
    one = Approach("a", "acme", "acme", "pro", "scale", OCTOBER.start, OCTOBER.start, (Kind.ALLOWANCE_REACHED,))
    collector.show((one, replace(one, subscription="b", converted_at=OCTOBER.end)), plans)
    assert samples(collector) == {
        ("rating_upsells_told", "pro", "scale"): 2,
        ("rating_upsells_converted", "pro", "scale"): 1,
        # 1,200 a year in place of 49 a month.
        ("rating_upsells_converted_monthly_amount", "pro", "scale", "USD"): 51,
    }


def test_questions_are_counted_by_server_way_and_outcome() -> None:
    registry = CollectorRegistry()
    metrics = QueryMetrics(registry)
    metrics.asked("http://one:9090", "remote", "answered", 0.2)
    metrics.asked("http://one:9090", "remote", "failed", 120)
    text = generate_latest(registry).decode()
    assert 'rating_queries_total{outcome="answered",server="http://one:9090",way="remote"} 1.0' in text
    assert 'rating_query_duration_seconds_bucket{le="60.0",server="http://one:9090",way="remote"} 1.0' in text
    assert 'rating_query_duration_seconds_sum{server="http://one:9090",way="remote"} 120.2' in text
