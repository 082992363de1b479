"""The counter an application adds to; its totals are kept by a `DurableStore`.

Decides how an amount becomes units and how one `inc` becomes one store of one word. Leaves files, slots and sums to
`durable`.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from .records import LIMIT
from .vocabulary import NAME, cleaned

if TYPE_CHECKING:
    from .durable import DurableStore

_MULTIPLIER: Final = (
    0x9E3779B97F4A7C15  # `records.encoded` is written out in `inc`: a call would be a fifth of its cost
)


class _Forked(Exception):
    """This process is a fork and has no slot of its own yet."""


class _Detached:
    """Stands where a child's words were, so that `inc` need not ask first."""

    def __init__(self, error: type[Exception], message: str) -> None:
        self.error = error
        self.message = message

    def __setitem__(self, index: int, word: int) -> None:
        raise self.error(self.message)


FORKED: Final = _Detached(_Forked, "forked")
CLOSED: Final = _Detached(RuntimeError, "the store of this counter is closed")


class DurableCounter:
    """A counter used like prometheus-client's: `labels("acme", "/search").inc()`. Made by `DurableStore.counter`."""

    def __init__(
        self, store: DurableStore, name: str, documentation: str, labelnames: tuple[str, ...], scale: int
    ) -> None:
        if scale < 1:
            raise ValueError(f"counter {name}: scale is {scale}; it must be a whole number of units in 1, at least 1")
        for one in (name, *labelnames):
            if not NAME.fullmatch(one) or one.startswith("__"):
                raise ValueError(f"counter {name}: {one!r} is no name for a metric or label (letters, digits, _)")
        self.store = store
        self.name = name
        self.documentation = documentation
        self.labelnames = labelnames
        self.scale = scale
        self.lock = Lock()
        self._children: dict[tuple[str, ...], DurableChild] = {}

    def labels(self, *labelvalues: object, **by_name: object) -> DurableChild:
        """The child of these label values, made at zero when it is new. ValueError when they do not fit the names."""
        child = self._children.get(labelvalues) if labelvalues else None  # type: ignore[arg-type]
        return self._child(labelvalues, by_name) if child is None else child

    def inc(self, amount: float = 1) -> None:
        """Add to a counter without labels."""
        self._child((), {}).inc(amount)

    def value(self, units: int) -> float:
        """Units as the page shows them."""
        return units if self.scale == 1 else units / self.scale

    def label_values(self, label: str) -> set[str]:
        """The values a label has taken in any slot, from before this process too."""
        position = self.labelnames.index(label)
        for counter, totals in self.store.totals():
            if counter is self:
                return {values[position] for values in totals}
        return set()

    def detach(self, words: _Detached) -> None:
        """Cut all children from their words (after a fork, or at close)."""
        self.lock = Lock()
        for child in self._children.values():
            child.lock = self.lock
            child.words = words

    def _child(self, labelvalues: tuple[object, ...], by_name: dict[str, object]) -> DurableChild:
        if by_name:
            if labelvalues or set(by_name) != set(self.labelnames):
                raise ValueError(f"counter {self.name} has labels {self.labelnames}, not {tuple(by_name)}")
            labelvalues = tuple(by_name[name] for name in self.labelnames)
        if len(labelvalues) != len(self.labelnames):
            raise ValueError(f"counter {self.name} has {len(self.labelnames)} labels, not {len(labelvalues)}")
        values = tuple(cleaned(str(value)) for value in labelvalues)
        child = self._children.get(values)
        if child is None:
            child = self._children.setdefault(values, DurableChild(self, values))
        return child


class DurableChild:
    """One series of this process. When `inc` returns, the kernel has the new total."""

    __slots__ = ("_carry", "_counter", "_labelvalues", "_units", "index", "lock", "words")

    def __init__(self, counter: DurableCounter, labelvalues: tuple[str, ...]) -> None:
        self._counter = counter
        self._labelvalues = labelvalues
        self._carry: float
        self.lock = counter.lock
        self._attach()

    def _attach(self) -> None:
        self.words: Any
        self._carry = 0.0
        self.words, self.index, self._units = self._counter.store.cell(self._counter, self._labelvalues)

    def inc(self, amount: float = 1) -> None:
        """Add `amount`. ValueError if it is negative or finer than the scale allows, OverflowError at 2**53 units."""
        try:
            with self.lock:
                units = amount if amount.__class__ is int and self._counter.scale == 1 else self._in_units(amount)
                total = self._units + units
                if units < 0 or total > LIMIT:
                    raise _refused(self._counter, self._labelvalues, amount, total)
                self._units = total
                self.words[self.index] = total | ((total + 1) * _MULTIPLIER >> 53 & 2047) << 53
        except _Forked:
            self._attach()
            self.inc(amount)

    def _in_units(self, amount: float) -> int:
        """Whole units; of a scaled counter the rest is carried to the next time, so small amounts add up."""
        scale = self._counter.scale
        if amount < 0:
            raise _refused(self._counter, self._labelvalues, amount, self._units)
        exact = amount * scale + self._carry
        units = int(exact)
        if scale == 1 and units != exact:
            raise ValueError(f"counter {self._counter.name} counts whole units, not {amount}; declare it with a scale")
        self._carry = exact - units
        return units


def _refused(counter: DurableCounter, labelvalues: tuple[str, ...], amount: float, total: float) -> Exception:
    where = f"counter {counter.name}{dict(zip(counter.labelnames, labelvalues, strict=True))}"
    if amount < 0:
        return ValueError(f"{where}: cannot add {amount}; a counter only rises")
    return OverflowError(
        f"{where}: total {total} would pass {LIMIT}, where a float64 stops counting; use a larger unit"
    )
