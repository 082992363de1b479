"""`rating-exporters logs --check`: what it says is what counting then does, and looking changes nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from rating_exporters import cli
from rating_exporters.loglines import nginx, routes
from rating_exporters.logs import AccessLog
from rating_exporters.logstate import LogState
from rating_exporters.preview import Preview, added

Look = Callable[..., tuple[int, str]]


def write(log: Path, who: str, times: int, sent: int = 10, path: str = "/things/7") -> None:
    with log.open("a") as file:
        for number in range(times):
            file.write(f'1.2.3.4 - {who} [{number}] "GET {path} HTTP/1.1" 200 {sent} "-" "-"\n')


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three lines in it, and four in a compressed file before it."""
    log = tmp_path / "access.log"
    write(log, "c0", 4)
    (tmp_path / "access.log.2.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    write(log, "c1", 2, sent=7)
    write(log, "c1", 1, path="/other")
    return log


@pytest.fixture
def look(log: Path, capsys: pytest.CaptureFixture[str]) -> Look:
    """`rating-exporters logs ... --check`: its status and what it printed."""

    def once(*more: str) -> tuple[int, str]:
        words = ["logs", "--log", str(log), "--state", str(log.with_name("state")), "--route", "/things/{id}"]
        status = cli.main([*words, "--check", *more])
        told = capsys.readouterr()
        return status, told.out + told.err

    return once


def counter(log: Path) -> AccessLog:
    return AccessLog(log, LogState(log.with_name("state")), nginx(), routes(["/things/{id}"]))


def test_a_look_says_what_counting_then_adds_and_changes_nothing(log: Path, look: Look) -> None:
    names = sorted(path.name for path in log.parent.iterdir())
    for _ in range(2):
        status, told = look()
        assert status == 0
        assert told.splitlines() == [
            f"read 7 lines of {log}; nothing changed",
            'would add 4 to api_requests_total{consumer_id="c0",endpoint="/things/{id}",method="GET",status="200"}',
            'would add 2 to api_requests_total{consumer_id="c1",endpoint="/things/{id}",method="GET",status="200"}',
            'would add 1 to api_requests_total{consumer_id="c1",endpoint="<unmatched>",method="GET",status="200"}',
            'would add 40 to api_response_bytes_total{consumer_id="c0",endpoint="/things/{id}",method="GET"}',
            'would add 14 to api_response_bytes_total{consumer_id="c1",endpoint="/things/{id}",method="GET"}',
            'would add 10 to api_response_bytes_total{consumer_id="c1",endpoint="<unmatched>",method="GET"}',
        ]
        assert sorted(path.name for path in log.parent.iterdir()) == names
    counting = counter(log)
    counting.poll()
    totals = {labels: total for (metric, labels), (total, _) in counting.state.totals().items() if len(labels) == 4}
    assert totals == {
        ("c0", "/things/{id}", "GET", "200"): 4,
        ("c1", "/things/{id}", "GET", "200"): 2,
        ("c1", "<unmatched>", "GET", "200"): 1,
    }
    counting.state.close()


def test_beside_the_process_that_counts_only_what_is_new_is_told(log: Path, look: Look) -> None:
    counting = counter(log)
    counting.poll()
    assert look() == (0, f"read 0 lines of {log}; nothing changed\n")
    write(log, "c1", 5)
    for _ in range(2):
        status, told = look("--output", "json")
        assert status == 0
        labels = {"consumer_id": "c1", "endpoint": "/things/{id}", "method": "GET"}
        assert json.loads(told) == {
            "read": 5,
            "of": f"lines of {log}",
            "adds": [
                {"metric": "api_requests_total", "labels": {**labels, "status": "200"}, "amount": 5},
                {"metric": "api_response_bytes_total", "labels": labels, "amount": 50},
            ],
            "set_aside": [],
            "warnings": [],
        }
    assert counting.poll() == 5
    counting.state.close()


def test_lines_that_do_not_fit_are_shown_and_are_trouble(log: Path, look: Look) -> None:
    with log.open("ab") as file:
        file.write(b"h\xff - x\n" + b"y" * 1_000 + b"\n")
    status, told = look()
    assert status == 1
    assert r"would set aside a line of 6 bytes: it does not fit the format: 'h\\xff - x'" in told
    assert "would set aside a line of 1000 bytes: it does not fit the format: '" + "y" * 200 + "'\n" in told
    assert "warning" not in told
    status, told = look("--format", "kong", "--output", "json")
    assert status == 1
    found = json.loads(told)
    assert (found["read"], found["adds"], len(found["set_aside"])) == (9, [], 5)
    assert found["warnings"] == ["9 lines do not fit the format; the first 5 are shown"]


def test_truncated_text_is_warned_of(log: Path, look: Look) -> None:
    counting = counter(log)
    counting.poll()
    counting.state.close()
    with log.open("r+b") as file:
        file.truncate(0)
    write(log, "c2", 1)
    status, told = look()
    assert status == 1
    assert 'would add 1 to api_requests_total{consumer_id="c2"' in told
    assert "warning: text was gone from 1 files; lines that were not read by then are lost" in told


def test_a_look_at_nothing_and_an_output_without_a_look_are_refused(
    log: Path, look: Look, capsys: pytest.CaptureFixture[str]
) -> None:
    log.unlink()
    assert look() == (2, f"rating-exporters: {log}: there is no such log; is this its name (--log)?\n")
    state = str(log.with_name("state"))
    for words in (
        ["logs", "--log", str(log)],
        ["events", "redis", "--at", "redis://127.0.0.1:9", "--topic", "t"],
        ["cloud", "apigee", "--organization", "o", "--environment", "e", "--once"],
    ):
        assert cli.main([*words, "--state", state, "--output", "json"]) == 2
        assert "--output json is for --check" in capsys.readouterr().err
    assert not log.with_name("state").exists()


def test_amounts_with_decimals_pass_no_float() -> None:
    counts = {("q", ("c0",)): 2**53 + 1, ("q", ("c1",)): 5, ("n", ("c0",)): 3, ("other", ()): 1, ("n", ("c1",)): 0}
    adds = added(counts, {"q": ("who",), "n": ("who",)}, {"q": 12})
    assert [one.amount for one in adds] == [3, Decimal("9007.199254740993"), Decimal("0.000000000005")]
    preview = Preview(2, "messages", adds)
    assert [one["amount"] for one in json.loads(preview.json())["adds"]] == [3, "9007.199254740993", "0.000000000005"]
    assert 'would add 0.000000000005 to q{who="c1"}' in preview.text()
