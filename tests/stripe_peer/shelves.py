"""Objects of one kind in the order of their creation: found by id, by indexed fields, listed in pages by cursor."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.stripe_peer.refusals import missing, wrong

Thing = dict[str, Any]
"""An object as the API answers it."""

_LABELS = "metadata"
_SMALLEST, _LARGEST, _USUAL = 1, 100, 10


class Shelf:
    """All objects of one kind. Nothing here walks over all of them, except a list whose filter has no index.

    Args:
        kind: the word in `No such ...`.
        prefix: of its ids.
        indexes: fields by which lists are asked for; a function where the field lies deeper.
    """

    def __init__(self, kind: str, prefix: str, **indexes: Callable[[Thing], Any]) -> None:
        self.kind, self.prefix = kind, prefix
        self.things: dict[str, Thing] = {}
        self._order: list[str] = []
        self._created: list[int] = []
        self._position: dict[str, int] = {}
        self._indexes = indexes
        self._index: dict[str, dict[Any, list[int]]] = {name: {} for name in indexes}
        self._filed: dict[str, dict[str, Any]] = {}
        self._labelled: dict[tuple[str, str], dict[str, None]] = {}
        """Names of objects by a piece of their metadata, in lower case as searches compare."""

    def __len__(self) -> int:
        return len(self.things)

    def __iter__(self) -> Iterator[Thing]:
        return iter(self.things.values())

    def __contains__(self, name: object) -> bool:
        return name in self.things

    def new_id(self) -> str:
        return f"{self.prefix}_{len(self._order) + 1:014d}"

    def put(self, thing: Thing) -> Thing:
        """Keep a new object, or file a changed one anew."""
        name = thing["id"]
        position = self._position.get(name)
        if position is None:
            position = self._position[name] = len(self._order)
            self._order.append(name)
            self._created.append(thing.get("created", thing.get("date", 0)))
            self.things[name] = thing
            self._filed[name] = {}
        filed = self._filed[name]
        self._label(name, thing.get("metadata") or {})
        for field, read in self._indexes.items():
            value = read(thing)
            if field in filed:
                if filed[field] == value:
                    continue
                self._index[field][filed[field]].remove(position)
            filed[field] = value
            insort(self._index[field].setdefault(value, []), position)
        return thing

    def _label(self, name: str, metadata: dict[str, str]) -> None:
        filed = self._filed[name]
        pairs = [(key, value.lower()) for key, value in metadata.items()]
        old = filed.get(_LABELS, ())
        if old == pairs:
            return
        for pair in old:
            del self._labelled[pair][name]
        for pair in pairs:
            self._labelled.setdefault(pair, {})[name] = None
        filed[_LABELS] = pairs

    def labelled(self, key: str, value: str) -> list[Thing]:
        """All objects with that piece of metadata, oldest first."""
        names = sorted(self._labelled.get((key, value.lower()), ()), key=self._position.__getitem__)
        return [self.things[name] for name in names]

    def get(self, name: str, param: str = "id") -> Thing:
        """Raises: Refusal, 404 `resource_missing`."""
        try:
            return self.things[name]
        except KeyError:
            raise missing(self.kind, name, param) from None

    def named(self, name: str, param: str) -> Thing:
        """An object that a parameter names. Raises: Refusal, 400 `resource_missing`."""
        if name not in self.things:
            raise wrong(f"No such {self.kind}: '{name}'", param, "resource_missing")
        return self.things[name]

    def remove(self, name: str) -> None:
        position = self._position[name]
        self._label(name, {})
        for field, value in self._filed.pop(name).items():
            if field != _LABELS:
                self._index[field][value].remove(position)
        del self.things[name]

    def having(self, field: str, value: Any) -> list[Thing]:
        """All objects with that value of an indexed field, oldest first."""
        return [self.things[self._order[position]] for position in self._index[field].get(value, ())]

    def page(self, params: dict[str, Any], url: str, **filters: Any) -> Thing:
        """One page, newest first, as a list object. Filters are exact values; None filters nothing.

        Raises:
            Refusal: a limit outside 1 to 100; a cursor that is no object; both cursors.
        """
        limit = params.get("limit", _USUAL)
        if not _SMALLEST <= limit <= _LARGEST:
            raise wrong(f"This value must be between {_SMALLEST} and {_LARGEST} (inclusive); you sent {limit}", "limit")
        sequence, rest = self._narrowest({field: value for field, value in filters.items() if value is not None})
        low, high = self._between(params.get("created"))
        after, before = params.get("starting_after"), params.get("ending_before")
        if after and before:
            raise wrong("You can only specify one of these parameters: starting_after, ending_before", "ending_before")
        if after:
            high = min(high, self._cursor(after, "starting_after"))
        if before:
            low = max(low, self._cursor(before, "ending_before") + 1)
        first, last = bisect_left(sequence, low), bisect_left(sequence, high)
        walk = range(first, last) if before else range(last - 1, first - 1, -1)
        found: list[Thing] = []
        for number in walk:
            thing = self.things.get(self._order[sequence[number]])
            if thing is None or any(thing.get(field) != value for field, value in rest.items()):
                continue
            found.append(thing)
            if len(found) > limit:
                break
        has_more, found = len(found) > limit, found[:limit]
        if before:
            found.reverse()
        return {"object": "list", "data": found, "has_more": has_more, "url": url}

    def _narrowest(self, filters: dict[str, Any]) -> tuple[Sequence[int], dict[str, Any]]:
        indexed = {field: self._index[field].get(value, []) for field, value in filters.items() if field in self._index}
        if not indexed:
            return range(len(self._order)), filters
        best = min(indexed, key=lambda field: len(indexed[field]))
        # What is indexed by a function need not be a field of the object: those positions are crossed instead.
        crossed = [set(positions) for field, positions in indexed.items() if field != best]
        sequence: Sequence[int] = indexed[best]
        if crossed:
            sequence = [position for position in sequence if all(position in others for others in crossed)]
        return sequence, {field: value for field, value in filters.items() if field not in indexed}

    def _between(self, created: Any) -> tuple[int, int]:
        if created is None:
            return 0, len(self._order)
        if isinstance(created, int):
            created = {"gte": created, "lte": created}
        low, high = 0, len(self._order)
        for word, value in created.items():
            cut = (bisect_left if word in ("gte", "lt") else bisect_right)(self._created, value)
            low, high = (max(low, cut), high) if word in ("gt", "gte") else (low, min(high, cut))
        return low, high

    def _cursor(self, name: str, param: str) -> int:
        if name not in self._position:
            raise wrong(f"No such {self.kind}: '{name}'", param, "resource_missing")
        return self._position[name]
