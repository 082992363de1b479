"""The digest of what a window rests on, by which anybody can tell that it was recomputed from the same readings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from rating.core.counters.readings import Clean, Readings, Series
from rating.core.counters.traces import Traces
from rating.core.windows import Usage

_BLOCK = 10_000
"""Series whose samples are numbers of Python's at a time."""


def digest(readings: Readings, *, gauges: bool = False) -> str:
    """SHA-256 over the readings used: the clean counters' usage sorted, then each series sorted by its labels, label by
    label, followed by its samples in time order, all as text with control characters between. What gauges come to
    depends on when their targets were scraped as well. Of shards: over their digests, in order.
    """
    if readings.shards:
        return hashlib.sha256("".join(digest(part, gauges=gauges) for part in readings.shards).encode()).hexdigest()
    hashed = hashlib.sha256()
    hashed.update("\x1e".join([*_lines(readings.clean), ""]).encode())
    groups = [("series", readings.series), ("starts", readings.starts)]
    for kind, group in [*groups, ("up", readings.up)] if gauges else groups:
        hashed.update(f"\x1d{kind}\x1d".encode())
        for labels, samples in _listed(group):
            hashed.update(f"{labels}\x1e{samples}\x1e".encode())
    return hashed.hexdigest()


def _listed(group: Sequence[Series]) -> Iterator[tuple[str, str]]:
    """Each series' labels and samples as text, sorted by its labels."""
    texts = ["\x1f".join([f"{name}\x1f{labels[name]}" for name in sorted(labels)]) for labels in _labels(group)]
    if all(text.replace("\x1f", "").isprintable() for text in texts):
        order = sorted(range(len(texts)), key=texts.__getitem__)
    else:
        # With a control character in a label the text sorts otherwise than the labels.
        order = [at for _, at in sorted((tuple(sorted(one.items())), at) for at, one in enumerate(_labels(group)))]
    return zip(map(texts.__getitem__, order), _samples(group, order), strict=True)


def _labels(group: Sequence[Series]) -> Iterable[Mapping[str, str]]:
    return group.labels() if isinstance(group, Traces) else (series.labels for series in group)


def _samples(group: Sequence[Series], order: Sequence[int]) -> Iterator[str]:
    if not isinstance(group, Traces):
        yield from (_sampled(group[at].times, group[at].units) for at in order)
        return
    for block in range(0, len(order), _BLOCK):
        some = group.samples.ordered(np.array(order[block : block + _BLOCK], dtype=np.int64))
        times, units = some.times.tolist(), some.values.tolist()
        yield from (_sampled(times[low:high], units[low:high]) for low, high in pairwise(some.bounds.tolist()))


def _sampled(times: Sequence[int], units: Sequence[int]) -> str:
    return "\x1f".join([f"{time}={value}" for time, value in zip(times, units, strict=True)])


def _lines(clean: Sequence[Usage]) -> Iterable[str]:
    """Consumer, dimensions and quantity of each, sorted."""
    if not isinstance(clean, Clean):
        return ["\x1f".join((consumer, *dimensions, str(quantity))) for consumer, dimensions, quantity in sorted(clean)]
    order = np.lexsort((clean.quantities, clean.ledger.ranks()[clean.accounts]))
    texts = clean.ledger.texts
    named = [texts[account] for account in clean.accounts[order].tolist()]
    return map(str.__add__, named, map(str, clean.quantities[order].tolist()))
