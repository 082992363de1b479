"""Killed while it prunes: each month of a meter is rolled up as a whole or not at all, and every sum is as before."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rating.adapters.archive import FolderArchive
from rating.adapters.store import StoreBook, open_book
from rating.jobs.audit import audit
from tests.forked import FORKED
from tests.jobs.pruned import DAYS, Late, at, story, told

from . import crash_prune


def contents(book: StoreBook) -> tuple[object, ...]:
    return list(book.closing_records()), list(book.rollup_records())


def child(url: str, folder: Path, kill_at: int) -> bool:
    """Prune in a process of its own. False when it was killed."""
    process = FORKED.Process(target=crash_prune.run, args=(url, str(folder), kill_at))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), f"pruning ended with {process.exitcode}"
    return process.exitcode == 0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_killed_before_every_statement_commit_and_file(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Begun again and again, it dies one moment later each time; whenever something was kept, moments begin anew."""
    names = ("calm", "killed")
    if engine == "sqlite":
        calm, killed = (f"sqlite:///{tmp_path}/{name}.db" for name in names)
    else:
        server = request.getfixturevalue("postgres")
        calm, killed = (server.database(f"prune_{name}_{os.getpid()}") for name in names)
    late = [Late("calls", 5, "c0", 30), Late("calls", 30, "c1", 7)]
    for url in (calm, killed):
        story(url, {}, frozenset(), [], late).close_connections()
    crash_prune.run(calm, str(tmp_path / "calm"))
    folder = tmp_path / "killed"
    with open_book(killed) as book, open_book(calm) as undisturbed:
        said = told(book, at(DAYS + 1))
        whole = {len(list(undisturbed.rollups(name))) for name in ("calls", "bytes")}
        assert whole == {1}
        state, moment, kills, kept = contents(book), 1, 0, 0
        while not child(killed, folder, moment):
            kills += 1
            found = contents(book)
            if found == state:
                moment += 1
                continue
            kept += 1
            assert list(audit(book, FolderArchive(folder))) == [], f"killed before moment {moment}"
            assert told(book, at(DAYS + 1)) == said
            state, moment = found, 1
        assert contents(book) == contents(undisturbed)
        assert told(book, at(DAYS + 1)) == said
    # Begun again after it died, it wrote no file twice and left none half written.
    assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in (tmp_path / "calm").iterdir())
    assert kept, "one month was kept by a run that died in the next one"
    assert kills > 60, "there was something to kill"
