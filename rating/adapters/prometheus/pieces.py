"""Cuts a meter that outgrows one question into pieces by the values of its consumer's label, so that each series is in
exactly one: also those of a consumer who was not there yet when the cut was made.

A consumer is never cut: what may be one counter, its replicas and its former selves, stays together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rating.core.meters import Matcher, literally

MOST_SERIES = 100_000
"""In one question: more take a server long enough to reach its limits of time and of samples."""

Piece = tuple[Matcher, ...]
"""What is asked for besides the meter's own matchers."""
WHOLE: Piece = ()


def cut(label: str, sizes: Mapping[str, int], most: int) -> list[Piece]:
    """Pieces of at most `most` series where the values of the label have so many each."""
    if sum(sizes.values()) <= most or len(sizes) < 2:
        return [WHOLE]
    pieces: list[list[str]] = []
    held: list[str] = []
    size = 0
    for pattern, series in _patterns("", sorted(sizes.items()), most):
        if held and size + series > most:
            pieces.append(held)
            held, size = [], 0
        held.append(pattern)
        size += series
    pieces.append(held)
    # Whoever matches none of them belongs to the last.
    others = Matcher(label, "|".join(pattern for piece in pieces[:-1] for pattern in piece), negated=True)
    return [*((Matcher(label, "|".join(piece)),) for piece in pieces[:-1]), (others,)]


def _patterns(prefix: str, sizes: list[tuple[str, int]], most: int) -> Iterator[tuple[str, int]]:
    """Regular expressions that match no value in common, and how much each covers: beginnings of values."""
    total = sum(size for _, size in sizes)
    if len(sizes) == 1 or (total <= most and prefix):
        yield f"{literally([prefix])}.*" if prefix else ".+", total
        return
    at = 0
    if sizes[0][0] == prefix:
        yield literally([prefix]), sizes[0][1]
        at = 1
    while at < len(sizes):
        longer = sizes[at][0][: len(prefix) + 1]
        end = at
        while end < len(sizes) and sizes[end][0].startswith(longer):
            end += 1
        yield from _patterns(longer, sizes[at:end], most)
        at = end
