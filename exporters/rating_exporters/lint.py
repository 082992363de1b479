"""What would go wrong if a bill were made from this /metrics page.

Decides from one scrape alone; it cannot see what happens between two. Leaves fetching and printing to `cli`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from .vocabulary import OVERFLOWS

LIMIT = 2**53
NEAR = 0.5  # of LIMIT; a counter this far on has had half its life
MANY_VALUES = 1_000  # of one label: more is rarely an API's own choice
CONSUMER_LABELS = (
    "consumer_id",
    "consumer",
    "customer",
    "customer_id",
    "tenant",
    "tenant_id",
    "account",
    "api_key",
    "key",
)
PATH_LABELS = ("path", "url", "uri", "endpoint", "handler", "route", "matched_uri")
SECRET = re.compile(r"^(sk-|pk_|Bearer |ey[A-Za-z0-9_-]{10,}\.)|^[A-Fa-f0-9]{32,}$")
PARAMETER = re.compile(r"[{<:*]")  # a route template names its parameters
IDENTIFIER = re.compile(r"/(\d+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,})(/|$)")
# Counted by runtimes and this package about themselves; nobody is billed for them.
OWN = ("process_", "python_", "go_", "promhttp_", "rating_exporters_", "scrape_")


@dataclass(frozen=True, slots=True, order=True)
class Advice:
    """One thing that would go wrong: how bad ("error" changes a bill, "warning" may), about what, and what to do."""

    severity: str
    metric: str
    sentence: str
    hint: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.metric}: {self.sentence}; {self.hint}"


def lint(page: str) -> list[Advice]:
    """All advice about one page in the text format, errors first. ValueError when it is not a metrics page."""
    families = list(text_string_to_metric_families(page))
    if not families:
        raise ValueError("the page holds no metrics; is it the /metrics address?")
    found = [*_whole_page(families)]
    for family in families:
        if not family.name.startswith(OWN):
            found.extend(_family(family))
    return sorted(found)


def _whole_page(families: list[Metric]) -> Iterator[Advice]:
    names = {family.name for family in families}
    if "process_start_time_seconds" not in names:
        yield Advice(
            "warning", "process_start_time_seconds", "is missing: a restart that overtakes its old total stays unseen",
            "expose it (prometheus-client's default registry does on Linux), or use durable counters",
        )  # fmt: skip
    counters = [family for family in families if _counts(family)]
    if not any(set(labels) & set(CONSUMER_LABELS) for family in counters for labels in _label_names(family)):
        yield Advice(
            "error", "the page", "no counter says who the consumer was",
            f"add a consumer label to the counters that are billed ({', '.join(CONSUMER_LABELS[:3])} ...)",
        )  # fmt: skip
    for family in families:
        for sample in family.samples:
            if sample.name == OVERFLOWS and sample.value > 0:
                yield Advice(
                    "error", sample.labels.get("metric", "?"),
                    f"{sample.value:.0f} counts went to <overflow> because {sample.labels.get('label')} is full",
                    "raise the bound of the guard, or find who sends them",
                )  # fmt: skip


def _counts(family: Metric) -> bool:
    return family.type == "counter" and not family.name.startswith(OWN)


def _label_names(family: Metric) -> set[tuple[str, ...]]:
    return {tuple(sample.labels) for sample in family.samples}


def _family(family: Metric) -> Iterator[Advice]:
    name = family.name
    if family.type in ("gauge", "unknown") and name.endswith("_total"):
        yield Advice(
            "error", name, f"is called _total but declared {family.type}: a fall would not be read as a reset",
            "declare it a counter, or rename it",
        )  # fmt: skip
    if family.type != "counter":
        return
    samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
    yield from _values(name + "_total", samples)
    for label in sorted({label for sample in samples for label in sample.labels}):
        yield from _label(name + "_total", label, {sample.labels.get(label, "") for sample in samples})


def _values(name: str, samples: Iterable[Sample]) -> Iterator[Advice]:
    for sample in samples:
        where = f"{name}{{{', '.join(f'{k}={v!r}' for k, v in sorted(sample.labels.items()))}}}"[:200]
        if sample.value >= LIMIT:
            yield Advice(
                "error", where, f"stands at {sample.value:.0f}, beyond 2^53 = {LIMIT}: adding 1 changes nothing",
                "count in a larger unit",
            )  # fmt: skip
        elif sample.value >= LIMIT * NEAR:
            yield Advice(
                "warning", where, f"stands at {sample.value:.0f}, {sample.value / LIMIT:.0%} of 2^53 = {LIMIT}",
                "count in a larger unit before it gets there",
            )  # fmt: skip
        elif sample.value < 0 or sample.value != sample.value:
            yield Advice("error", where, f"stands at {sample.value}", "a counter starts at 0 and only rises")


def _label(name: str, label: str, values: set[str]) -> Iterator[Advice]:
    where = f'{name} label "{label}"'
    if len(values) > MANY_VALUES and label not in CONSUMER_LABELS:
        yield Advice(
            "warning", where, f"has {len(values)} values (more than {MANY_VALUES})",
            "bound it with an allow-list, or leave it out",
        )  # fmt: skip
    if label in PATH_LABELS:
        raw = sorted(value for value in values if IDENTIFIER.search(value) or "?" in value)
        if raw:
            yield Advice(
                "error", where, f"carries raw paths ({raw[0][:60]!r} and {len(raw) - 1} more), so it grows without end",
                "use the route template, such as /things/{id}",
            )  # fmt: skip
        elif len(values) > 100 and not any(PARAMETER.search(value) for value in values):
            yield Advice(
                "warning", where, f"has {len(values)} values and none names a parameter, so they may be raw paths",
                "use the route template, such as /things/{id}",
            )  # fmt: skip
    if label in CONSUMER_LABELS:
        yield from _consumers(where, values)


def _consumers(where: str, values: set[str]) -> Iterator[Advice]:
    if "" in values:
        yield Advice(
            "warning", where, "is empty for some series, so their usage belongs to nobody", "name the anonymous ones"
        )
    secrets = sum(1 for value in values if SECRET.search(value))
    if secrets:
        yield Advice(
            "error", where, f"seems to carry credentials ({secrets} of {len(values)} values)",
            "look the key up and count under the consumer's id; label values are readable by everybody here",
        )  # fmt: skip
