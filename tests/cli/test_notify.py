"""`rating notify` as it is typed: what was told, what is dead, what would be sent, and what customers want."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rating.adapters.store import open_book
from rating.cli import run
from rating.cli.frame import DONE, FAILED, LOOK, WRONG_INPUT
from rating.core.deliveries import Attempt, Outcome
from rating.core.notices import Kind, Planned
from rating.specs.examples import example
from rating.web.tokens import Purpose, Tokens
from rating_demo.receiver import Receiver

CATALOGUE = """\
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: consumer_id}
plans:
  pro:
    charges:
      - {meter: calls, included: 100, unit_price: "0.10"}
    upsell: {to: scale, at: [80%, 100%]}
  scale: {fee: "60.00", charges: [{meter: calls, unit_price: "0.01"}]}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01, trial_end: 2999-01-01}
notifications:
  routes: {upsell: [crm, mail, inbox], operations: [nowhere]}
  trial_ending: 60d
  contacts: {acme: {email: ada@acme.example, language: de}}
"""
SECRET = "whsec_aHVudGVyMg=="
NOW = datetime.now(UTC) - timedelta(days=1)
TOLD = replace(example(Kind.ALLOWANCE_REACHED, NOW), customer="acme", planned=(Planned("crm"), Planned("inbox")))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue, a book in which one thing was told and refused by the CRM, and a file of channels."""
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    channels(tmp_path, "http://127.0.0.1:1/hook")
    monkeypatch.setenv("RATING_CATALOG", str(tmp_path / "catalogue.yaml"))
    monkeypatch.setenv("RATING_DATABASE_URL", f"sqlite:///{tmp_path}/rating.db")
    monkeypatch.setenv("RATING_CHANNELS", str(tmp_path / "channels.yaml"))
    monkeypatch.setenv("RATING_PROMETHEUS_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("RATING_TOKEN_SECRET", "sixteen characters and more")
    monkeypatch.setenv("COLUMNS", "200")
    with open_book(f"sqlite:///{tmp_path}/rating.db") as book:
        book.tell([TOLD], at=NOW)
        book.attempted(Attempt(TOLD.id, "crm", 1, Outcome.REFUSED, "422 no such field"), at=NOW)
        book.attempted(Attempt(TOLD.id, "inbox", 1, Outcome.DELIVERED, "in the customer's inbox"), at=NOW)
    return tmp_path


def channels(folder: Path, url: str) -> None:
    (folder / "channels.yaml").write_text(
        f'crm: {{kind: webhook, url: "{url}", secret: "{SECRET}"}}\n'
        'mail: {kind: email, server: "127.0.0.1:1", security: none, sender: api@seller.example}\n'
    )


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = run(["notify", *words])
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err
    return status, printed.out, printed.err


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]]]:
    status, out, _ = typed(capsys, *words, "--format", "json")
    return status, json.loads(out)


def test_what_was_told_and_how_far_it_has_come(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, [one] = rows(capsys, "list")
    assert status == DONE
    assert (one["id"], one["kind"], one["customer"], one["mark"]) == (TOLD.id, "allowance_reached", "acme", "80%")
    assert (one["used"], one["ways"]) == ("80,012", "crm: dead, inbox: delivered")
    assert rows(capsys, "list", "--customer", "beta") == (DONE, [])
    assert rows(capsys, "list", "--since", "2999-01-01") == (DONE, [])
    assert TOLD.id in typed(capsys)[1], "without a word it lists"


def test_one_notification_with_its_attempts(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = typed(capsys, "show", TOLD.id)
    assert status == DONE
    assert "80% of the API calls included in Pro are used" in out
    assert "Nobody had to ask" in out
    assert "422 no such field" in out
    _, ways = rows(capsys, "show", TOLD.id)
    assert [(one["channel"], one["state"], one["outcome"]) for one in ways] == [
        ("crm", "dead", "refused"),
        ("inbox", "delivered", "delivered"),
    ]
    status, _, err = typed(capsys, "show", "n-unknown")
    assert (status, "the book holds no notification n-unknown; `rating notify list`" in err) == (FAILED, True)


def test_dead_letters_call_a_person(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, [letter] = rows(capsys, "dead")
    assert status == LOOK
    assert (letter["channel"], letter["attempts"], letter["said"]) == ("crm", 1, "422 no such field")


def test_trying_again_fails_and_then_succeeds(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = typed(capsys, "retry", TOLD.id, "--dry-run")
    assert (status, "would go out again by crm" in out, '"used": "80012"' in out) == (DONE, True, True)
    status, out, _ = typed(capsys, "retry", TOLD.id)
    assert (status, "crm: failed: channel crm at 127.0.0.1: cannot be reached" in out) == (FAILED, True)
    status, out, err = typed(capsys, "retry", TOLD.id)
    assert (status, "nothing about" in err) == (FAILED, True), "it is under way again"
    assert rows(capsys, "dead") == (DONE, [])


def test_a_dead_letter_arrives_once_the_other_side_is_mended(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Receiver(secret=SECRET) as crm:
        channels(place, crm.url)
        status, out, _ = typed(capsys, "retry", TOLD.id, "--channel", "crm")
        assert (status, "crm: delivered: 200" in out) == (DONE, True)
        [posted] = crm.posted
    assert posted.document["id"] == TOLD.id
    _, ways = rows(capsys, "show", TOLD.id)
    assert [one["outcome"] for one in ways if one["channel"] == "crm"] == ["refused", "revived", "delivered"]


def test_a_preview_of_every_way_and_of_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = typed(capsys, "preview", "--kind", "trial_ending", "--language", "fr")
    assert status == DONE
    assert [line for line in out.splitlines() if line.startswith("-- by")] == ["-- by crm", "-- by mail", "-- by inbox"]
    assert "La période d’essai de Pro se termine" in out
    status, out, _ = typed(capsys, "preview", TOLD.id, "--channel", "mail")
    assert "To: customer@example.com" in out
    status, out, _ = typed(capsys, "preview", "--kind", "alert")
    assert 'no channel is called "nowhere"' in out
    status, _, err = typed(capsys, "preview", "--channel", "pigeon")
    assert (status, 'no channel is called "pigeon"; known are inbox, crm, mail' in err) == (WRONG_INPUT, True)


def test_sending_tells_a_trial_that_ends_and_says_what_failed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soon = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    (place / "catalogue.yaml").write_text(CATALOGUE.replace("2999-01-01", soon))
    status, news = rows(capsys, "send", "--dry-run")
    assert (status, [(one["kind"], one["ways"]) for one in news]) == (DONE, [("trial_ending", "crm, mail, inbox")])
    assert len(rows(capsys, "list")[1]) == 1, "a dry run keeps nothing"
    status, out, err = typed(capsys, "send", "--format", "json")
    assert [one["kind"] for one in json.loads(out)] == ["trial_ending"]
    assert "by crm: failed: channel crm at 127.0.0.1: cannot be reached" in err
    assert "by inbox: delivered" in err
    assert rows(capsys, "send") == (DONE, [])


def test_what_customers_want(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    off = ("prefer", "acme", "--topic", "usage", "--off")
    assert "would keep: acme wants no mails about usage" in typed(capsys, *off, "--dry-run")[1]
    assert rows(capsys, "prefer") == (DONE, [])
    assert "kept: acme wants no mails about usage" in typed(capsys, *off)[1]
    assert "that stands already" in typed(capsys, *off)[1]
    [row] = rows(capsys, "prefer", "acme")[1]
    assert (row["topic"], row["wanted"], row["source"]) == ("usage", "no", "command")
    status, _, err = typed(capsys, "prefer", "acme", "--off")
    assert (status, "name a customer, a --topic" in err) == (WRONG_INPUT, True)


def test_a_token_for_the_inbox(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, _ = typed(capsys, "token", "acme", "--days", "2")
    claims = Tokens("sixteen characters and more").read(Purpose.INBOX, out.strip(), now=datetime.now(UTC))
    assert (status, claims) == (DONE, {"customer": "acme"})
    monkeypatch.delenv("RATING_TOKEN_SECRET")
    assert typed(capsys, "token", "acme")[0] == WRONG_INPUT


def test_who_was_told_of_the_next_plan_and_who_is_on_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, [other] = rows(capsys, "pipeline")
    assert (other["consumer"], other["at"]) == ("example", "80%")
    about = replace(
        TOLD, consumer="acme", subscription="acme/pro/2026-10-01", plan="pro", next_plan="scale", mark="100%"
    )
    with open_book(f"sqlite:///{place}/rating.db") as book:
        book.tell([about], at=NOW)
    status, found = rows(capsys, "pipeline")
    [one] = [row for row in found if row["consumer"] == "acme"]
    assert (status, one["consumer"], one["next plan"], one["at"]) == (DONE, "acme", "scale", "100%")
    assert (one["converted"], one["gain"], one["currency"]) == (None, "60.00", "USD")
    written = (place / "catalogue.yaml").read_text()
    today = f"{NOW:%Y-%m-%d}"
    moved = f"end: {today}}}\n  - {{consumer: acme, plan: scale, start: {today}}}"
    (place / "catalogue.yaml").write_text(written.replace("trial_end: 2999-01-01}", moved))
    _, found = rows(capsys, "pipeline")
    [converted] = [row["converted"] for row in found if row["consumer"] == "acme"]
    assert converted == f"{today} 00:00"
