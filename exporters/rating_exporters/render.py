"""The text of a metrics page, an order of magnitude faster than by building a sample object per line.

A series' name and labels never change, so its line is escaped and joined once; a scrape only appends the values.
Knows prometheus-client's Counter, Gauge and Histogram and this package's DurableStore; every other collector is
rendered by prometheus-client itself, and so is one in a state not understood here (exemplars, functions, multiprocess).
The page says the same, series for series, as `prometheus_client.generate_latest`; whole numbers are written as such.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, metrics
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.utils import floatToGoString
from prometheus_client.values import MutexValue

from .durable import DurableStore
from .durable_counter import DurableCounter
from .vocabulary import NAME

_EOF = "# EOF\n"

# prometheus-client's own, where it does not say its types.
as_text: Callable[[Any], bytes] = prometheus_client.generate_latest
as_openmetrics: Callable[[Any], bytes] = openmetrics_exposition.generate_latest
as_go: Callable[[float], str] = floatToGoString


def render(registry: CollectorRegistry, *, openmetrics: bool = False) -> bytes:
    """The whole page, as Prometheus text 0.0.4 or OpenMetrics 1.0.0."""
    out: list[str] = []
    collectors = getattr(registry, "_collector_to_names", None)
    if collectors is None or registry.get_target_info():
        collectors = {_Whole(registry): ()}
    for collector in list(collectors):
        lines = _fast(collector, openmetrics)
        out.extend(_slow(collector, openmetrics) if lines is None else lines)
    if openmetrics:
        out.append(_EOF)
    return "".join(out).encode()


def number(value: float) -> str:
    """A sample value: whole numbers in full, anything else as prometheus-client writes it."""
    whole = int(value) if -9e15 < value < 9e15 else None
    return repr(whole) if whole == value else as_go(value)


def escaped(value: str) -> str:
    """A label value between its quotes, by the exposition format's three escapes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def braces(names: Sequence[str]) -> Callable[[Sequence[str]], str]:
    """Label values to `{a="1",b="2"} `, the names in sorted order as prometheus-client has them."""
    if not names:
        return lambda values: " "
    order = sorted(range(len(names)), key=names.__getitem__)
    form = "{{" + ",".join([f'{names[at]}="{{{at}}}"' for at in order]) + "}} "
    return lambda values: form.format(*[escaped(value) for value in values])


class _Whole:
    """A registry as one collector, where its collectors cannot be had one by one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def collect(self) -> Iterable[Metric]:
        return self.registry.collect()


def _slow(collector: Any, openmetrics: bool) -> list[str]:
    text = (as_openmetrics if openmetrics else as_text)(collector).decode()
    return [text.removesuffix(_EOF) if openmetrics else text]


def _fast(collector: Any, openmetrics: bool) -> Iterable[str] | None:
    if isinstance(collector, DurableStore):
        return _durable(collector, openmetrics)
    kind = type(collector)
    if kind not in (Counter, Gauge, Histogram) or collector._unit:
        return None
    if not all(NAME.fullmatch(name) for name in (collector._name, *collector._labelnames)):
        return None  # such names are rewritten or quoted
    try:
        children = list(collector._metrics.items()) if collector._labelnames else [((), collector)]
        lines = _cache_of(collector)
        with lines.lock:
            return (_histogram if kind is Histogram else _single)(collector, children, lines, openmetrics)
    except (AttributeError, _NotPlain):
        return None


class _NotPlain(Exception):
    """Something about a child that only prometheus-client can render."""


class _Lines:
    """The unchanging part of each child's lines, by label values; belongs to one collector."""

    __slots__ = ("by_values", "lock")

    def __init__(self) -> None:
        self.lock = Lock()
        self.by_values: dict[Any, tuple[Any, Any, str, Any]] = {}


_caches: weakref.WeakKeyDictionary[Any, _Lines] = weakref.WeakKeyDictionary()
_caches_lock = Lock()


def _cache_of(collector: Any) -> _Lines:
    with _caches_lock:
        found = _caches.get(collector)
        if found is None:
            found = _caches[collector] = _Lines()
        return found


def _single(collector: Any, children: list[Any], lines: _Lines, openmetrics: bool) -> list[str]:
    counts = type(collector) is Counter
    name = collector._name + ("_total" if counts else "")
    cache = lines.by_values
    if len(cache) > len(children):
        cache.clear()  # children were removed
    created: list[str] = []
    out = _head(collector, name, openmetrics)
    use_created = counts and metrics._use_created
    form = braces(collector._labelnames)
    for values, child in children:
        known = cache.get(values)
        if known is None or known[0] is not child or (use_created and known[3] != child._created):
            if type(child._value) is not MutexValue or "_child_samples" in vars(child):
                raise _NotPlain
            labels = form(values)
            made = child._created if use_created else None
            known = cache[values] = (child, name + labels, _made(collector, labels, child) if use_created else "", made)
        cell = child._value
        if openmetrics and cell._exemplar is not None:
            raise _NotPlain
        value = cell._value
        whole = int(value) if -9e15 < value < 9e15 else None
        out.append(f"{known[1]}{whole if whole == value else as_go(value)}\n")
        if use_created:
            (out if openmetrics else created).append(known[2])
    return out + _created(collector._name, collector._documentation, created)


def _made(collector: Any, labels: str, child: Any) -> str:
    return f"{collector._name}_created{labels}{as_go(child._created)}\n"


def _histogram(collector: Any, children: list[Any], lines: _Lines, openmetrics: bool) -> list[str]:
    name, bounds = collector._name, collector._upper_bounds
    form, with_le = braces(collector._labelnames), braces((*collector._labelnames, "le"))
    cache = lines.by_values
    if len(cache) > len(children):
        cache.clear()
    created: list[str] = []
    out = _head(collector, name, openmetrics)
    for values, child in children:
        known = cache.get(values)
        if known is None or known[0] is not child or known[3] != child._created:
            if type(child._sum) is not MutexValue:
                raise _NotPlain
            labels = form(values)
            buckets = [f"{name}_bucket{with_le((*values, as_go(bound)))}" for bound in bounds]
            tail = [f"{name}_count{labels}", f"{name}_sum{labels}"]
            known = cache[values] = (child, (buckets, tail), _made(collector, labels, child), child._created)
        (buckets, (count, total)), so_far = known[1], 0.0
        for prefix, bucket in zip(buckets, child._buckets, strict=True):
            if openmetrics and bucket._exemplar is not None:
                raise _NotPlain
            so_far += bucket._value
            out.append(f"{prefix}{number(so_far)}\n")
        out.append(f"{count}{number(so_far)}\n")
        if bounds[0] >= 0:
            out.append(f"{total}{number(child._sum._value)}\n")
        if metrics._use_created:
            (out if openmetrics else created).append(known[2])
    return out + _created(name, collector._documentation, created)


def _durable(store: DurableStore, openmetrics: bool) -> Iterator[str]:
    """Reads everything, then syncs, then hands over: the order that `durable` promises."""
    out: list[str] = []
    for counter, series in store.series():
        out += _durable_counter(counter, series, openmetrics)
    store.sync()
    return iter(out)


def _durable_counter(counter: DurableCounter, series: dict[tuple[str, ...], Any], openmetrics: bool) -> list[str]:
    name, scale, form = counter.name + "_total", counter.scale, braces(counter.labelnames)
    created: list[str] = []
    out = _help(name, counter.name, counter.documentation, "counter", openmetrics)
    for values, cells in series.items():
        if not cells.line:
            labels = form(values)
            cells.line = name + labels
            cells.created_line = f"{counter.name}_created{labels}{as_go(cells.created_ms / 1000)}\n"
        units = cells.units()
        out.append(f"{cells.line}{units if scale == 1 else number(units / scale)}\n")
        (out if openmetrics else created).append(cells.created_line)
    return out + _created(counter.name, counter.documentation, created)


def _head(collector: Any, name: str, openmetrics: bool) -> list[str]:
    return _help(name, collector._name, collector._documentation, collector._type, openmetrics)


def _help(name: str, family: str, documentation: str, kind: str, openmetrics: bool) -> list[str]:
    if openmetrics:
        return [f"# HELP {family} {escaped(documentation)}\n# TYPE {family} {kind}\n"]
    text = documentation.replace("\\", "\\\\").replace("\n", "\\n")
    return [f"# HELP {name} {text}\n# TYPE {name} {kind}\n"]


def _created(family: str, documentation: str, lines: list[str]) -> list[str]:
    """The text format has no place for created timestamps among a counter's samples: a gauge family of their own."""
    return _help(family + "_created", family, documentation, "gauge", False) + lines if lines else []
