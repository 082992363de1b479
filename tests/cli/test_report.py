"""`rating report`: the same figures on the screen, in JSON and on the page; the page drawn by a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rating.adapters.report import PlotlyPage
from rating.adapters.store import open_book
from rating.bootstrap import load_catalogue
from rating.cli import run
from rating.core.meters import Meter
from rating.core.notices import Kind
from rating.core.periods import Period
from rating.core.windows import Completeness, Held
from rating.jobs.bill import bill
from rating.jobs.contracts import gather
from rating.jobs.report import report
from rating.settings import Settings
from rating.specs.examples import example
from tests.stories import DAY, OCTOBER, close_days

CATALOGUE = """
version: 1
currency: USD
meters:
  api_calls: {metric: api_requests_total, consumer: consumer_id, dimensions: [endpoint], window: 1d}
plans:
  pro:
    fee: "49.00"
    charges: [{meter: api_calls, included: 100, unit_price: "0.02"}]
    upsell: {to: scale, at: [80%]}
  scale: {fee: "60.00", charges: [{meter: api_calls, included: 1000, unit_price: "0.002"}]}
  yen: {fee: "1200", currency: JPY, period: year, charges: [{meter: api_calls, unit_price: "1"}]}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01}
  - {consumer: "</script><b onclick=x>{y}", plan: pro, start: 2026-10-01, customer: Größenwahn AG}
  - {consumer: globex, plan: yen, start: 2026-10-01}
"""
HOSTILE = "</script><b onclick=x>{y}"
CALLS = Meter("api_calls", "api_requests_total", "consumer_id", ("endpoint",), window=DAY)
NOW = datetime(2026, 11, 11, 6, tzinfo=UTC)

Rating = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    settings = Settings(catalog=tmp_path / "catalogue.yaml", database_url=f"sqlite:///{tmp_path / 'book.db'}")
    with open_book(settings.database_url) as book:
        close_days(book, {"acme": 10, HOSTILE: 4, "globex": 1, "stranger": 5}, meter=CALLS)
        bill(book, gather(book, load_catalogue(settings), now=OCTOBER.end), now=OCTOBER.end)
        # Ten days of November: acme calls ten times as much; the tenth day is not closed, the ninth is held.
        days = {"acme": 100, HOSTILE: 4, "globex": 1}
        close_days(book, days, days=range(31, 38), meter=CALLS)
        close_days(book, days, days=range(38, 39), meter=CALLS, completeness=Completeness.DEGRADED)
        ninth = Period(OCTOBER.start + 39 * DAY, OCTOBER.start + 40 * DAY)
        book.hold(Held("api_calls", ninth, "no answer"), at=NOW)
    return settings


@pytest.fixture
def rating(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Rating:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rating.cli.report.now", lambda: NOW)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(["--catalog", str(settings.catalog), "--database-url", settings.database_url, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_the_summary_says_what_is_used_owed_and_not_measured(rating: Rating, tmp_path: Path) -> None:
    code, out, err = rating("report", "--period", "2026-11")
    assert code == 3, "a window is held and one is missing"
    # acme: 49 + 700 x 0.02 after 8 days of 100, at the end 49 + 2,900 x 0.02. The other: 49, and 20 x 0.02 at the end.
    rows = [line.split() for line in out.splitlines() if "│" in line]
    cells = [[cell for cell in row if cell != "│"] for row in rows]
    # Invoiced on 1 November: 49 + 210 x 0.02 and 49 + 24 x 0.02.
    assert ["USD", "112.00", "156.40", "102.68", "98.00"] in cells
    assert "7 complete, 1 degraded, 1 held, 1 missing" in out
    assert ["acme", "pro", "63.00", "USD", "scale", "-3.00"] in cells
    assert "800.0 %" in out
    assert (tmp_path / "rating-report.html").stat().st_size > 3_000_000
    assert "complete in itself" in err


def test_json_has_everything_in_exact_text(rating: Rating, tmp_path: Path) -> None:
    code, out, _ = rating("report", "--period", "2026-11", "--no-page", "--format", "json")
    assert code == 3
    assert not (tmp_path / "rating-report.html").exists()
    found = json.loads(out)
    assert found["usage"][0] == {
        "meter": "api_calls",
        "day": "2026-11-01",
        "by_consumer": {HOSTILE: "4", "acme": "100", "globex": "1"},
    }
    assert [one["day"] for one in found["usage"]] == [f"2026-11-{day:02}" for day in range(1, 12)]
    assert found["recurring"]["JPY"] == {"amount": "100", "currency": "JPY"}, "a twelfth of a year's 1200"
    assert {one["number"] for one in found["issued"]} == {"INV-000001", "INV-000002"}
    assert found["kinds"] == [{"meter": "api_calls", "dimensions": ["/search"], "quantity": "840"}]


def test_who_was_told_of_the_next_plan_is_shown_with_who_is_on_it(
    rating: Rating, settings: Settings, tmp_path: Path
) -> None:
    told = replace(
        example(Kind.ALLOWANCE_REACHED, NOW),
        consumer="acme",
        customer="acme",
        subscription="acme/pro/2026-10-01",
        plan="pro",
        next_plan="scale",
        mark="100%",
    )
    with open_book(settings.database_url) as book:
        book.tell([told, replace(told, consumer=HOSTILE, subscription="other")], at=NOW - 20 * DAY)
    written = settings.catalog.read_text()
    moved = "end: 2026-11-01}\n  - {consumer: acme, plan: scale, start: 2026-11-01}"
    settings.catalog.write_text(written.replace("start: 2026-10-01}", f"start: 2026-10-01, {moved}", 1))
    _, out, _ = rating("report", "--period", "2026-11")
    assert "Upselling: 2 told of their next plan in 90 days, 1 on it now" in out
    page = (tmp_path / "rating-report.html").read_text()
    assert "Fees gained a month, USD" in page
    assert "On it since" in page
    assert "<b onclick" not in page
    _, out, _ = rating("report", "--period", "2026-11", "--no-page", "--format", "json")
    first = json.loads(out)["upsells"][0]
    assert (first["consumer"], first["gain"]["amount"], first["thresholds"]) == ("acme", "11.00", ["100%"])


def test_a_month_that_is_over_is_shown_whole(rating: Rating) -> None:
    code, out, _ = rating("report", "--period", "2026-10", "--no-page")
    assert code == 0
    assert "31 complete, 0 degraded, 0 held, 0 missing" in out
    assert "█" * 31 in out


def test_days_to_come_and_csv_are_refused(rating: Rating) -> None:
    assert rating("report", "--period", "2027-01")[0] == 2
    code, _, err = rating("report", "--format", "csv")
    assert code == 2
    assert "rating usage --format csv" in err


def test_the_same_report_is_the_same_page_and_no_name_becomes_markup(settings: Settings) -> None:
    with open_book(settings.database_url) as book:
        gathered = gather(book, load_catalogue(settings), now=NOW)
        made = report(book, gathered, (NOW.date() - timedelta(days=10), NOW.date()), now=NOW)
    page = PlotlyPage().page(made)
    assert page == PlotlyPage().page(replace(made))
    assert "<b onclick" not in page
    assert page.count("</script>") == 2


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=str(chromium), args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.mark.slow
def test_a_browser_draws_every_chart_and_asks_nobody(rating: Rating, tmp_path: Path, browser: object) -> None:
    rating("report", "--period", "2026-11")
    page = browser.new_page()  # type: ignore[attr-defined]
    asked: list[str] = []
    troubles: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(f"file://{tmp_path / 'rating-report.html'}")
    page.wait_for_function("document.querySelectorAll('.main-svg .barlayer .point').length > 20")
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert troubles == []
    places = page.eval_on_selector_all("[role=img]", "all => all.map(one => one.querySelectorAll('.point').length)")
    assert len(places) == 8, "plans and consumers in two currencies, usage, endpoints, allowances, quality"
    assert all(places)
    assert HOSTILE in page.inner_text("body")
    assert page.evaluate("document.body.scrollWidth <= window.innerWidth")
