"""What is particular to files: whole batches, chained manifests, and nothing that is ever changed."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rating.adapters.handoff import FileGateway
from rating.adapters.handoff.papers import COLUMNS, paper
from rating.core.creditnotes import Cause, CreditNote, credit
from rating.core.money import Money
from rating.core.publications import CreditNoteDispatch
from rating.errors import EdgeDisagrees, EdgeUnavailable

from .trails import NOW, USD, NoTrail, dispatch


def publish(gateway: FileGateway, *numbers: int) -> str:
    for number in numbers:
        gateway.publish(dispatch(number), NoTrail(), now=NOW)
    return gateway.finish(now=NOW)


def manifest(folder: Path, batch: int) -> dict[str, Any]:
    return dict(json.loads((folder / f"batches/{batch:06d}.manifest.json").read_bytes()))


def test_a_round_becomes_one_batch_whose_manifest_proves_its_files(tmp_path: Path) -> None:
    gateway = FileGateway("books", tmp_path)
    assert publish(gateway, 1, 2) == "2 papers in batch 1"
    assert gateway.finish(now=NOW) == ""
    assert publish(FileGateway("books", tmp_path), 1, 2, 3) == "1 papers in batch 2"
    first, second = manifest(tmp_path, 1), manifest(tmp_path, 2)
    assert (first["first"], first["last"], first["papers"], first["before"]) == (1, 2, 2, "")
    assert (second["first"], second["last"], second["totals"]) == (3, 3, {"invoice": {"USD": "30.05"}})
    assert first["totals"] == {"invoice": {"USD": "30.10"}}
    for one in (first, second):
        for name, found in one["files"].items():
            assert hashlib.sha256((tmp_path / "batches" / name).read_bytes()).hexdigest() == found
    content = (tmp_path / "batches/000001.manifest.json").read_bytes()
    assert second["before"] == hashlib.sha256(content).hexdigest()


def test_the_table_sums_to_the_papers_and_no_cell_is_a_formula(tmp_path: Path) -> None:
    publish(FileGateway("books", tmp_path), 1, 2)
    with (tmp_path / "batches/000001.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["number"], row["line"], row["amount"]) for row in rows] == [
        ("INV-000001", "1", "10.00"),
        ("INV-000001", "2", "0.05"),
        ("INV-000002", "1", "20.00"),
        ("INV-000002", "2", "0.05"),
    ]
    assert rows[1]["title"] == "'=HYPERLINK(1)"
    assert rows[1]["quantity"] == "1000"
    paper = json.loads((tmp_path / "papers/000001-invoice-INV-000001.json").read_text())
    assert paper["lines"][1]["title"] == "=HYPERLINK(1)"
    assert sum(line["amount_minor"] for line in paper["lines"]) == paper["total_minor"] == 1005


def test_a_credit_note_is_of_the_customers_own_day() -> None:
    """At 16:00 UTC it is the next day in Tokyo, where the customer is."""
    one = dispatch(1)
    draft = credit(one.invoice, {1: Money(100, USD)}, (), cause=Cause.MANUAL, reason="an outage", author="ada")
    note = CreditNote("CN-000001", NOW.replace(hour=16), replace(draft, zone="Asia/Tokyo"), "e" * 64, "")
    said = paper(CreditNoteDispatch(note, one.invoice, Money(0, USD)))
    assert (NOW.date().isoformat(), said["date"]) == ("2026-09-01", "2026-09-02")


def test_what_was_handed_over_never_changes(tmp_path: Path) -> None:
    publish(FileGateway("books", tmp_path), 1)
    paper = tmp_path / "papers/000001-invoice-INV-000001.json"
    paper.write_text(paper.read_text().replace("10.05", "9.05"))
    with pytest.raises(EdgeDisagrees, match=r"000001-invoice-INV-000001\.json exists and says something else"):
        FileGateway("books", tmp_path).publish(dispatch(1), NoTrail(), now=NOW)


@pytest.mark.parametrize("spoil", ["gone", "foreign"])
def test_a_folder_that_somebody_else_changed_stops_publishing(tmp_path: Path, spoil: str) -> None:
    publish(FileGateway("books", tmp_path), 1, 2)
    if spoil == "gone":
        (tmp_path / "papers/000001-invoice-INV-000001.json").unlink()
    else:
        (tmp_path / "papers/notes.json").write_text("{}")
    with pytest.raises(EdgeDisagrees, match="put back what is missing"):
        FileGateway("books", tmp_path).publish(dispatch(3), NoTrail(), now=NOW)


def test_a_manifest_that_is_none_stops_the_next_batch(tmp_path: Path) -> None:
    gateway = FileGateway("books", tmp_path)
    publish(gateway, 1)
    (tmp_path / "batches/000001.manifest.json").write_text("{}")
    with pytest.raises(EdgeDisagrees, match="is not a manifest of ours"):
        publish(gateway, 2)


def test_a_file_system_that_does_not_let_us_is_tried_again(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(EdgeUnavailable, match="it is tried again"):
        FileGateway("books", in_the_way).publish(dispatch(1), NoTrail(), now=NOW)


def test_a_batch_cut_off_before_its_manifest_takes_up_what_came_since(tmp_path: Path) -> None:
    gateway = FileGateway("books", tmp_path)
    publish(gateway, 1)
    (tmp_path / "batches/000001.manifest.json").unlink()
    assert publish(FileGateway("books", tmp_path), 2) == "2 papers in batch 1"
    assert len((tmp_path / "batches/000001.jsonl").read_text().splitlines()) == 2
