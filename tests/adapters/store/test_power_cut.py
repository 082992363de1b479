"""A power cut on SQLite loses nothing that was acknowledged, with the settings the program documents (WAL, FULL).

How: a writer runs with a recorder in front of the C library (`power/shim.c`, loaded by LD_PRELOAD), which notes every
write, truncation, sync and removal of the book's files, and every acknowledgement, in one order. From that record the
disk is rebuilt as a cut at any moment could leave it: what was synced is there; of what was not, nothing, everything,
or any sectors in any order (`power/disk.py`). On each such disk the book is opened again. It must hold exactly what the
acknowledged steps wrote, or that and the whole step that was under way; and `book check` must be clean.

The same simulation over `synchronous = NORMAL` and `OFF`, which promise less, must find what they lose: that is how we
know it can.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from rating.adapters.store import open_book
from rating.adapters.store.tables import ENTRIES
from rating.jobs.audit import audit

from .power.disk import Disk, Operation, Survives, operations
from .power.writer import Acknowledging, story

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("a C compiler on Linux is needed to record what SQLite does to its files; apt-get install gcc")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    made = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "power" / "shim.c"), "-ldl"],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"the recorder does not compile here: {made.stderr.splitlines()[-1]}")
    return library


def recorded(shim: Path, folder: Path, synchronous: str = "") -> list[Operation]:
    book = folder / "book"
    book.mkdir()
    subprocess.run(
        [sys.executable, "-m", "tests.adapters.store.power.writer", str(book), synchronous],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(shim), "POWER_DIR": str(book), "POWER_LOG": str(folder / "log")},
        check=True,
        timeout=300,
    )
    return list(operations(folder / "log"))


def contents(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every entry, past the program; nothing where there is no book."""
    if not file.exists():
        return {}
    with sqlite3.connect(file) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = {}
        for table in ENTRIES:
            if table.name in there:
                found[table.name] = sorted(connection.execute(f'SELECT * FROM "{table.name}"'), key=repr)
    connection.close()
    return found


@cache
def undisturbed(folder: Path) -> list[dict[str, list[tuple[object, ...]]]]:
    """What the book holds before it exists, when it is opened, and after each step."""
    file = folder / "undisturbed.db"
    with open_book(f"sqlite:///{file}") as book:
        states = [{}, contents(file)]
        story(Acknowledging(book, lambda name: states.append(contents(file))))
    return states


def lost(
    done: list[Operation], states: list[dict[str, list[tuple[object, ...]]]], folder: Path, cuts: int, seed: int
) -> list[str]:
    """Cut at every acknowledgement and at `cuts` other moments; what was wrong with the disks found."""
    chance = random.Random(seed)
    acknowledged = [place for place, one in enumerate(done, 1) if one.path.name == "acks" and one.kind == "w"]
    moments = sorted({*acknowledged, *(chance.randrange(1, len(done) + 1) for _ in range(cuts))})
    disk, taken, acks, wrong = Disk(), 0, 0, []
    for moment in moments:
        for one in done[taken:moment]:
            disk.take(one)
            acks += one.path.name == "acks" and one.kind == "w"
        taken = moment
        for survives in Survives:
            left = folder / f"{moment}-{survives.name}"
            left.mkdir()
            disk.left(left, survives, chance)
            try:
                found = contents(left / "book.db")
            except sqlite3.DatabaseError as error:
                wrong.append(f"after {acks} acknowledged steps, {survives.value} survived: {error}")
                continue
            if found not in states[acks : acks + 2] and not (acks == 0 and not any(found.values())):
                wrong.append(f"after {acks} acknowledged steps, {survives.value} survived: another book")
            elif acks and moment % 7 == 0:
                with open_book(f"sqlite:///{left / 'book.db'}") as book:
                    wrong += [str(finding) for finding in audit(book)]
            shutil.rmtree(left)
    return wrong


def test_nothing_acknowledged_is_lost(shim: Path, tmp_path: Path) -> None:
    done = recorded(shim, tmp_path)
    states = undisturbed(tmp_path)
    kinds = {one.kind for one in done}
    assert {"c", "w", "s"} <= kinds, "the recorder saw no writes or no syncs"
    steps = sum(one.path.name == "acks" and one.kind == "w" for one in done)
    assert steps == len(states) - 1 > 40
    # The log was copied into the database while the story went on, so cuts fall into that as well.
    assert sum(one.kind == "s" and one.path.name == "book.db" for one in done) > 3
    assert lost(done, states, tmp_path, cuts=60, seed=20261126) == []


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_lesser_settings_lose_something_so_the_simulation_can_tell(
    shim: Path, tmp_path: Path, synchronous: str
) -> None:
    assert lost(recorded(shim, tmp_path, synchronous), undisturbed(tmp_path), tmp_path, cuts=10, seed=7)
