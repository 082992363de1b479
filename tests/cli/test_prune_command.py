"""`rating book prune`, `rollups`, `compact` and what `explain`, `verify` and `book check` say afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from rating.adapters.archive import FolderArchive
from rating.adapters.store import compact, open_book
from rating.cli import run
from rating.core.periods import Period
from rating.core.windows import Closing, Completeness, Usage
from rating.jobs.prune import prune
from tests.jobs.pruned import HOUR, OLD, START, TEXT, Late, at, billed, collected, contracts, story

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run the command on a book with three old days; returns its exit code and what it said."""
    monkeypatch.setenv("COLUMNS", "400")
    url = f"sqlite:///{tmp_path}/book.db"
    story(url, {}, frozenset(), [], [Late("calls", 5, "c0", 30)]).close_connections()
    catalogue = tmp_path / "pruned.yaml"
    catalogue.write_text(TEXT)
    monkeypatch.setenv("RATING_DATABASE_URL", url)
    monkeypatch.setenv("RATING_CATALOG", str(catalogue))
    capsys.readouterr()

    def said(*arguments: str) -> tuple[int, str, str]:
        code = run([*arguments])
        out = capsys.readouterr()
        return code, out.out, out.err

    return said


BEFORE = ("--before", "2026-03-30")


def test_dry_run_then_prune_then_look(say: Say, tmp_path: Path) -> None:
    folder = str(tmp_path / "archive")
    code, out, err = say("book", "prune", *BEFORE, "--dry-run", "--format", "json")
    assert code == 0
    assert "136 windows before 2026-03-30: 911 rows would become 45" in err
    assert [(row["meter"], row["rows"], row["day rows"]) for row in json.loads(out)] == [
        ("bytes", 303, 15),
        ("calls", 608, 30),
    ]
    assert not Path(folder).exists()

    code, _, err = say("book", "prune", *BEFORE)
    assert (code, "say where the rows go with --archive" in err) == (2, True)
    code, _, err = say("book", "prune", *BEFORE, "--archive", folder)
    assert code == 1
    assert "911 usage rows of windows before 2026-03-30 will be removed" in err
    assert "nothing was removed; say --yes where nobody can be asked" in err
    assert not Path(folder).exists()

    code, out, err = say("book", "prune", *BEFORE, "--archive", folder, "--yes", "--author", "ann", "-f", "json")
    assert (code, "136 windows before 2026-03-30: 911 rows became 45" in err) == (0, True)
    assert "meter peak: a price asks for the time of day, so its windows stay" in err
    pruned = json.loads(out)
    code, out, err = say("book", "rollups", "--archive", folder, "--format", "json")
    assert (code, "2 files are there, each with its digest" in err) == (0, True)
    assert [(row["meter"], row["author"], row["sha256"]) for row in json.loads(out)] == [
        (row["meter"], "ann", row["sha256"]) for row in pruned
    ]
    for archive in ((), ("--archive", folder)):
        code, _, err = say("book", "check", *archive)
        assert (code, "every rule holds" in err) == (0, True)


def test_explain_says_what_was_rolled_up_and_reads_the_archive(say: Say, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    _, whole, _ = say("explain", "INV-000001/2", "--windows")
    say("book", "prune", *BEFORE, "--archive", str(folder), "--yes")
    digest = re.compile(r"their rows are in calls\.20260327T0000Z\.20260329T2200Z\.jsonl\.gz, SHA-256 [0-9a-f]{64}")
    code, by_day, _ = say("explain", "INV-000001/2", "--windows")
    assert code == 0
    assert "they sum to the quantity above" in by_day
    assert digest.search(by_day)
    assert "here they are known by the sum of their day" in by_day
    code, by_window, _ = say("explain", "INV-000001/2", "--windows", "--archive", str(folder))
    assert code == 0
    assert "each was read from there" in by_window
    lines = [line for line in by_window.splitlines() if not digest.search(line)]
    assert lines == whole.splitlines()
    assert len(by_day.splitlines()) < len(lines)

    for file in folder.glob("calls*"):
        file.write_bytes(file.read_bytes() + b"x")
    for command in (("explain", "INV-000001/2"), ("book", "check"), ("book", "rollups"), ("verify", "--book")):
        code, out, err = say(*command, "--archive", str(folder))
        assert code == 3, command
        assert "but the book rolled its windows up from a file with" in (out + err).replace("\n", " "), command


def test_the_setting_keeps_what_it_says(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = say("book", "prune", "--dry-run")
    assert (code, "say --before, or set RATING_RETENTION_MONTHS" in err) == (2, True)
    monkeypatch.setenv("RATING_RETENTION_MONTHS", "1200")
    code, _, err = say("book", "prune", "--dry-run", *BEFORE)
    assert code == 0
    assert "RATING_RETENTION_MONTHS keeps 1200 months: only what starts before" in err
    assert ": 0 rows would become 0" in err
    monkeypatch.setenv("RATING_RETENTION_MONTHS", "1201")
    code, _, err = say("book", "prune", "--dry-run")
    assert (code, "1201 is outside 1 to 1200" in err) == (2, True)


def _heap(url: str) -> int:
    """Bytes of the table of usage on PostgreSQL, without its index."""
    engine = create_engine(url)
    with engine.connect() as connection:
        size = int(connection.execute(text("SELECT pg_relation_size('usage')")).scalar_one())
    engine.dispose()
    return size


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_space_comes_back(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Eight days of 800 consumers: most of the file is hours that become days."""
    sqlite, old = engine == "sqlite", Period(START - 9 * 24 * HOUR, START)
    url = f"sqlite:///{tmp_path}/book.db" if sqlite else request.getfixturevalue("postgres_url")
    with open_book(url) as book:
        collected(book, range(3))
        rows = tuple(Usage(f"n{number:04}", ("/a",), 5) for number in range(800))
        for hour in range(192):
            window = Period(START - (194 - hour) * HOUR, START - (193 - hour) * HOUR)
            book.close(Closing("calls", window, Completeness.COMPLETE, rows), meter_digest="m", at=START)
        billed(book, at(3))
        before = book.sums("calls", old)
        terms = contracts(book, at(5))
        prune(book, terms, OLD, FolderArchive(tmp_path / "archive"), now=at(5))
    file = tmp_path / "book.db"
    size = file.stat().st_size if sqlite else 0
    was, now = compact(url)
    heap = 0 if sqlite else _heap(url)
    if sqlite:
        # Pages of rows that went were free and the file as large as ever; now it is less than a third.
        assert size >= was > 3 * now
        assert file.stat().st_size == now
    with open_book(url) as book:
        assert book.sums("calls", old) == before
        if not sqlite:
            # The space stays with the table and is used again: as many rows once more take no more of it.
            for hour in range(150):
                window = Period(START + (200 + hour) * HOUR, START + (201 + hour) * HOUR)
                book.close(Closing("calls", window, Completeness.COMPLETE, rows), meter_digest="m", at=START)
            assert _heap(url) <= heap
