"""Provision: what boards stand on and lend out: their source of metrics, panels for others' boards, marks on graphs.

Each is known by an id of ours and left alone when it is equal; the boards themselves are `show`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rating.core.invoices import Invoice
from rating.core.subscriptions import Subscription
from rating.errors import EdgeDisagrees
from rating.jobs.show import Change, Shown, differences
from rating.ports import Boards, Mark

INVOICES, CHANGES = ("rating", "invoice"), ("rating", "plan-change")
"""What marks of ours are tagged with, before their own name."""


def keep_source(
    boards: Boards, document: Mapping[str, Any], *, secrets: Mapping[str, str] | None = None, dry_run: bool = False
) -> Shown:
    """A source that our boards can choose. Its other settings (credentials, say) are left as they are.

    Grafana never says its secrets: those given are written each time, which changes nothing where they are the same.
    """
    uid = document["uid"]
    standing = boards.source(uid)
    if standing is None:
        shown = Shown(uid, Change.ADDED)
    else:
        found = tuple(differences(standing, document))
        shown = Shown(uid, Change.REPLACED if found else Change.EQUAL, found)
    if not dry_run and (secrets or shown.change is not Change.EQUAL):
        written = {"secureJsonData": dict(secrets)} if secrets else {}
        boards.keep_source({**(standing or {}), **document, **written}, new=standing is None)
    return shown


def keep_panels(
    boards: Boards, panels: Mapping[str, Mapping[str, Any]], folder: str, *, dry_run: bool = False
) -> tuple[Shown, ...]:
    """Panels by uid, in a folder that is there. Twice is once.

    Raises:
        EdgeDisagrees: a panel of one of these names stands in another folder; nothing was changed.
    """
    present = {uid: boards.panel(uid) for uid in panels}
    elsewhere = [uid for uid, standing in present.items() if standing is not None and standing.folder != folder]
    if elsewhere:
        raise EdgeDisagrees(f"not ours to replace: library panel {', '.join(elsewhere)}; move or delete it there")
    shown = []
    for uid, model in panels.items():
        standing = present[uid]
        found = () if standing is None else tuple(differences(standing.model, model))
        change = Change.ADDED if standing is None else Change.REPLACED if found else Change.EQUAL
        shown.append(Shown(uid, change, found))
        if not dry_run and change is not Change.EQUAL:
            boards.show_panel(
                uid, f"Rating: {model['title']}", model, folder, replaces=None if standing is None else standing.version
            )
    return tuple(shown)


def put_marks(boards: Boards, marks: Iterable[Mark], *, dry_run: bool = False) -> tuple[Mark, ...]:
    """Add those marks that are not there. Returns them."""
    wanted = list(marks)
    present: set[str] = set()
    for tags in {mark.tags[:-1] for mark in wanted}:
        present |= {name for found in boards.marks(tags) for name in found}
    missing = tuple(mark for mark in wanted if mark.tags[-1] not in present)
    if not dry_run:
        for mark in missing:
            boards.mark(mark)
    return missing


def invoice_marks(invoices: Iterable[Invoice]) -> Iterator[Mark]:
    for invoice in invoices:
        text = f"{invoice.number} to {invoice.draft.customer}: {invoice.total}"
        yield Mark(invoice.issued_at, text, (*INVOICES, invoice.number))


def plan_changes(subscriptions: Sequence[Subscription]) -> Iterator[Mark]:
    """A subscription that follows another of its consumer without a gap, on another plan."""
    ended = {(one.consumer, one.end): one.plan for one in subscriptions if one.end is not None}
    for one in subscriptions:
        before = ended.get((one.consumer, one.start))
        if before is not None and before != one.plan:
            yield Mark(one.start, f"{one.consumer} moves from {before} to {one.plan}", (*CHANGES, one.key))
