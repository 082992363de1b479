"""The PromQL text of every question. The one place where label values are quoted.

Decides how a question is spelled; which questions are asked is `source`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from rating.core.meters import Matcher, Meter, literally


def quoted(text: str) -> str:
    """A PromQL string literal. JSON's escapes are a subset of Go's, once nothing but ASCII controls is escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def selector(metric: str, where: Sequence[Matcher] = (), among: Mapping[str, Iterable[str]] | None = None) -> str:
    """`metric{...}`: labels matching patterns, and others with one of some literal values."""
    parts = [f"{matcher.label}{'!~' if matcher.negated else '=~'}{quoted(matcher.pattern)}" for matcher in where]
    parts += [f"{label}=~{quoted(literally(values))}" for label, values in sorted((among or {}).items())]
    return f"{metric}{{{','.join(parts)}}}" if parts else metric


def counters(meter: Meter, among: Mapping[str, Iterable[str]] | None = None, piece: Sequence[Matcher] = ()) -> str:
    return selector(meter.metric, (*meter.where, *piece), among)


def last(series: str, range: int) -> str:
    """The last sample of each series within `range` milliseconds. Unlike a bare selector it does not look past a
    series that went stale: a target that stopped inside the window would vanish with its last increments."""
    return f"last_over_time({series}[{range}ms])"


def resets(series: str, range: int) -> str:
    """The falls in value of each series with a sample within `range`."""
    return f"resets({series}[{range}ms])"


FALLS = "falls"


def counted_resets(series: str, range: int) -> str:
    """How many series fell so often: a row for each number of falls, as a label FALLS."""
    return f'count_values("{FALLS}", {resets(series, range)})'


def fallen(series: str, range: int) -> str:
    return f"{resets(series, range)} > 0"


def lowest(series: str, labels: Sequence[str], range: int) -> str:
    return f"min by ({', '.join(labels)}) (min_over_time({series}[{range}ms]))"


def highest(series: str, labels: Sequence[str], range: int) -> str:
    return f"max by ({', '.join(labels)}) (max_over_time({series}[{range}ms]))"


def increase(series: str, range: int) -> str:
    return f"increase({series}[{range}ms])"


def rate(series: str, range: int) -> str:
    return f"rate({series}[{range}ms])"


def summed(vector: str, labels: Sequence[str]) -> str:
    return f"sum by ({', '.join(labels)}) ({vector})"


def samples(series: str, range: int) -> str:
    return f"{series}[{range}ms]"


def scraped(series: str, range: int) -> str:
    """How many of the series have a sample within `range`."""
    return f"count(count_over_time({series}[{range}ms]))"


def present(series: str) -> str:
    """How many of the series are there at an instant."""
    return f"count({series})"


def labelled(series: str, labels: Sequence[str], range: int) -> str:
    """The distinct values of these labels among series with a sample within `range`."""
    return f"group by ({', '.join(labels)}) (last_over_time({series}[{range}ms]))"


def went_on(series: str, starts: str, labels: Sequence[str], range: int) -> str:
    """Targets whose process restarted within `range` while none of their counters, one above zero, ever fell."""
    by = ", ".join(labels)
    return (
        f"max by ({by}) (changes({starts}[{range}ms])) > 0"
        f" and on ({by}) (max by ({by}) (last_over_time({series}[{range}ms])) > 0)"
        f" unless on ({by}) (sum by ({by}) (resets({series}[{range}ms])) > 0)"
    )


def without(left: str, labels: Sequence[str], right: str) -> str:
    """Rows of `left` whose labels no row of `right` has."""
    return f"{left} unless on ({', '.join(labels)}) {right}"
