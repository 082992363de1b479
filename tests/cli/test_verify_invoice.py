"""An invoice is checked against the book and against the samples; a meter that changed is measured as it was."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.memory_source import MemorySource
from rating.cli import run
from rating.cli.frame import DONE, LOOK, WRONG_INPUT
from rating.core.periods import Period, milliseconds
from rating.jobs.bill import bill
from rating.jobs.collect import collect
from rating.jobs.contracts import gather, keep
from rating.jobs.rerate import rerate
from rating.jobs.verify import verify
from rating.specs.compile import compile_catalogue

DAY = datetime(2026, 10, 1, tzinfo=UTC)
NOW = DAY + timedelta(days=1, hours=1)
METER = "metric: calls_total, consumer: api_key, scrape_interval: 1m, lookback: 2h, coverage: 50%"
TEXT = (
    "version: 1\ncurrency: USD\n"
    f"meters: {{calls: {{{METER}, consumers: {{key-a: acme}}}}}}\n"
    'plans: {pro: {name: Pro, period: day, fee: "1", charges: [{meter: calls, included: 40, unit_price: "0.01"}]}}\n'
    "subscriptions: [{consumer: acme, plan: pro, start: 2026-10-01, end: 2026-10-02}]\n"
)
GROWN = TEXT.replace("{key-a: acme}", "{key-a: acme, key-b: globex}")


def source(extra: int = 0) -> MemorySource:
    """One call a minute by each of two keys; `extra` more by the first at 02:30."""
    start, target = milliseconds(DAY), {"job": "api", "instance": "one"}
    minutes = range(-10, 26 * 60)
    counters = [
        (
            {"__name__": "calls_total", "api_key": key, **target},
            [(start + m * 60_000, 100 + m + (more if m >= 150 else 0)) for m in minutes],
        )
        for key, more in (("key-a", extra), ("key-b", 0))
    ]
    return MemorySource([*counters, ({"__name__": "up", **target}, [(start + m * 60_000, 1) for m in minutes])])


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "catalogue.yaml").write_text(TEXT)
    monkeypatch.setenv("RATING_CATALOG", str(tmp_path / "catalogue.yaml"))
    monkeypatch.setenv("RATING_DATABASE_URL", f"sqlite:///{tmp_path / 'book.db'}")
    for command in ("collect", "bill", "verify"):
        monkeypatch.setattr(f"rating.cli.{command}.now", lambda: NOW)
    monkeypatch.setattr("rating.cli.collect.open_source", lambda settings: source())
    monkeypatch.setattr("rating.cli.verify.open_source", lambda settings: source())


def test_an_invoice_is_rated_again_and_its_windows_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["collect", "--to", "2026-10-02"]) == DONE
    assert run(["bill"]) == DONE
    capsys.readouterr()
    assert run(["verify", "--invoice", "INV-000001"]) == DONE
    said = capsys.readouterr().err
    assert "INV-000001 comes to 15.00 USD from the book, line by line as it was issued" in said
    assert "24 windows measure what the book says, 0 differ, 0 cannot be measured again" in said

    # A key more and another price from now on: neither could have changed what was billed.
    (tmp_path / "catalogue.yaml").write_text(GROWN.replace("0.01", "0.02"))
    assert run(["verify", "--invoice", "INV-000001"]) == DONE
    assert "24 windows measure what the book says" in capsys.readouterr().err

    monkeypatch.setattr("rating.cli.verify.open_source", lambda settings: source(extra=3))
    assert run(["verify", "--invoice", "INV-000001", "--format", "csv"]) == LOOK
    printed = capsys.readouterr()
    assert "calls,2026-10-01T02:00Z,2026-10-01T03:00Z,acme,,60,63,request" in printed.out
    assert "23 windows measure what the book says, 1 differ" in printed.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "--invoice", "INV-000007"),
        ("verify", "--invoice", "INV-000001", "--period", "2026-10"),
        ("explain", "INV-000007"),
        ("invoices", "show", "INV-000007"),
    ],
)
def test_what_the_book_does_not_hold_is_wrong_input(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == WRONG_INPUT
    assert "Traceback" not in capsys.readouterr().err


def test_an_invoice_that_the_book_does_not_bear_out_says_where() -> None:
    catalogue, book = compile_catalogue([("c.yaml", TEXT)]), MemoryBook()
    keep(book, catalogue, now=DAY)
    collect(book, source(), tuple(catalogue.meters.values()), since=DAY, now=NOW)
    agreed = gather(book, catalogue, now=NOW)
    [invoice] = bill(book, agreed, now=NOW).issued
    assert rerate(book, agreed, invoice) == ()
    draft = invoice.draft
    place = next(i for i, line in enumerate(draft.lines) if line.meter)
    line = draft.lines[place]
    dearer = replace(line, quantity=line.quantity + 1)
    forged = replace(invoice, draft=replace(draft, lines=(*draft.lines[:place], dearer, *draft.lines[place + 1 :])))
    [found] = rerate(book, agreed, forged)
    assert (found.where, "1441 request" in found.issued, "1440 request" in found.rated) == (
        f"line {place + 1}",
        True,
        True,
    )


def test_a_lookup_that_grows_is_no_other_meter() -> None:
    before, after = (compile_catalogue([("c.yaml", text)]) for text in (TEXT, GROWN))
    book, span = MemoryBook(), Period(DAY, DAY + timedelta(hours=4))
    keep(book, before, now=DAY)
    collect(book, source(), tuple(before.meters.values()), since=DAY, until=span.end, now=NOW)
    verified = verify(book, source(), tuple(after.meters.values()), span)
    assert (verified.equal, verified.differences, verified.unreadable) == (4, (), ())

    collected = collect(
        book, source(), tuple(after.meters.values()), since=DAY, until=span.end + timedelta(hours=1), now=NOW
    )
    assert (len(collected.closed), collected.redefined) == (1, ())
    assert {row.usage.consumer for row in book.usage(Period(span.end, NOW))} == {"acme", "globex"}
    assert {row.usage.consumer for row in book.usage(span)} == {"acme", "<unknown:...b>"}


def test_a_meter_nobody_kept_is_said_to_have_changed() -> None:
    before = compile_catalogue([("c.yaml", TEXT)]).meters["calls"]
    book, span = MemoryBook(), Period(DAY, DAY + timedelta(hours=2))
    collect(book, source(), (before,), since=DAY, until=span.end, now=NOW)
    digest = hashlib.sha256(b"key-c").hexdigest()
    verified = verify(book, source(), (replace(before, consumers=((digest, "initech"),)),), span)
    assert {why.partition(";")[0] for *_, why in verified.unreadable} == {
        "the meter has changed since this window was closed"
    }
