"""Totals of a directory of durable counters as one text that goes to another host, and back into a directory there.

Decides that totals are handed over whole and once: nobody may be counting, the files of the old host are moved aside,
and a directory that holds totals takes no others. Leaves the bytes of counter files to `records` and `slots`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from .records import LIMIT, Key, decoded, encoded
from .slots import SUFFIX, Slot, SlotReader

FORMAT = "rating-exporters totals 1"
ASIDE = "handed-over"


def exported(directory: Path) -> str:
    """All totals, summed over the slots, with their created timestamps. Raises BlockingIOError while anybody counts,
    FileNotFoundError where there is nothing, DamagedStore when a file fails its checks."""
    totals: dict[tuple[Any, ...], tuple[int, int]] = {}
    slots = _claimed(directory)
    try:
        for path in _files(directory):
            reader = SlotReader(path)
            for key, words, index in reader.fresh(thorough=True):
                series = (key.metric, key.labelnames, key.labelvalues, key.scale)
                units, created = totals.get(series, (0, key.created_ms))
                totals[series] = units + decoded(words[index]), min(created, key.created_ms)
            reader.close()
    finally:
        for slot in slots:
            slot.close()
    rows = [[*series, created, units] for series, (units, created) in sorted(totals.items())]
    return json.dumps({"format": FORMAT, "check": _check(rows), "totals": rows}, indent=0) + "\n"


def hand_over(directory: Path, target: Path) -> int:
    """Write the totals to `target`, then move the counter files into `handed-over/`: a process that is started here
    again begins at zero instead of going on beside its successor. Returns how many series there were."""
    text = exported(directory)
    _written(target, text)
    aside = directory / ASIDE
    aside.mkdir(exist_ok=True)
    stamp = time.time_ns()
    for path in _files(directory):
        path.rename(aside / f"{path.name}-{stamp}")
    return len(json.loads(text)["totals"])


def whole(directory: Path, text: str) -> int:
    """How many series `taken_over` would take; raises as it would."""
    return len(_rows(directory, text))


def taken_over(directory: Path, text: str) -> int:
    """Make the counter file of a directory that has none from handed-over totals; returns how many series it holds.
    ValueError when the text is not whole, FileExistsError when the directory counts already."""
    rows = _rows(directory, text)
    directory.mkdir(parents=True, exist_ok=True)
    arriving = directory / f"arriving-{os.getpid()}"
    slot = Slot.claim(arriving, int(time.time() * 1000))
    assert slot is not None, "a name of our own"
    try:
        for metric, names, values, scale, created, units in rows:
            if not 0 <= units <= LIMIT:
                raise ValueError(f"{metric}{values}: total {units} is not between 0 and {LIMIT}")
            words, index = slot.append(Key(metric, tuple(names), tuple(values), scale, created))
            words[index] = encoded(units)
        os.fsync(slot.descriptor)
        slot.close()
        arriving.rename(directory / f"slot-0000{SUFFIX}")  # only now it is there, and whole
    except BaseException:
        arriving.unlink(missing_ok=True)
        raise
    return len(rows)


def _rows(directory: Path, text: str) -> list[Any]:
    try:
        given = json.loads(text)
        rows: list[Any] = given["totals"]
        good = given["format"] == FORMAT and given["check"] == _check(rows)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"this is no text that `state export` wrote ({error})") from None
    if not good:
        raise ValueError("the check of this text does not fit its totals: it was changed or cut on its way")
    if _files(directory):
        raise FileExistsError(f"{directory} holds counter files: two histories cannot become one; give an empty one")
    return rows


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("slot-*" + SUFFIX))


def _claimed(directory: Path) -> list[Slot]:
    paths = _files(directory)
    if not paths:
        raise FileNotFoundError(f"{directory} holds no counter files (slot-*{SUFFIX})")
    slots: list[Slot] = []
    for path in paths:
        slot = Slot.claim(path, 0)
        if slot is None:
            for other in slots:
                other.close()
            raise BlockingIOError(f"{path}: a process counts into it; stop it first, or its last counts stay behind")
        slots.append(slot)
    return slots


def _check(rows: Any) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _written(target: Path, text: str) -> None:
    with target.open("x") as file:  # never over an export of before
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
