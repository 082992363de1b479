"""The commands around the catalogue, as a person types them: what they print, what they exit with, what they keep."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet
import pytest

import rating.specs
from rating.bootstrap import open_book, read_sources
from rating.cli import run as run_command
from rating.core.periods import Period
from rating.core.windows import Closing, Completeness, Usage
from rating.settings import Settings
from rating.specs.compile import examine

CATALOGUE = """\
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: consumer_id, window: 24h}
plans:
  small:
    fee: "19"
    charges:
      - {meter: calls, included: 1_000, unit_price: "0.10"}
  large:
    fee: "49"
    charges:
      - {meter: calls, included: 1_000, graduated: [{up_to: 500, unit_price: "0.05"}, {unit_price: "0.02"}]}
subscriptions:
  - {consumer: acme, plan: small, start: 2026-10-01}
  - {consumer: globex, plan: large, start: 2026-10-01, customer: Globex Corporation}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line against a catalogue and a book of its own."""
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RATING_DATABASE_URL", f"sqlite:///{tmp_path}/book.db")
    monkeypatch.setenv("COLUMNS", "160")

    def one(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return one


def october(tmp_path: Path) -> None:
    """Each day of October acme made 60 calls and globex 50."""
    with open_book(Settings(database_url=f"sqlite:///{tmp_path}/book.db")) as book:
        for day in range(31):
            start = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(days=day)
            usage = (Usage("acme", (), 60), Usage("globex", (), 50))
            closing = Closing("calls", Period(start, start + timedelta(days=1)), Completeness.COMPLETE, usage)
            book.close(closing, meter_digest="story", at=start + timedelta(days=1, minutes=5))


def test_check_says_what_a_right_catalogue_holds(run: Run) -> None:
    code, out, err = run("check")
    assert (code, err) == (0, "")
    assert "right: 1 meters, 2 plans, 2 subscriptions" in out
    assert run("check", "--catalog", "catalogue.yaml") == run("--catalog", "catalogue.yaml", "check") == (0, out, "")


def test_check_lists_every_mistake_and_exits_with_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE.replace('"0.10"', "0.10").replace("plan: small", "plan: smal"))
    code, _, err = run("check")
    assert code == 2
    assert err.splitlines() == [
        'catalogue.yaml:9: plan "small", meter "calls", unit_price: 0.10 is read as a binary float; quote it: "0.10"',
        'catalogue.yaml:15: subscription of "acme", plan: no plan is called "smal"; did you mean "small"?',
        "2 mistakes; nothing is billed from this catalogue",
    ]
    code, out, _ = run("check", "--format", "json")
    assert code == 2
    assert [(row["where"], row["severity"]) for row in json.loads(out)] == [
        ("catalogue.yaml:9", "error"),
        ("catalogue.yaml:15", "error"),
    ]


def test_the_demonstration_catalogue_is_right() -> None:
    folder = Path(__file__).parents[2] / "compose" / "catalogue"
    assert examine(read_sources(folder)).findings == ()


def test_the_printed_schema_is_the_committed_one(run: Run) -> None:
    assert run("schema", "--check")[0] == 0
    code, out, _ = run("schema")
    assert code == 0
    assert out == (Path(rating.specs.__path__[0]) / "catalogue.schema.json").read_text()


def test_a_consumer_is_subscribed_moved_and_cancelled_in_the_book(run: Run) -> None:
    add = ("subscriptions", "add", "stark", "small", "--start", "2026-11-01", "--anchor", "15")
    assert run(*add)[:2] == (0, "kept stark/small/2026-11-01\n")
    assert run(*add)[:2] == (0, "stark/small/2026-11-01 was kept before\n")
    move = ("subscriptions", "move", "stark/small/2026-11-01", "large", "--from", "2026-11-20")
    assert run(*move, "--dry-run")[1].startswith("would end stark/small/2026-11-01")
    assert run(*move)[0] == 0
    # The same command again completes what an interruption left; here nothing is left.
    code, out, _ = run(*move)
    assert (code, out.splitlines()[-1]) == (0, "stark/large/2026-11-20 was kept before")
    assert run("subscriptions", "cancel", "stark/large/2026-11-20", "--end", "2026-12-01")[0] == 0
    code, out, _ = run("subscriptions", "list", "--consumer", "stark", "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["subscription"], row["end"], row["anchor"], row["kept in"]) for row in rows] == [
        ("stark/small/2026-11-01", "2026-11-20 00:00", "2000-01-15", "book"),
        ("stark/large/2026-11-20", "2026-12-01 00:00", "2000-01-15", "book"),
    ]


# command -> what is said, with exit code 2 unless another is named
REFUSED = {
    "a plan nobody wrote": (
        ("add", "stark", "smal", "--start", "2026-11-01"),
        'plan: the catalogue has no plan "smal"; did you mean "small"?',
    ),
    "a meter billed twice": (
        ("add", "acme", "large", "--start", "2026-11-01"),
        'subscription acme/large/2026-11-01: would bill meter "calls" twice from 2026-11-01 00:00, '
        "together with acme/small/2026-10-01; cancel one of them",
    ),
    "a start inside a window": (
        ("add", "stark", "small", "--start", "2026-11-01T06:00Z"),
        '--start: 2026-11-01 06:00 UTC lies inside a window of meter "calls"; write 2026-11-01T00:00Z',
    ),
    "no such day": (
        ("add", "stark", "small", "--start", "2026-11-31"),
        '--start: "2026-11-31" is not a date of the calendar; write it like 2026-10-01',
    ),
    "a subscription of the catalogue": (
        ("cancel", "acme/small/2026-10-01", "--end", "2026-12-01"),
        "acme/small/2026-10-01: is written in the catalogue; give it an `end:` there, and write the next one beside it",
    ),
    "a subscription nobody made": (
        ("move", "stark/small/2026-11-01", "large", "--from", "2026-12-01"),
        "stark/small/2026-11-01: there is no such subscription in the book; see `rating subscriptions list`",
    ),
}


@pytest.mark.parametrize("story", REFUSED)
def test_what_cannot_be_subscribed_is_one_clear_line(run: Run, story: str) -> None:
    arguments, sentence = REFUSED[story]
    assert run("subscriptions", *arguments) == (2, "", sentence + "\n")
    assert run("subscriptions", "list", "--consumer", "stark", "-f", "json")[1] == "[]\n"


def test_a_second_end_is_a_contradiction_and_a_person_looks(run: Run) -> None:
    run("subscriptions", "add", "stark", "small", "--start", "2026-11-01")
    assert run("subscriptions", "cancel", "stark/small/2026-11-01", "--end", "2026-12-01")[0] == 0
    code, _, err = run("subscriptions", "cancel", "stark/small/2026-11-01", "--end", "2027-01-01")
    assert code == 3
    assert "was cancelled for 2026-12-01 00:00 and is now cancelled for 2027-01-01 00:00" in err


def test_a_plan_is_shown_as_a_table_and_as_a_chart(run: Run) -> None:
    code, out, _ = run("plans", "show", "large")
    assert code == 0
    bars = {line.split()[0]: line for line in out.splitlines() if "█" in line or "<-" in line}
    assert bars["1,000"].endswith("0.00  0 each           <- included")
    # 500 at 0.05 are 25.00, over 1,500 calls
    assert bars["1,500"].endswith("25.00  0.016667 each    <- tier 1 ends")
    code, out, _ = run("plans", "show", "large", "-f", "csv")
    assert [tuple(row.values()) for row in csv.DictReader(io.StringIO(out))] == [
        ("fee", "", "fee", "", "", "", "49", "USD"),
        ("calls", "calls", "included", "0", "1000", "0", "", "USD"),
        ("calls", "calls", "each in this tier", "1000", "1500", "0.05", "", "USD"),
        ("calls", "calls", "each in this tier", "1500", "", "0.02", "", "USD"),
    ]


def test_compare_names_the_quantity_where_two_plans_cross(run: Run) -> None:
    code, out, _ = run("plans", "compare", "small", "large", "-f", "json")
    assert code == 0
    # 19 + (q - 1,000) * 0.10 meets 49 + 25 + (q - 1,500) * 0.02 at q = 1,562.5
    assert json.loads(out) == [
        {"meter": "calls", "from": "0", "to": "1562", "cheaper": "small", "lines meet at": None},
        {"meter": "calls", "from": "1563", "to": None, "cheaper": "large", "lines meet at": "1562.5"},
    ]


def test_diff_shows_every_field_and_the_money_of_october(run: Run, tmp_path: Path) -> None:
    october(tmp_path)
    new = tmp_path / "new.yaml"
    new.write_text(CATALOGUE.replace('fee: "19"', 'fee: "25"').replace('unit_price: "0.05"', 'unit_price: "0.04"'))
    code, out, _ = run("plans", "diff", "catalogue.yaml", "new.yaml", "--period", "2026-10", "-f", "json")
    assert code == 0
    # acme: 1,860 calls, 19 + 86 = 105. globex: 1,550 calls, 49 + 25 + 1 = 75, and 5 less for 500 at 0.04.
    assert [(row["consumer"], row["before"], row["after"], row["change"]) for row in json.loads(out)] == [
        ("acme", "105.00", "111.00", "6.00"),
        ("globex", "75.00", "70.00", "-5.00"),
    ]
    code, out, _ = run("plans", "diff", "catalogue.yaml", "new.yaml", "--fields", "-f", "csv")
    assert out.splitlines() == [
        "what,before,after",
        '"plan large, charge calls, graduated, tier 1, unit_price",0.05,0.04',
        '"plan small, fee",19,25',
    ]


def test_simulate_moves_a_plan_and_writes_exact_decimals(run: Run, tmp_path: Path) -> None:
    october(tmp_path)
    simulate = ("simulate", "--catalog", "catalogue.yaml", "--from", "2026-10-01", "--to", "2026-11-01")
    code, out, _ = run(*simulate, "--move", "small=large", "--parquet", "october.parquet", "-f", "csv")
    assert code == 0
    # acme on large: 49 + 25 + 360 * 0.02 = 81.20
    assert [row["change"] for row in csv.DictReader(io.StringIO(out))] == ["0.00", "-23.80"]
    table = pyarrow.parquet.read_table(tmp_path / "october.parquet")
    assert str(table.schema.field("after").type) == "decimal128(38, 4)"
    assert {row["consumer"]: row["after"] for row in table.to_pylist()} == {
        "acme": Decimal("81.2000"),
        "globex": Decimal("75.0000"),
    }
    code, out, _ = run(*simulate, "--move", "small=large")
    assert "revenue 180.00 -> 156.20 USD (-23.80): 0 pay more, 1 pay less, 1 the same" in out
    assert run(*simulate, "--move", "small=larg")[2] == (
        '--move: the other catalogue has no plan "larg"; did you mean "large"?\n'
    )
