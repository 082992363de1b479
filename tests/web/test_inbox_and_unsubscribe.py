"""A customer's own doors: the inbox behind a token, and the link in a mail that a click, and only a click, acts on."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from rating.adapters.memory_book import MemoryBook
from rating.core.deliveries import Delivery
from rating.core.notices import Contact, Kind, Planned, Preference, Routing, Told, Topic
from rating.core.notifications import declined
from rating.errors import SpecError
from rating.settings import Settings
from rating.specs.examples import example
from rating.web.app import application
from rating.web.doors import doors
from rating.web.tokens import Purpose, Tokens
from rating.web.unsubscribe import link

NOW = datetime(2026, 10, 14, 12, tzinfo=UTC)
SECRET = "sixteen characters and more"
TOKENS = Tokens(SECRET)
OURS = replace(example(Kind.ALLOWANCE_REACHED, NOW), customer="acme", planned=(Planned("inbox", language="de"),))
THEIRS = replace(OURS, customer="beta", consumer="beta", subscription="beta/pro/2026-01-01")
ROUTING = Routing(contacts={"acme": Contact(declined=frozenset({Topic.ACCOUNT}))})


def door(book: MemoryBook, secret: str = SECRET) -> TestClient:
    opened = doors(Settings(token_secret=secret), book, lambda: ROUTING, lambda: NOW)
    return TestClient(application(CollectorRegistry(), lambda: (True, {}), opened))


def shown(customer: str = "acme", until: datetime = NOW + timedelta(days=1)) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS.make(Purpose.INBOX, {'customer': customer}, until=until)}"}


def told(book: MemoryBook) -> MemoryBook:
    book.tell([OURS, THEIRS, replace(OURS, mark="100%", planned=(Planned("crm"),))], at=NOW)
    return book


def test_the_inbox_shows_what_this_customer_was_told_in_their_language() -> None:
    book = told(MemoryBook())
    [one] = door(book).get("/inbox", headers=shown()).json()["notifications"]
    assert (one["id"], one["read"], one["language"]) == (OURS.id, None, "de")
    assert one["subject"] == "80 % der in Pro enthaltenen API calls sind verbraucht"
    assert door(book).get("/inbox", headers=shown("nobody")).json() == {"notifications": []}


def test_marking_as_read() -> None:
    book = told(MemoryBook())
    at = door(book)
    assert at.post(f"/inbox/{OURS.id}/read", headers=shown()).json() == {"id": OURS.id, "read": True}
    assert at.post(f"/inbox/{OURS.id}/read", headers=shown()).status_code == 200
    assert at.get("/inbox", headers=shown(), params={"unread": True}).json() == {"notifications": []}
    assert at.get("/inbox", headers=shown()).json()["notifications"][0]["read"] == NOW.isoformat()
    # Somebody else's notification is as unknown as one that is none.
    for name in (THEIRS.id, "n-0000000000000000"):
        answer = at.post(f"/inbox/{name}/read", headers=shown())
        assert (answer.status_code, answer.json()["error"]) == (404, f"there is no notification {name} in this inbox")
    assert book.opened("beta") == {}


def test_preferences_in_the_inbox() -> None:
    book = MemoryBook()
    at = door(book)
    assert at.get("/inbox/preferences", headers=shown()).json() == {"usage": True, "account": False}
    changed = at.put("/inbox/preferences", headers=shown(), json={"usage": False, "account": True})
    assert changed.json() == {"usage": False, "account": True}
    assert declined(OURS, ROUTING, book.preferences()) == "acme declined mails about usage"
    for wrong in ({"marketing": False}, {"usage": "no"}, [], "no"):
        assert at.put("/inbox/preferences", headers=shown(), json=wrong).status_code == 400
    large = json.dumps({"usage": True, "x": "y" * 5000})
    assert at.put("/inbox/preferences", headers=shown(), content=large).status_code == 413


def forged() -> list[str]:
    right = TOKENS.make(Purpose.INBOX, {"customer": "acme"})
    payload, _, mac = right.partition(".")
    other = base64.urlsafe_b64encode(b'{"customer":"acme","for":"inbox"}').rstrip(b"=").decode()
    return [
        "",
        "nonsense",
        f"{payload}.",
        f"{payload}.{mac[:-2]}AA",
        f"{other[:-1]}.{mac}",
        f"{base64.urlsafe_b64encode(b'{}').decode()}.{mac}",
        Tokens("another secret of sixteen").make(Purpose.INBOX, {"customer": "acme"}),
        TOKENS.make(Purpose.UNSUBSCRIBE, {"customer": "acme"}),
        TOKENS.make(Purpose.INBOX, {"customer": "acme"}, until=NOW),
        "ü.ü",
    ]


@pytest.mark.parametrize("token", forged())
def test_a_token_that_is_not_ours_opens_nothing(token: str) -> None:
    at = door(told(MemoryBook()))
    headers = {"Authorization": b"Bearer " + token.encode()}
    for answer in (
        at.get("/inbox", headers=headers),
        at.post(f"/inbox/{OURS.id}/read", headers=headers),
        at.put("/inbox/preferences", headers=headers, json={"usage": False}),
    ):
        assert answer.status_code == 401, token


def test_without_a_secret_there_are_no_tokens_and_a_short_one_is_refused() -> None:
    assert door(MemoryBook(), "").get("/inbox", headers=shown()).status_code == 503
    with pytest.raises(SpecError, match="is 5 characters long; use 16 random characters or more"):
        door(MemoryBook(), "short")


# unsubscribing ----------------------------------------------------------------------------------------------------


def mail_link(tokens: Tokens | None = TOKENS, url: str = "https://rating.example/") -> str:
    delivery = Delivery(Told(OURS, NOW), Planned("mail", "ada@acme.example", "fr"))
    return link(url, tokens)(delivery)


def test_opening_the_link_changes_nothing_and_a_click_does() -> None:
    book = MemoryBook()
    at = door(book)
    path = mail_link().removeprefix("https://rating.example")
    page = at.get(path)
    assert page.status_code == 200
    assert '<html lang="fr">' in page.text
    assert "Ne plus envoyer de courriels sur l’utilisation de l’offre à acme ?" in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert book.preferences() == ()
    # As a mail program does it: one click, RFC 8058.
    done = at.post(path, data={"List-Unsubscribe": "One-Click"})
    assert (done.status_code, "acme ne recevra plus" in done.text) == (200, True)
    assert book.preferences() == ((Preference("acme", Topic.USAGE, False, "link"), NOW),)
    assert at.post(path).status_code == 200
    assert len(book.preferences()) == 1
    # The button on that page takes it back.
    [again] = re.findall(r'action="([^"]+)"', done.text)
    assert at.post("/unsubscribe" + again.replace("&amp;", "&")).status_code == 200
    assert book.preferences()[0][0].wanted


@pytest.mark.parametrize("token", forged())
def test_a_forged_link_changes_nothing(token: str) -> None:
    book = MemoryBook()
    at = door(book)
    assert at.get("/unsubscribe", params={"t": token}).status_code == 404
    assert at.post("/unsubscribe", params={"t": token}).status_code == 404
    assert book.preferences() == ()


def test_an_inbox_token_is_no_unsubscribe_link() -> None:
    book = MemoryBook()
    token = TOKENS.make(Purpose.INBOX, {"customer": "acme", "topic": "usage"})
    assert door(book).post("/unsubscribe", params={"t": token}).status_code == 404
    assert book.preferences() == ()


def test_no_link_where_nobody_could_follow_it() -> None:
    assert mail_link(None) == mail_link(TOKENS, "") == ""
    assert mail_link().startswith("https://rating.example/unsubscribe?t=")
