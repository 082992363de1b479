"""Samples as OpenMetrics text with timestamps. Decides how numbers are written so that they read back the same.

The text has no word for staleness markers: whoever reads it sees a series that ends, not one that was ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Milliseconds = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One time series as one Prometheus stores it."""

    metric: str
    labels: Mapping[str, str]
    times: Milliseconds
    """Since the epoch, rising."""
    values: NDArray[Any]
    """int64 or float64."""
    stale: Milliseconds = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """When scrapes noticed that it was gone: Prometheus stores a staleness marker there."""


def write(path: Path, series: Iterable[Series]) -> int:
    """Write every series, metric by metric, and return the number of samples."""
    families: dict[str, list[Series]] = {}
    for one in series:
        families.setdefault(one.metric, []).append(one)
    samples = 0
    with path.open("w", encoding="utf-8", buffering=1 << 20) as file:
        for metric, members in families.items():
            counter = metric.endswith("_total")
            file.write(f"# TYPE {metric.removesuffix('_total')} {'counter' if counter else 'gauge'}\n")
            for one in members:
                samples += len(one.times)
                file.write(_lines(one))
        file.write("# EOF\n")
    return samples


def _lines(series: Series) -> str:
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(series.labels.items()) if value)
    head = f"{series.metric}{{{labels}}} "
    # Both columns as text at once: formatting them line by line is what makes such files slow to write.
    values = map(repr, series.values.tolist())
    return "".join([f"{head}{value} {time}\n" for value, time in zip(values, _seconds(series.times), strict=True)])


def _seconds(times: Milliseconds) -> list[str]:
    """`1700000000.123`, exact to the millisecond."""
    whole, rest = np.divmod(times, 1000)
    if not rest.any():
        return list(map(str, whole.tolist()))
    return [f"{second}.{part:03d}" for second, part in zip(whole.tolist(), rest.tolist(), strict=True)]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
