"""The engine itself: its jobs and queries, their errors and durations, and what it takes from its machine."""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating_dashboards.style import Board, Query, Row, graph, number, rows_of
from rating_rules.promql import Binary, Expr, Match, Selector, by, call, metric

# The engine calls this label `job`; Prometheus keeps that name for the scrape job and renames ours.
_JOB = ("exported_job",)
_SPAN, _DAY = timedelta(minutes=15), timedelta(days=1)
_NAME = "{{exported_job}}"


def engine(catalogue: Catalogue) -> Board:
    errors = metric(names.JOB_ERRORS)
    since_success = call("time") - by("max", _JOB, metric(names.JOB_LAST_SUCCESS))
    count, total = metric(f"{names.JOB_SECONDS}_count"), metric(f"{names.JOB_SECONDS}_sum")
    buckets = by("sum", (*_JOB, "le"), _rate(metric(f"{names.JOB_SECONDS}_bucket")))
    queries, unanswered = metric(names.QUERIES), metric(names.QUERIES, Match("outcome", "!=", "answered"))
    asked_count, asked_total = metric(f"{names.QUERY_SECONDS}_count"), metric(f"{names.QUERY_SECONDS}_sum")
    asked_buckets = by("sum", ("server", "way", "le"), _rate(metric(f"{names.QUERY_SECONDS}_bucket")))
    return Board(
        "rating-engine",
        "Rating / Engine",
        "Jobs, queries, errors and resources of the rating engine.",
        [
            Row(
                "Now",
                [
                    number("Engines scraped", Query(call("count", _of_engine(metric(names.UP)))), "short"),
                    number(
                        "Errors in a day",
                        Query(call("sum", call("increase", errors.over(_DAY)))),
                        "short",
                        decimals=0,
                        bad_from=1,
                    ),
                    number("Longest due window", Query(call("max", metric(names.COLLECT_LAG))), "s", bad_from=1800),
                    number("Firing alerts", Query(call("count", _alerts())), "short", bad_from=1),
                ],
            ),
            Row(
                "Jobs",
                [
                    graph("Runs a second", [Query(by("sum", _JOB, _rate(count)), _NAME)], "ops", stacked=True),
                    graph(
                        "Errors in 15 minutes",
                        [Query(by("sum", _JOB, call("increase", errors.over(_SPAN))), _NAME)],
                        "short",
                    ),
                    graph(
                        "Mean duration",
                        [
                            Query(
                                Binary("/", by("sum", _JOB, _rate(total)), by("sum", _JOB, _rate(count)), on=_JOB),
                                _NAME,
                            )
                        ],
                        "s",
                    ),
                    graph(
                        "Slowest twentieth",
                        [Query(call("histogram_quantile", 0.95, buckets), _NAME)],
                        "s",
                        what="95th percentile, by the histogram's buckets",
                    ),
                    rows_of("Since the last success", Query(since_success), "s", _JOB, "Age"),
                    rows_of(
                        "Firing alerts",
                        Query(by("count", ("alertname", "severity", "audience"), _alerts())),
                        "none",
                        ("alertname", "severity", "audience"),
                        "Alerts",
                    ),
                ],
            ),
            Row(
                "Queries",
                [
                    graph(
                        "Questions to Prometheus a second",
                        [Query(by("sum", ("server", "way"), _rate(queries)), "{{server}} {{way}}")],
                        "reqps",
                        stacked=True,
                        what="promql: query answers; remote: streamed samples; metadata: all else.",
                    ),
                    graph(
                        "Not answered, in 15 minutes",
                        [
                            Query(
                                by("sum", ("server", "outcome"), call("increase", unanswered.over(_SPAN))),
                                "{{server}} {{outcome}}",
                            )
                        ],
                        "short",
                        what="failed: away, slow or cut short, and tried again. refused: it declined to answer.",
                    ),
                    graph(
                        "Mean duration of an answer",
                        [
                            Query(
                                Binary(
                                    "/",
                                    by("sum", ("server", "way"), _rate(asked_total)),
                                    by("sum", ("server", "way"), _rate(asked_count)),
                                    on=("server", "way"),
                                ),
                                "{{server}} {{way}}",
                            )
                        ],
                        "s",
                    ),
                    graph(
                        "Slowest twentieth of answers",
                        [Query(call("histogram_quantile", 0.95, asked_buckets), "{{server}} {{way}}")],
                        "s",
                        what="95th percentile, by the histogram's buckets",
                    ),
                ],
            ),
            Row(
                "Process",
                [
                    graph(
                        "Memory", [Query(_of_engine(metric("process_resident_memory_bytes")), "{{instance}}")], "bytes"
                    ),
                    graph(
                        "Processor",
                        [Query(_of_engine(_rate(metric("process_cpu_seconds_total"))), "{{instance}}")],
                        "percentunit",
                        what="Share of one core",
                    ),
                ],
            ),
        ],
    )


def _rate(counter: Selector) -> Expr:
    return call("rate", counter.over(_SPAN))


def _of_engine(vector: Expr) -> Expr:
    """Only of targets that expose the engine's own metrics, whatever their scrape job is called."""
    return vector.both(metric(names.COLLECT_LAG), on=("job", "instance"))


def _alerts() -> Selector:
    return metric("ALERTS", Match("audience", "=~", "upsell|finance|operations"), alertstate="firing")
