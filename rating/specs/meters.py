"""A meter as written becomes a Meter, or findings about what does not fit inside it."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

from rating.core.counters import OTHER
from rating.core.meters import MILLISECONDS, Degraded, Kind, Matcher, Meter
from rating.core.money import Rounding
from rating.specs.fields import duration_text, share_text
from rating.specs.findings import Findings, Place
from rating.specs.nearest import or_one_of
from rating.specs.schema import MeterSpec


def meter_of(name: str, spec: MeterSpec, place: Place, findings: Findings) -> Meter | None:
    """The meter, or None after at least one finding."""
    before = findings.count
    _metrics(spec, place, findings)
    _labels(spec, place, findings)
    _values(spec, place, findings)
    _times(spec, place, findings)
    _shape(spec, place, findings)
    _trust(spec, place, findings)
    if spec.coverage > 1:
        findings.add(place.at("coverage"), f"{share_text(spec.coverage)} is more than 100%", "write a share up to 100%")
    if findings.count > before:
        return None
    metrics = [spec.metric] if spec.metric is not None else spec.metrics
    kept = tuple(
        tuple(spec.dimension_values[label]) if label in spec.dimension_values else None for label in spec.dimensions
    )
    units, share = spec.tolerate or (None, None)
    return Meter(
        name=name,
        metric=metrics[0],
        added_metrics=tuple(metrics[1:]),
        consumer=spec.consumer,
        dimensions=tuple(spec.dimensions),
        where=(
            *(Matcher(label, pattern) for label, pattern in sorted(spec.where.items())),
            *(Matcher(label, pattern, negated=True) for label, pattern in sorted(spec.where_not.items())),
        ),
        unit=spec.unit,
        digits=spec.resolution + (MILLISECONDS if spec.kind is Kind.GAUGE else 0),
        lifetime=spec.counter,
        births=spec.births,
        replica_labels=tuple(spec.replica_labels),
        volatile_labels=tuple(spec.volatile_labels),
        target_labels=tuple(spec.target_labels),
        window=spec.window,
        settling=spec.settling,
        scrape_interval=spec.scrape_interval,
        lookback=spec.lookback,
        coverage=spec.coverage,
        consumers=tuple(sorted((key.removeprefix("sha256:"), consumer) for key, consumer in spec.consumers.items())),
        dimension_values=kept if spec.dimension_values else (),
        kind=spec.kind,
        hold=spec.hold,
        conversion=spec.conversion.factor if spec.conversion else Fraction(1),
        rounding=spec.conversion.round if spec.conversion else Rounding.HALF_UP,
        max_rate=spec.max_rate,
        degraded=spec.degraded,
        tolerated=units,
        tolerated_share=share,
        sources=tuple(spec.sources),
    )


def _shape(spec: MeterSpec, place: Place, findings: Findings) -> None:
    """What counters have and gauges have not, and the other way round."""
    metrics = [(place.at("metric"), spec.metric)] if spec.metric is not None else []
    metrics += [(place.at("metrics", i), metric) for i, metric in enumerate(spec.metrics)]
    if spec.kind is Kind.GAUGE:
        for key in ("counter", "births"):
            if key in spec.model_fields_set:
                findings.add(place.at(key), "is about counters, and this is a gauge", "leave it out")
        if spec.max_rate is not None:
            hint = (
                "leave it out: between two samples a gauge may have any value, and what it came to is the step rule's"
            )
            findings.add(place.at("max_rate"), "is about counters, and this is a gauge", hint)
        if spec.resolution > 12 - MILLISECONDS:
            what = f"a gauge's time is counted in milliseconds, which leaves its readings {12 - MILLISECONDS} decimals"
            findings.add(place.at("resolution"), what, 'write "0.000000001" or coarser')
        for at, metric in metrics:
            if metric.endswith(("_total", "_count", "_sum", "_bucket")):
                findings.warn(at, f'"{metric}" is called as counters are', "leave kind: gauge out if it only rises")
        if timedelta(0) < spec.hold < spec.scrape_interval:
            what = (
                f"a sample that holds for {duration_text(spec.hold)} has ended before the next scrape after "
                f"{duration_text(spec.scrape_interval)}"
            )
            findings.add(place.at("hold"), what, "write several scrape intervals, such as 5m")
        if spec.hold <= timedelta(0):
            findings.add(place.at("hold"), "a sample that holds for 0s counts nothing", "write a time such as 5m")
        return
    if "hold" in spec.model_fields_set:
        findings.add(place.at("hold"), "is about gauges, and this is a counter", "write kind: gauge, or leave it out")
    for at, metric in metrics:
        if metric.endswith("_bucket") and "le" not in spec.where:
            hint = f'bill {metric.removesuffix("_bucket")}_count, or one bucket by where: {{le: "0\\.5"}}'
            findings.add(at, f'"{metric}" counts each observation once in every bucket it fits', hint)


def _trust(spec: MeterSpec, place: Place, findings: Findings) -> None:
    if spec.degraded is Degraded.HOLD and spec.tolerate is not None:
        findings.add(place.at("tolerate"), "degraded: hold tolerates nothing", "keep one of them")
    for i, source in enumerate(spec.sources):
        if source in spec.sources[:i]:
            findings.add(place.at("sources", i), f'"{source}" is listed twice', "it would be counted twice; keep one")


def _metrics(spec: MeterSpec, place: Place, findings: Findings) -> None:
    if spec.metric is not None and spec.metrics:
        findings.add(place.at("metrics"), "metric is written as well", "list every counter here, or keep metric alone")
    for i, metric in enumerate(spec.metrics):
        if metric in spec.metrics[:i]:
            findings.add(place.at("metrics", i), f'"{metric}" is listed twice', "it would be counted once; keep one")


def _values(spec: MeterSpec, place: Place, findings: Findings) -> None:
    for label, values in spec.dimension_values.items():
        here = place.at("dimension_values", label)
        if label not in spec.dimensions:
            hint = or_one_of(label, spec.dimensions, "add it to the dimensions, or leave it out here")
            findings.add(here, f'"{label}" is no dimension of this meter', hint)
        for i, value in enumerate(values):
            if value in values[:i]:
                findings.add(here.at(i), f'"{value}" is listed twice', "keep one of them")
            if value == OTHER:
                findings.add(here.at(i), f'"{OTHER}" is what all other values become', "leave it out")
    for consumer in spec.consumers.values():
        if consumer.startswith("<unknown:"):
            findings.add(place.at("consumers"), f'"{consumer}" is what unknown keys become', "name the consumer")


def _labels(spec: MeterSpec, place: Place, findings: Findings) -> None:
    for key in ("dimensions", "replica_labels", "volatile_labels", "target_labels"):
        labels = getattr(spec, key)
        for i, label in enumerate(labels):
            if label in labels[:i]:
                findings.add(place.at(key, i), f'label "{label}" is listed twice', "keep one of them")
    if spec.consumer in spec.dimensions:
        findings.add(
            place.at("dimensions", spec.dimensions.index(spec.consumer)),
            f'label "{spec.consumer}" is already the consumer',
            "leave it out of the dimensions",
        )
    # A billed label must be stable: usage of one counter may not wander between two consumers or two dimension values.
    billed = (spec.consumer, *spec.dimensions)
    for key, why in (
        ("replica_labels", "replicas are merged, so it would be lost"),
        ("volatile_labels", "it may change while the counter goes on"),
    ):
        for i, label in enumerate(getattr(spec, key)):
            if label in billed:
                findings.add(place.at(key, i), f'label "{label}" is billed by, but {why}', "remove it here or there")
    for i, label in enumerate(spec.target_labels):
        if label in spec.replica_labels:
            findings.add(
                place.at("target_labels", i),
                f'label "{label}" cannot both name a target and tell replicas apart',
                "replicas scrape the same target",
            )


def _times(spec: MeterSpec, place: Place, findings: Findings) -> None:
    window = duration_text(spec.window)
    if spec.window < timedelta(minutes=1) or timedelta(days=1) % spec.window:
        findings.add(
            place.at("window"),
            f"a window of {window} does not tile a day in pieces of a minute or more",
            "write a divisor of 24h such as 15m, 1h or 6h",
        )
    if spec.scrape_interval <= timedelta(0):
        findings.add(
            place.at("scrape_interval"), "a scrape interval of 0s", "write the job's scrape_interval, such as 15s"
        )
    elif spec.scrape_interval * 2 > spec.window:
        findings.add(
            place.at("scrape_interval"),
            f"a scrape every {duration_text(spec.scrape_interval)} gives a window of {window} fewer than two samples",
            "lengthen the window",
        )
    if spec.lookback < spec.window:
        findings.add(
            place.at("lookback"),
            f"a lookback of {duration_text(spec.lookback)} is shorter than one window of {window}",
            "write the retention of Prometheus, such as 15d",
        )
