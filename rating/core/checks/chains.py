"""Rules about series of papers: numbers without gaps, and hashes that chain. Knows nothing of what stands on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from rating.core.canonical import digest
from rating.core.entries import genesis
from rating.errors import Finding


class Chained(Protocol):
    """A paper of any series, as stored."""

    @property
    def sequence(self) -> int: ...
    @property
    def number(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def content_hash(self) -> str: ...
    @property
    def previous_hash(self) -> str: ...
    @property
    def series(self) -> str: ...


def numbers_without_gaps(
    records: Sequence[Chained], kind: str, numbered: Callable[[int, str], str]
) -> Iterator[Finding]:
    """Papers are numbered 1, 2, 3 ... in the order in which they were issued, in each series anew."""
    places: dict[str, int] = defaultdict(int)
    for expected, one in enumerate(records, start=1):
        places[one.series] += 1
        number = numbered(places[one.series], one.series)
        if one.sequence != expected or one.number != number:
            yield Finding(
                f"{kind} {one.number}",
                f"stands at place {one.sequence}, but {number} must follow {expected - 1} {kind}s",
                f"one {kind} or more were removed or added past the program; compare with a backup",
            )
            return


def hashes_chain(records: Sequence[Chained], kind: str) -> Iterator[Finding]:
    """Each hash is taken of the content as stored, and each paper names the hash of the one before it in its series."""
    last: dict[str, str] = {}
    for one in records:
        previous = last.get(one.series, genesis(one.series))
        if digest(one.content) != one.content_hash:
            yield Finding(
                f"{kind} {one.number}",
                f"its content has the hash {digest(one.content)[:12]} but was issued with {one.content_hash[:12]}",
                "it was changed after issue; compare with a backup",
            )
        if one.previous_hash != previous:
            yield Finding(
                f"{kind} {one.number}",
                f"follows {one.previous_hash[:12] or 'nothing'} but before it stands {previous[:12] or 'nothing'}",
                "the chain was broken; compare with a backup",
            )
        last[one.series] = one.content_hash
