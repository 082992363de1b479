"""Rules about what was counted: closings, adjustments, items and catalogues are as they were kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from rating.core.canonical import digest, read
from rating.core.checks.records import AdjustmentRecord, ClosingRecord
from rating.core.entries import usage_digest
from rating.core.items import Item
from rating.core.periods import Period
from rating.errors import Finding


def usage_as_closed(closing: ClosingRecord) -> Iterator[Finding]:
    """A closed window holds the rows it was closed with; or none, where its day holds them."""
    if closing.rolled:
        if closing.usage:
            yield Finding(
                f"window {closing.meter} {closing.window}",
                f"is rolled up to its day and still holds {len(closing.usage)} rows, which would be counted twice",
                "they were added past the program; compare with a backup",
            )
        return
    found = usage_digest(closing.usage)
    if found != closing.usage_digest or len(closing.usage) != closing.rows:
        yield Finding(
            f"window {closing.meter} {closing.window}",
            f"holds {len(closing.usage)} rows with digest {found[:12]} "
            f"but was closed with {closing.rows} rows and digest {closing.usage_digest[:12]}",
            "its usage was changed after closing; compare with a backup",
        )
    consumers = len({row.consumer for row in closing.usage})
    if consumers != closing.consumers:
        yield Finding(
            f"window {closing.meter} {closing.window}",
            f"holds usage of {consumers} consumers but was closed with {closing.consumers}",
            "compare with a backup",
        )


def adjusted_as_kept(adjustments: Sequence[AdjustmentRecord]) -> Iterator[Finding]:
    """An adjustment holds the rows it was kept with, and a window's are numbered 1, 2, 3 ... In their order."""
    revisions: dict[tuple[str, Period], int] = defaultdict(int)
    for one in adjustments:
        where = f"adjustment {one.revision} of window {one.meter} {one.window}"
        found = usage_digest(one.usage)
        if found != one.usage_digest or len(one.usage) != one.rows:
            yield Finding(
                where,
                f"holds {len(one.usage)} rows with digest {found[:12]} "
                f"but was kept with {one.rows} rows and digest {one.usage_digest[:12]}",
                "it was changed after it was kept; compare with a backup",
            )
        revisions[one.meter, one.window] += 1
        if one.revision != revisions[one.meter, one.window]:
            yield Finding(
                where,
                f"follows {revisions[one.meter, one.window] - 1} adjustments of its window",
                "one was removed past the program; compare with a backup",
            )


def catalogue_as_digested(named: str, text: str) -> Iterator[Finding]:
    """A catalogue is named by the SHA-256 of its text."""
    if digest(text) != named:
        yield Finding(
            f"catalogue {named[:12]}",
            f"its text has the digest {digest(text)[:12]}",
            "it was changed after it was kept; compare with a backup",
        )


def items_as_kept(items: Iterable[tuple[str, str, str, str]]) -> Iterator[Finding]:
    """A one-off item (key, subscription, content, hash) says what it was kept with."""
    for key, subscription, content, kept_hash in items:
        try:
            item = read(Item, content)
        except ValueError:
            item = None
        if item is None or digest(content) != kept_hash or (item.key, item.subscription) != (key, subscription):
            yield Finding(f"item {key}", "does not say what it was kept with", "compare with a backup")
