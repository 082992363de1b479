"""Pushing boards, against a stand-in of Grafana's API: once, twice, over somebody's edit, beside somebody's boards."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace

import pytest

from rating.adapters.grafana import GrafanaBoards
from rating.adapters.memory_book import MemoryBook
from rating.core.periods import milliseconds
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable
from rating.jobs.bill import bill
from rating.jobs.provision import invoice_marks, keep_panels, keep_source, plan_changes, put_marks
from rating.jobs.show import Change, Shown, differences, show_boards
from rating_dashboards import FOLDER_TITLE, FOLDER_UID, documents, engine_source, panels, source
from tests.outer.dashboards.grafana import TOKEN, Grafana
from tests.outer.rules.catalogues import catalogue
from tests.stories import ACME, OCTOBER, close_days, contracts

DOCUMENTS = documents(catalogue())


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with Grafana() as standing:
        yield standing


def push(grafana: Grafana, token: str = TOKEN, dry_run: bool = False) -> dict[str, Shown]:
    boards = GrafanaBoards(grafana.url, token)
    done = show_boards(boards, DOCUMENTS, FOLDER_UID, FOLDER_TITLE, dry_run=dry_run)
    return {one.uid: one for one in done}


def test_seven_boards_arrive_in_our_folder(grafana: Grafana) -> None:
    assert {one.change for one in push(grafana).values()} == {Change.ADDED}
    assert grafana.folders == {"rating": "Rating"}
    assert len(grafana.boards) == 7
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


def test_library_panels_are_kept_once_and_never_taken_from_others(grafana: Grafana) -> None:
    boards, lent = GrafanaBoards(grafana.url, TOKEN), panels(catalogue())
    assert set(lent) == {"rating-panel-accrued", "rating-panel-allowances", "rating-panel-near"}
    assert {one.change for one in keep_panels(boards, lent, FOLDER_UID, dry_run=True)} == {Change.ADDED}
    assert grafana.writes == []
    keep_panels(boards, lent, FOLDER_UID)
    assert {one.change for one in keep_panels(boards, lent, FOLDER_UID)} == {Change.EQUAL}
    assert len(grafana.writes) == 3
    grafana.panels["rating-panel-near"]["model"] = {**lent["rating-panel-near"], "title": "Mine"}
    [near] = [one for one in keep_panels(boards, lent, FOLDER_UID) if one.change is Change.REPLACED]
    assert near.differences == ("title: 'Mine' -> 'Half used or more'",)
    assert grafana.panels["rating-panel-near"]["version"] == 2
    grafana.panels["rating-panel-accrued"]["folderUid"] = "theirs"
    with pytest.raises(EdgeDisagrees, match="rating-panel-accrued"):
        keep_panels(boards, lent, FOLDER_UID)


def test_the_source_of_metrics_keeps_what_others_set(grafana: Grafana) -> None:
    boards = GrafanaBoards(grafana.url, TOKEN)
    assert keep_source(boards, source("http://one:9090")).change is Change.ADDED
    assert keep_source(boards, source("http://one:9090")).change is Change.EQUAL
    grafana.sources["rating-prometheus"]["basicAuthUser"] = "somebody"
    moved = keep_source(boards, source("http://two:9090"))
    assert moved.differences == ("url: 'http://one:9090' -> 'http://two:9090'",)
    kept = grafana.sources["rating-prometheus"]
    assert (kept["url"], kept["basicAuthUser"]) == ("http://two:9090", "somebody")


def test_the_engine_s_source_has_its_token_and_never_shows_it(grafana: Grafana) -> None:
    boards = GrafanaBoards(grafana.url, TOKEN)
    document = engine_source("http://engine:9465")
    assert keep_source(boards, document, secrets={"bearerToken": "one"}, dry_run=True).change is Change.ADDED
    assert grafana.writes == []
    assert keep_source(boards, document, secrets={"bearerToken": "one"}).change is Change.ADDED
    assert keep_source(boards, document, secrets={"bearerToken": "two"}).change is Change.EQUAL
    assert grafana.secrets["rating-engine"] == {"bearerToken": "two"}
    assert grafana.sources["rating-engine"]["jsonData"]["allowedHosts"] == ["http://engine:9465"]
    assert "two" not in str(boards.source("rating-engine"))


def test_invoices_and_changes_of_plan_are_marked_once(grafana: Grafana) -> None:
    book, boards = MemoryBook(), GrafanaBoards(grafana.url, TOKEN)
    close_days(book, {"acme": 10})
    issued = bill(book, contracts(ACME), now=OCTOBER.end).issued
    after = replace(ACME, plan="scale", start=OCTOBER.end)
    unrelated = replace(ACME, consumer="globex", start=OCTOBER.end)
    marks = [*invoice_marks(issued), *plan_changes([replace(ACME, end=OCTOBER.end), after, unrelated])]
    assert [mark.text for mark in marks] == ["INV-000001 to acme: 52.10 USD", "acme moves from pro to scale"]
    assert len(put_marks(boards, marks, dry_run=True)) == 2
    assert grafana.marks == []
    put_marks(boards, marks[:1])
    assert [mark.text for mark in put_marks(boards, marks)] == ["acme moves from pro to scale"]
    assert put_marks(boards, marks) == ()
    assert [mark["time"] for mark in grafana.marks] == [milliseconds(OCTOBER.end)] * 2
    shown = [one["target"]["tags"] for one in DOCUMENTS["rating-revenue"]["annotations"]["list"] if "target" in one]
    assert [list(mark["tags"][:-1]) for mark in grafana.marks] == shown
