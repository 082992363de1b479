"""The README's claim is what the proving ground measured: its table and its numbers are those kept by the suite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rating_demo.scenarios import HAPPENINGS
from tests.promises.metering.scoreboard import kept

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
SECTION = README.partition("## Why it can be trusted")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\d.*\|$", SECTION, re.MULTILINE)
]


def said(figure: str) -> str:
    """An error as the README has it: a tenth of a percent where it is small."""
    percent = float(figure.removesuffix(" %").replace(",", ""))
    return f"{percent:+.1f} %" if abs(percent) < 9.95 else f"{percent:+.0f} %"


def test_there_is_a_table() -> None:
    assert len(ROWS) >= 7


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_row_of_the_readme_is_as_the_suite_measured_it(row: list[str]) -> None:
    known = kept()[row[0]]
    counts = [f"{known[column]:,}" for column in ("true", "provable", "billed")]
    assert row == [known["happens"], *counts, f"{said(str(known['increase']))} / {said(str(known['worst']))}"]


def test_the_numbers_beside_the_table_are_those_of_all_scenarios() -> None:
    found = kept().values()
    scenarios, cells = re.search(r"(\d+) such scenarios.*?([\d,]+) cells", SECTION.replace("\n", " ")).groups()
    assert int(scenarios) == len(found)
    assert int(cells.replace(",", "")) == sum(int(row["cells"]) for row in found)
    assert "none of them wrong" in SECTION.replace("\n", " ")
    assert {row["wrong"] for row in found} == {0}
    assert all(row["billed"] == row["provable"] for row in found)


def test_every_scenario_was_measured_and_no_other() -> None:
    assert list(kept()) == [happening.sentence for happening in HAPPENINGS.values()]
