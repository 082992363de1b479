"""Numbers for the series of one meter, and for what their names have in common: so that a hundred thousand of them are
sorted as columns of numbers. Decides no more than `identities` does about which series belong together.

Lasts from window to window: a series is named once.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rating.core.counters.accounts import Account
from rating.core.counters.identities import METRIC_NAME, Naming

Integers = NDArray[Any]
"""int64."""


class Ledger:
    """The accounts of a meter by number, as its counters' labels name them."""

    def __init__(self) -> None:
        self.accounts: list[Account] = []
        self.texts: list[str] = []
        """Each account's consumer and dimensions, a control character after each: what a digest is taken of."""
        self._numbers: dict[Account, int] = {}
        self._order: list[int] = []
        self._ranks: Integers = np.empty(0, dtype=np.int64)

    def number(self, account: Account) -> int:
        found = self._numbers.setdefault(account, len(self.accounts))
        if found == len(self.accounts):
            self.accounts.append(account)
            self.texts.append("\x1f".join((account[0], *account[1], "")))
        return found

    def ranks(self) -> Integers:
        """The place of each account among all when they are sorted."""
        if len(self._ranks) < len(self.accounts):
            # Sorted as far as it goes: few are new in a window.
            order = [*self._order, *range(len(self._order), len(self.accounts))]
            order.sort(key=self.accounts.__getitem__)
            ranks = np.empty(len(order), dtype=np.int64)
            ranks[order] = np.arange(len(order))
            self._order, self._ranks = order, ranks
        return self._ranks


class Roster:
    """Series get numbers as they are met; `identity`, `target_of`, `place`, `account` and `replica` of a number are
    numbers too, and `alone` is 1 where no replica can see the same counter.

    A place is a target with an account: where a counter of another name may be the same one.
    """

    def __init__(self, naming: Naming) -> None:
        self.naming = naming
        self.ledger = Ledger()
        self.targets: list[tuple[str, ...]] = []
        self.replicas: list[tuple[str, ...]] = []
        self._numbers: dict[bytes, int] = {}
        self._identities: dict[bytes, int] = {}
        self._targets: dict[tuple[str, ...], int] = {}
        self._places: dict[tuple[int, int], int] = {}
        self._replicas: dict[tuple[str, ...], int] = {}
        self._columns = tuple(array("q") for _ in range(6))
        self._drawn: tuple[Integers, ...] = tuple(np.empty(0, dtype=np.int64) for _ in range(6))

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, labels: Mapping[str, str]) -> int:
        """The number of the series with these labels; functions differ in whether they keep the metric's name."""
        key = _key(pair for pair in labels.items() if pair[0] != METRIC_NAME)
        known = self._numbers.setdefault(key, len(self._numbers))
        if known == len(self._columns[0]):
            self._enter(labels)
        return known

    def target(self, values: tuple[str, ...]) -> int:
        found = self._targets.setdefault(values, len(self.targets))
        if found == len(self.targets):
            self.targets.append(values)
        return found

    def marked(self, targets: Iterable[tuple[str, ...]]) -> NDArray[Any]:
        """For each target's number, whether it is one of these."""
        chosen = [self.target(target) for target in targets]
        mask = np.zeros(len(self.targets), dtype=bool)
        mask[chosen] = True
        return mask

    @property
    def identity(self) -> Integers:
        return self._column(0)

    @property
    def target_of(self) -> Integers:
        return self._column(1)

    @property
    def place(self) -> Integers:
        return self._column(2)

    @property
    def account(self) -> Integers:
        return self._column(3)

    @property
    def alone(self) -> Integers:
        return self._column(4)

    @property
    def replica(self) -> Integers:
        return self._column(5)

    @property
    def identities(self) -> int:
        return len(self._identities)

    @property
    def places(self) -> int:
        return len(self._places)

    def _enter(self, labels: Mapping[str, str]) -> None:
        naming = self.naming
        told = naming.identity(labels)
        identity = self._identities.setdefault(_key(told), len(self._identities))
        alone = len(told) == sum(value != "" for name, value in labels.items() if name != METRIC_NAME)
        target = self.target(naming.target(labels))
        account = self.ledger.number(naming.account(labels))
        place = self._places.setdefault((target, account), len(self._places))
        seen_by = naming.replica(labels)
        replica = self._replicas.setdefault(seen_by, len(self._replicas))
        if replica == len(self.replicas):
            self.replicas.append(seen_by)
        for column, value in zip(self._columns, (identity, target, place, account, alone, replica), strict=True):
            column.append(value)

    def _column(self, index: int) -> Integers:
        if len(self._drawn[index]) < len(self._columns[index]):
            self._drawn = tuple(np.array(column, dtype=np.int64) for column in self._columns)
        return self._drawn[index]


def _key(pairs: Any) -> bytes:
    """A label set as sixteen bytes: a million of them as tuples of text would fill the memory."""
    return hashlib.blake2b(repr(sorted(pairs)).encode(), digest_size=16).digest()
