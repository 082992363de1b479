"""Pushing boards, against a stand-in of Grafana's API: once, twice, over somebody's edit, beside somebody's boards."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import pytest

from rating.adapters.grafana import GrafanaBoards
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable
from rating.jobs.show import Change, Shown, differences, show_boards
from rating_dashboards import FOLDER_TITLE, FOLDER_UID, documents
from tests.outer.dashboards.grafana import TOKEN, Grafana
from tests.outer.rules.catalogues import catalogue

DOCUMENTS = documents(catalogue())


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with Grafana() as standing:
        yield standing


def push(grafana: Grafana, token: str = TOKEN, dry_run: bool = False) -> dict[str, Shown]:
    boards = GrafanaBoards(grafana.url, token)
    done = show_boards(boards, DOCUMENTS, FOLDER_UID, FOLDER_TITLE, dry_run=dry_run)
    return {one.uid: one for one in done}


def test_six_boards_arrive_in_our_folder(grafana: Grafana) -> None:
    assert {one.change for one in push(grafana).values()} == {Change.ADDED}
    assert grafana.folders == {"rating": "Rating"}
    assert len(grafana.boards) == 6
    assert {board["folderUid"] for board in grafana.boards.values()} == {"rating"}


def test_pushing_twice_writes_once(grafana: Grafana) -> None:
    push(grafana)
    written = list(grafana.writes)
    assert {one.change for one in push(grafana).values()} == {Change.EQUAL}
    assert grafana.writes == written


def test_an_edited_board_is_replaced_and_the_others_are_not_touched(grafana: Grafana) -> None:
    push(grafana)
    edited = deepcopy(grafana.boards["rating-usage"]["dashboard"])
    edited["panels"][1]["title"] = "My favourite"
    grafana.keep(edited, "rating", version=7)
    grafana.writes.clear()

    told = push(grafana, dry_run=True)["rating-usage"]
    assert told.change is Change.REPLACED
    assert told.differences == ("panels[1].title: 'My favourite' -> 'Fullest allowances'",)
    assert grafana.writes == []

    push(grafana)
    assert grafana.writes == [("board", "rating-usage")]
    assert grafana.boards["rating-usage"]["dashboard"]["version"] == 8
    assert grafana.boards["rating-usage"]["dashboard"]["panels"][1]["title"] == "Fullest allowances"


def test_what_is_not_ours_stays(grafana: Grafana) -> None:
    """A stranger's board in our folder, and one of our names in a stranger's folder."""
    grafana.folders = {"rating": "Our own title", "theirs": "Theirs"}
    grafana.keep({"uid": "handmade", "title": "Hand made"}, "rating")
    push(grafana)
    assert grafana.folders["rating"] == "Our own title"
    assert grafana.boards["handmade"]["dashboard"]["title"] == "Hand made"

    grafana.boards["rating-engine"]["folderUid"] = "theirs"
    del grafana.boards["rating-usage"]
    before = deepcopy(grafana.boards)
    with pytest.raises(EdgeDisagrees, match=r"rating-engine \(in theirs\)"):
        push(grafana)
    assert grafana.boards == before


def test_a_dry_run_changes_nothing_and_names_what_it_would_add(grafana: Grafana) -> None:
    assert {one.change for one in push(grafana, dry_run=True).values()} == {Change.ADDED}
    assert (grafana.boards, grafana.folders, grafana.writes) == ({}, {}, [])


def test_an_edit_between_reading_and_writing_is_refused(grafana: Grafana) -> None:
    push(grafana)
    boards = GrafanaBoards(grafana.url, TOKEN)
    with pytest.raises(EdgeDisagrees, match="changed while we looked"):
        boards.show({**DOCUMENTS["rating-usage"], "title": "late"}, FOLDER_UID, replaces=99)


def test_refusals_say_whose_turn_it_is(grafana: Grafana) -> None:
    with pytest.raises(EdgeRefused, match=r"401.*check the token"):
        push(grafana, token="glsa_wrong")
    grafana.failing = 503
    with pytest.raises(EdgeUnavailable, match="out of order; try again"):
        push(grafana)
    with pytest.raises(EdgeUnavailable, match="cannot be reached"):
        GrafanaBoards("http://127.0.0.1:9", TOKEN).shown("x")
    with pytest.raises(EdgeRefused, match="is not an address"):
        GrafanaBoards("grafana.example", TOKEN)


def test_no_message_shows_the_token_or_a_password(grafana: Grafana) -> None:
    url = grafana.url.replace("http://", "http://admin:hunter2@")
    with pytest.raises(EdgeRefused) as refused:
        show_boards(GrafanaBoards(url, "glsa_secret"), DOCUMENTS, FOLDER_UID, FOLDER_TITLE)
    assert "glsa_secret" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_servers_own_additions_are_no_difference() -> None:
    ours = {"title": "a", "panels": [{"id": 1}], "id": None}
    assert (
        list(differences({"title": "a", "panels": [{"id": 1, "pluginVersion": "12"}], "id": 5, "version": 3}, ours))
        == []
    )
    assert list(differences({"title": "a", "panels": []}, ours)) == ["panels: 0 entries -> 1"]
