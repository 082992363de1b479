"""Archives: every window before a day, rolled up to days whose digests lead back to them; the book stays as it was."""

from __future__ import annotations

import csv
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from rating.adapters.store import open_book
from rating.cli import run
from rating.core.periods import Period, seconds
from rating.core.rollup import rolled
from rating.core.windows import Closing, Completeness, Usage
from rating.jobs.audit import audit

START = datetime(2026, 8, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Three days of hourly windows of two consumers, five an hour and one an hour."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    with open_book(url) as book:
        for hour in range(72):
            window = Period(START + hour * HOUR, START + (hour + 1) * HOUR)
            rows = (Usage("acme", ("/a",), 5), Usage("zeta", ("/a",), 1))
            book.close(Closing("calls", window, Completeness.COMPLETE, rows), meter_digest="m", at=window.end)
    return url


def test_a_day_is_the_sum_of_its_windows_and_its_digest_leads_back_to_them(url: str) -> None:
    with open_book(url) as book:
        closings = list(book.closing_records())
    days = list(rolled(closings, [ZoneInfo("UTC")]))
    assert [(day.day.day, day.head.windows, [row.quantity for row in day.usage]) for day in days] == [
        (1, 24, [120, 24]), (2, 24, [120, 24]), (3, 24, [120, 24]),
    ]  # fmt: skip
    lines = "".join(f"{seconds(one.window.start)}|{one.usage_digest}\n" for one in closings[:24])
    assert days[0].head.digest == hashlib.sha256(lines.encode()).hexdigest()
    assert [day.head.windows for day in rolled(closings, [ZoneInfo("Asia/Kolkata")])] == [19, 24, 24, 5]
    changed = [closings[0]._replace(usage_digest="0" * 64), *closings[1:]]
    assert next(rolled(changed, [ZoneInfo("UTC")])).head.digest != days[0].head.digest


def test_the_command_copies_says_the_hashes_and_removes_nothing(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "archive"
    command = ["--database-url", url, "book", "archive", "--before", "2026-08-03", "--out", str(out)]
    assert run([*command, "--dry-run"]) == 0
    assert "would copy 48 windows with 96 rows" in capsys.readouterr().err
    assert not out.exists()
    assert run([*command, "--format", "csv"]) == 0
    said = capsys.readouterr().out
    for name, count in (("windows.csv", 96), ("days.csv", 4)):
        file = out / name
        assert f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}" in said
        with file.open(newline="") as text:
            rows = list(csv.DictReader(text))
        assert len(rows) == count
        assert sum(int(row["quantity"]) for row in rows) == 48 * 6
    assert (out / "SHA256SUMS").read_text() == said
    with open_book(url) as book:
        assert len(list(book.closing_records())) == 72
        assert list(audit(book)) == []
