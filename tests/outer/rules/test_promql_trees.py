"""PromQL trees: what they write, and that a label value stays data."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating_rules.promql import (
    Aggregate,
    Binary,
    Match,
    Number,
    Selector,
    Subquery,
    by,
    call,
    duration,
    literally,
    metric,
    one_of,
    quote,
    render,
    rewritten,
)

HOUR = timedelta(hours=1)
CALLS = metric("calls_total", consumer="acme")


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (CALLS, 'calls_total{consumer="acme"}'),
        (CALLS.over(HOUR).before(timedelta(milliseconds=1)), 'calls_total{consumer="acme"}[1h] offset 1ms'),
        (Selector("t", at_end=True), "t @ end()"),
        (Subquery(CALLS, 3 * HOUR, HOUR), '(calls_total{consumer="acme"})[3h:1h]'),
        (by("sum", ("a", "b"), CALLS), 'sum by (a, b) (calls_total{consumer="acme"})'),
        (Aggregate("max", metric("m"), without=("replica",)), "max without (replica) (m)"),
        (Aggregate("topk", metric("m"), by=("a",), parameter=Number(1)), "topk by (a) (1, m)"),
        ((metric("a") - metric("b")).compared(">=", 0), "(a - b) >= 0"),
        (metric("a") - (metric("b") - metric("c")), "a - (b - c)"),
        (metric("a").either(metric("b")).either(metric("c")), "a or b or c"),
        (metric("a").compared("==", 1, bool=True), "a == bool 1"),
        (Binary("*", metric("a"), metric("b"), on=("x",), group_left=("y",)), "a * on (x) group_left (y) b"),
        (call("clamp_min", metric("a"), 0.25), "clamp_min(a, 0.25)"),
    ],
)
def test_a_tree_reads_as_promql(tree: Selector, text: str) -> None:
    assert render(tree) == text


def test_a_long_query_is_broken_into_lines_and_means_the_same() -> None:
    long = by(
        "sum", ("consumer",), metric("first_metric_total", a="x" * 40) / metric("second_metric_total", a="y" * 40)
    )
    text = render(long)
    assert "\n" in text
    joined = re.sub(r"\s+", " ", text).replace("( ", "(").replace(" )", ")")
    assert joined == f'sum by (consumer) (first_metric_total{{a="{"x" * 40}"}} / second_metric_total{{a="{"y" * 40}"}})'


def test_durations_use_the_largest_unit_that_divides_them() -> None:
    assert [duration(timedelta(seconds=s)) for s in (0.5, 90, 3600, 3900, 86400)] == ["500ms", "90s", "1h", "65m", "1d"]
    with pytest.raises(ValueError, match="positive"):
        duration(timedelta(0))


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_a_label_value_is_quoted_whole(value: str) -> None:
    text = render(metric("m", consumer=value))
    assert text == f"m{{consumer={quote(value)}}}"
    # A quote that is not escaped would end the literal early.
    body = quote(value)[1:-1]
    assert not re.search(r'(?<!\\)(\\\\)*"', body)
    assert "\n" not in body
    assert json.loads(quote(value)) == value


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), min_size=2, max_size=4, unique=True))
def test_one_of_several_values_matches_these_and_nothing_else(values: list[str]) -> None:
    match = one_of("plan", values)
    assert match.operator == "=~"
    pattern = re.compile(match.value)
    assert all(pattern.fullmatch(value) for value in values)
    assert not pattern.fullmatch("".join(values) + "x")
    assert literally("a.b") == r"a\.b"


NASTY = (
    '"} or vector(1) #',
    "back\\slash",
    "new\nline",
    "tab\tbell\a",
    "ünï☃",
    "",
    "{{ $value }}",
    "a|b.*",
    "\x7f\x00",
)


def test_promtool_reads_hostile_label_values_as_values(promtool: Path, tmp_path: Path) -> None:
    """`m` with each hostile value answers its own series and no other."""
    document = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f"m{{id={quote(str(index))}, value={quote(value)}}}", "values": "1"}
                    for index, value in enumerate(NASTY)
                    if value
                ],
                "promql_expr_test": [
                    {
                        "expr": f"count({render(Selector('m', (Match('value', '=', value),)))})",
                        "eval_time": "0s",
                        "exp_samples": [{"labels": "{}", "value": 1}],
                    }
                    for value in NASTY
                    if value
                ],
            }
        ],
    }
    file = tmp_path / "hostile.yml"
    file.write_text(json.dumps(document))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_tree_can_be_rewritten_leaf_by_leaf() -> None:
    tree = by("sum", ("a",), metric("m")).compared(">", Number(80, threshold=True))

    def double(node: object) -> object:
        return Number(node.value * 2) if isinstance(node, Number) else node

    assert render(rewritten(tree, double)) == "sum by (a) (m) > 160"  # type: ignore[arg-type]
