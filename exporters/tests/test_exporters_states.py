"""State files of `logs`, `events` and `cloud`: whose a file is, and that no other command counts into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rating_exporters import cli
from rating_exporters.cloudstate import CloudState
from rating_exporters.eventstate import EventState
from rating_exporters.logstate import LogState

MADE: dict[str, Callable[[Path], LogState | EventState | CloudState]] = {
    "logs": LogState,
    "events": lambda path: EventState(path, {"labels": "consumer_id, topic", "decimals": "0"}),
    "cloud": lambda path: CloudState(path, {"cloud": "azure"}, datetime(2026, 11, 1, tzinfo=UTC)),
}


def words(command: str, folder: Path) -> list[str]:
    (folder / "access.log").touch()
    return {
        "logs": ["logs", "--log", str(folder / "access.log")],
        "events": ["events", "redis", "--at", "redis://127.0.0.1:9", "--topic", "t"],
        "cloud": ["cloud", "apigee", "--organization", "o", "--environment", "e", "--url", "https://127.0.0.1:9"],
    }[command]


def contents(path: Path) -> list[str]:
    database = sqlite3.connect(path)
    lines = list(database.iterdump())
    database.close()
    return lines


@pytest.mark.parametrize("mine", MADE)
@pytest.mark.parametrize("maker", MADE)
def test_a_command_counts_into_its_own_state_files_only(tmp_path: Path, mine: str, maker: str) -> None:
    path = tmp_path / "state?.sqlite"  # a name that means something in an address
    MADE[maker](path).close()
    before = contents(path)
    if mine == maker:
        MADE[mine](path).close()
    else:
        refusal = f"`rating-exporters {maker}` counts into this state file, so `rating-exporters {mine}` does not"
        with pytest.raises(ValueError, match=refusal) as refused:
            MADE[mine](path)
        assert str(refused.value).startswith(f"{path}: ")
        assert str(refused.value).endswith("give each of them a --state of its own")
    assert contents(path) == before
    MADE[maker](path).close()  # a refusal leaves no lock behind


@pytest.mark.parametrize("mode", [[], ["--check"]])
@pytest.mark.parametrize(("mine", "maker"), [("logs", "events"), ("events", "logs"), ("cloud", "logs")])
def test_the_commands_say_so_counting_or_looking_even_while_the_owner_counts(
    tmp_path: Path,
    mine: str,
    maker: str,
    mode: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("redis")
    monkeypatch.setenv("APIGEE_ACCESS_TOKEN", "t")
    owner = MADE[maker](tmp_path / "state")
    before = contents(tmp_path / "state")
    assert cli.main([*words(mine, tmp_path), "--state", str(tmp_path / "state"), *mode]) == 2
    told = capsys.readouterr()
    assert f"`rating-exporters {maker}` counts into this state file" in told.err
    assert told.out == ""
    assert contents(tmp_path / "state") == before
    owner.close()


def test_messages_set_aside_are_asked_of_a_file_that_has_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MADE["logs"](tmp_path / "state").close()
    assert cli.main(["events", "--set-aside", "--state", str(tmp_path / "state")]) == 2
    assert "`rating-exporters logs` counts into this state file" in capsys.readouterr().err
    assert cli.main(["events", "--set-aside", "--state", str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none'}: there is no such state file" in capsys.readouterr().err


def test_a_file_in_which_another_command_once_left_empty_tables_is_still_its_maker_s(tmp_path: Path) -> None:
    MADE["events"](tmp_path / "state").close()
    database = sqlite3.connect(tmp_path / "state")
    database.executescript("CREATE TABLE cells (start INTEGER); CREATE TABLE streams (id INTEGER);")
    database.close()
    MADE["events"](tmp_path / "state").close()
    with pytest.raises(ValueError, match="`rating-exporters events` counts into this state file"):
        MADE["cloud"](tmp_path / "state")


@pytest.mark.parametrize("command", MADE)
def test_files_of_other_programs_are_left_as_they_are(tmp_path: Path, command: str) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but somebody's notes\n" * 40)
    with pytest.raises(ValueError, match=r"notes\.txt: this is no SQLite file; give --state a file of its own"):
        MADE[command](text)
    assert text.read_text() == "not a database, but somebody's notes\n" * 40
    book = tmp_path / "book.sqlite"
    database = sqlite3.connect(book)
    database.executescript("CREATE TABLE entries (key TEXT); CREATE TABLE positions (at INTEGER);")
    database.close()
    before = contents(book)
    with pytest.raises(ValueError, match="holds entries, positions and is no state file of rating-exporters"):
        MADE[command](book)
    assert contents(book) == before
    (tmp_path / "empty").touch()  # as sqlite3 leaves it when nothing was written yet
    MADE[command](tmp_path / "empty").close()
