"""Show boards where people look at them: what is missing is added, what differs is replaced, the rest is left alone.

A board is ours when it stands in our folder; one of our names elsewhere belongs to somebody, and is never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rating.errors import EdgeDisagrees
from rating.ports import Boards, ShownBoard

_KEPT_BY_SERVER = frozenset(("id", "version"))


class Change(StrEnum):
    ADDED = "added"
    REPLACED = "replaced"
    EQUAL = "equal"


@dataclass(frozen=True, slots=True)
class Shown:
    """What became (or with a dry run, would become) of one board."""

    uid: str
    change: Change
    differences: tuple[str, ...] = ()
    """`panels[2].title: "old" -> "new"`."""


def show_boards(
    boards: Boards, documents: Mapping[str, Mapping[str, Any]], folder: str, title: str, *, dry_run: bool = False
) -> tuple[Shown, ...]:
    """Push `documents` (by uid) into a folder. Twice is once.

    Raises:
        EdgeDisagrees: a board of one of these names stands in another folder; nothing was changed.
    """
    present = {uid: boards.shown(uid) for uid in documents}

    _refuse_others(present, folder)
    decided = tuple(_decide(uid, document, present[uid]) for uid, document in documents.items())

    if not dry_run and any(one.change is not Change.EQUAL for one in decided):
        boards.keep_folder(folder, title)
        for one in decided:
            standing = present[one.uid]
            if one.change is not Change.EQUAL:
                replaces = None if standing is None else standing.version
                boards.show(documents[one.uid], folder, replaces=replaces)
    return decided


def _refuse_others(present: Mapping[str, ShownBoard | None], folder: str) -> None:
    elsewhere = [
        f"{uid} (in {board.folder or 'no folder'})"
        for uid, board in present.items()
        if board and board.folder != folder
    ]
    if elsewhere:
        raise EdgeDisagrees(
            f"not ours to replace: {', '.join(elsewhere)}; "
            f"move them into the folder {folder}, or delete them, and push again"
        )


def _decide(uid: str, document: Mapping[str, Any], standing: ShownBoard | None) -> Shown:
    if standing is None:
        return Shown(uid, Change.ADDED)
    found = tuple(differences(standing.document, document))
    return Shown(uid, Change.REPLACED if found else Change.EQUAL, found)


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Where `new` asks for something `old` does not have. What only `old` has (a server's defaults) does not count."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key, value in new.items():
            if path == "" and key in _KEPT_BY_SERVER:
                continue
            where = f"{path}.{key}" if path else str(key)
            if key in old:
                yield from differences(old[key], value, where)
            else:
                yield f"{where}: nothing -> {_short(value)}"
    elif _is_list(old) and _is_list(new):
        if len(old) != len(new):
            yield f"{path}: {len(old)} entries -> {len(new)}"
        for index, (before, after) in enumerate(zip(old, new, strict=False)):
            yield from differences(before, after, f"{path}[{index}]")
    elif old != new:
        yield f"{path}: {_short(old)} -> {_short(new)}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
