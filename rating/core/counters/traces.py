"""The samples of many counters as columns: a hundred thousand of them are handled at once, and read one by one as
`Series` where that is needed. Knows nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from rating.core.counters.readings import Series
from rating.core.counters.roster import Integers, Roster


class Samples(NamedTuple):
    """Of several series, one after the other: series `i` has the samples at the places `bounds[i]` to `bounds[i + 1]`,
    by rising time."""

    numbers: Integers
    """Of the series in the roster, each once."""
    bounds: Integers
    times: Integers
    """Milliseconds since the epoch."""
    values: NDArray[Any]
    """Readings, as float64 or in whole units as int64."""

    @classmethod
    def empty(cls) -> Samples:
        none = np.empty(0, dtype=np.int64)
        return cls(none, np.zeros(1, dtype=np.int64), none, np.empty(0))

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """One after the other. Of a series that occurs twice the later samples are taken."""
        parts = [part for part in parts if len(part.numbers)]
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        numbers = np.concatenate([part.numbers for part in parts])
        sizes = np.concatenate([np.diff(part.bounds) for part in parts])
        bounds = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(sizes)))
        times, values = (np.concatenate([part[index] for part in parts]) for index in (2, 3))
        all_of_them = cls(numbers, bounds, times, values)
        _, last = np.unique(numbers[::-1], return_index=True)
        if len(last) == len(numbers):
            return all_of_them
        mask = np.zeros(len(numbers), dtype=bool)
        mask[len(numbers) - 1 - last] = True
        return all_of_them.where(mask)

    @classmethod
    def picked(cls, numbers: Integers, low: Integers, places: Integers, times: Any, values: Any) -> Samples:
        """The samples at these places, rising, of series that begin at `low` among others, rising as well."""
        bounds = np.append(np.searchsorted(places, low), len(places))
        return cls(numbers, bounds, times[places], values[places])

    @property
    def low(self) -> Integers:
        return self.bounds[:-1]

    @property
    def high(self) -> Integers:
        return self.bounds[1:]

    def where(self, mask: NDArray[Any]) -> Samples:
        """Those series only."""
        return self if mask.all() else self.ordered(np.flatnonzero(mask))

    def ordered(self, indices: Integers) -> Samples:
        """The series at these places, in this order."""
        low, high = self.low[indices], self.high[indices]
        bounds = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(high - low)))
        places = ranges(low, high)
        return Samples(self.numbers[indices], bounds, self.times[places], self.values[places])


def ranges(low: Integers, high: Integers) -> Integers:
    """low[0] .. high[0] - 1, low[1] .. high[1] - 1, and so on."""
    sizes = high - low
    ends = np.cumsum(sizes)
    found: Integers = np.arange(int(sizes.sum()), dtype=np.int64) + np.repeat(low - (ends - sizes), sizes)
    return found


class Traces(Sequence[Series]):
    """Samples in whole units of their meter, as series with labels."""

    def __init__(self, roster: Roster, samples: Samples, labels: Callable[[int], Mapping[str, str]]) -> None:
        """`labels` spells those of the series with a number."""
        self.roster = roster
        self.samples = samples
        self._labels = labels

    def __len__(self) -> int:
        return len(self.samples.numbers)

    def __iter__(self) -> Iterator[Series]:
        return map(self._series, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Series: ...
    @overload
    def __getitem__(self, index: slice) -> Traces: ...
    def __getitem__(self, index: int | slice) -> Series | Traces:
        if isinstance(index, slice):
            mask = np.zeros(len(self), dtype=bool)
            mask[index] = True
            return self.where(mask)
        return self._series(range(len(self))[index])

    def __eq__(self, other: object) -> bool:
        """Whether the other sequence holds the same series, in whatever order."""
        return isinstance(other, Sequence) and sorted(map(_plain, self)) == sorted(map(_plain, other))

    __hash__ = None  # type: ignore[assignment]

    def where(self, mask: NDArray[Any]) -> Traces:
        """Those series only."""
        return Traces(self.roster, self.samples.where(mask), self._labels)

    def beside(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Those series, and with them all others of the identities that have one at their places."""
        place, identity = (column[self.samples.numbers] for column in (self.roster.place, self.roster.identity))
        found: NDArray[Any] = np.isin(identity, identity[np.isin(place, place[mask])])
        return found

    def labels(self) -> Iterator[Mapping[str, str]]:
        return map(self._labels, self.samples.numbers.tolist())

    def _series(self, index: int) -> Series:
        low, high = self.samples.bounds[index : index + 2].tolist()
        labels = self._labels(int(self.samples.numbers[index]))
        return Series(labels, self.samples.times[low:high].tolist(), self.samples.values[low:high].tolist())


def _plain(series: Series) -> tuple[list[tuple[str, str]], list[int], list[int]]:
    return sorted(series.labels.items()), [*series.times], [*series.units]
