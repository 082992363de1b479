"""The door for Alertmanager as it is knocked at: who is let in, what is an alert, what becomes of everything else."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from rating.adapters.memory_book import MemoryBook
from rating.core.alerts import Alert
from rating.core.notices import Routing
from rating.errors import EdgeUnavailable, SpecError
from rating.settings import Settings
from rating.web.app import application
from rating.web.doors import doors
from rating.web.hooks import LARGEST, PATH, parsed

NOW = datetime(2026, 10, 14, 12, tzinfo=UTC)
TOKEN = "s3cret-of-alertmanager"


def client(book: MemoryBook, **settings: str) -> TestClient:
    opened = doors(Settings(**settings), book, Routing, lambda: NOW)  # type: ignore[arg-type]
    return TestClient(application(CollectorRegistry(), lambda: (True, {}), opened), raise_server_exceptions=False)


def payload(*alerts: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """As Alertmanager 0.25 sends it, with what later versions add."""
    return {
        "receiver": "engine",
        "status": "firing",
        "alerts": list(alerts) or [alert()],
        "groupLabels": {"alertname": "RatingAllowanceReached"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}/{audience=~"upsell"}:{}',
        "truncatedAlerts": 0,
        "notification_reason": "first",
        **changed,
    }


def alert(status: str = "firing", started: str = "2026-10-14T11:59:58.123456789Z", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "RatingAllowanceReached", "consumer": "acme", "threshold": "80%"} | labels,
        "annotations": {"summary": "acme has reached 80%", "used": "999999"},
        "startsAt": started,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "0123456789abcdef",
    }


BEARER = {"Authorization": f"Bearer {TOKEN}"}


def test_an_alert_becomes_an_entry_and_stops_there() -> None:
    book = MemoryBook()
    answer = client(book, hook_token=TOKEN).post(PATH, json=payload(), headers=BEARER)
    assert (answer.status_code, answer.json()) == (200, {"alerts": 1, "new": 1, "not_ours": 0, "truncated": 0})
    [heard] = book.heard(NOW)
    started = datetime(2026, 10, 14, 11, 59, 58, 123457, UTC)
    # What it says was used is not even kept: the engine has numbers of its own.
    assert heard.alert == Alert("RatingAllowanceReached", (("consumer", "acme"), ("threshold", "80%")), started)
    assert book.notifications() == ()


def test_delivered_again_it_is_the_same_entry() -> None:
    book = MemoryBook()
    door = client(book, hook_token=TOKEN)
    new = [
        door.post(PATH, json=payload(alert(), alert("resolved"), alert(consumer="beta")), headers=BEARER).json()["new"]
        for _ in range(4)
    ]
    assert new == [3, 0, 0, 0]
    # The same labels with another fingerprint, annotations or group: still the same.
    other = payload(alert() | {"fingerprint": "f" * 16, "annotations": {}}, groupKey="x", status="resolved")
    assert door.post(PATH, json=other, headers=BEARER).json()["new"] == 0


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, "nothing shown"),
        ("", "empty"),
        ("Bearer", "no token"),
        ("Bearer wrong", "another token"),
        (f"Bearer {TOKEN}x", "one character more"),
        (f"Bearer {TOKEN[:-1]}", "one character less"),
        (f"Basic {TOKEN}", "another scheme"),
        (f"Basic {base64.b64encode(b'user:wrong').decode()}", "a password, but none is set"),
        ("Basic !!!", "no base64"),
        ("Bearer s3crét", "not ASCII"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_without_the_secret_nobody_is_let_in(header: str | None, why: str) -> None:
    book = MemoryBook()
    headers = {} if header is None else {b"Authorization": header.encode()}
    answer = client(book, hook_token=TOKEN).post(PATH, json=payload(), headers=headers)
    assert answer.status_code == 401, why
    assert "WWW-Authenticate" in answer.headers
    assert TOKEN not in answer.text
    assert book.heard(NOW) == ()


def test_basic_authentication() -> None:
    book = MemoryBook()
    door = client(book, hook_username="alertmanager", hook_password="p:ss:wörd")
    assert door.post(PATH, json=payload(), auth=("alertmanager", "p:ss:wörd".encode().decode())).status_code == 200
    assert door.post(PATH, json=payload(), auth=("alertmanager", "p:ss")).status_code == 401
    assert door.post(PATH, json=payload(), auth=("somebody", "p:ss:wörd")).status_code == 401


def test_without_a_secret_it_is_not_served_unless_asked_for_on_loopback() -> None:
    answer = client(MemoryBook()).post(PATH, json=payload())
    # 5xx: Alertmanager delivers again once the secret is set.
    assert (answer.status_code, "set RATING_HOOK_TOKEN" in answer.text) == (503, True)
    assert client(MemoryBook(), hook_open="yes").post(PATH, json=payload()).status_code == 200
    assert client(MemoryBook(), hook_open="no").post(PATH, json=payload()).status_code == 503
    for listen in ("0.0.0.0:9465", "10.1.2.3:9465", "[::]:9465", "engine:9465"):
        with pytest.raises(SpecError, match="where others could deliver alerts"):
            client(MemoryBook(), hook_open="yes", listen=listen)
    for listen in ("127.0.0.1:1", "[::1]:1", "localhost:1", ":1"):
        client(MemoryBook(), hook_open="yes", listen=listen)
    with pytest.raises(SpecError, match="neither yes nor no"):
        client(MemoryBook(), hook_open="perhaps")
    with pytest.raises(SpecError, match="go together"):
        client(MemoryBook(), hook_username="alertmanager")


def test_a_body_too_large_is_not_read() -> None:
    book = MemoryBook()
    door = client(book, hook_token=TOKEN)
    large = json.dumps(payload(alert(consumer="x" * LARGEST))).encode()

    def drip() -> Any:
        # Chunked: no head says how much will come.
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    for body in (large, drip()):
        answer = door.post(PATH, content=body, headers=BEARER)
        assert (answer.status_code, "max_alerts" in answer.text) == (413, True)
    assert book.heard(NOW) == ()


@pytest.mark.parametrize(
    ("body", "says"),
    {
        "nothing": (b"", "no notification of Alertmanager's"),
        "not JSON": (b"hello", "no notification of Alertmanager's"),
        "a list": (b"[]", "Expected `object`, got `array`"),
        "no alerts": (b'{"version": "4"}', "missing required field `alerts`"),
        "alerts that are none": (b'{"version": "4", "alerts": 3}', "Expected `array`"),
        "another version": (json.dumps(payload(version="5")).encode(), "version '5'"),
        "a status unheard of": (json.dumps(payload(alert("pending"))).encode(), "Invalid enum value"),
        "a label that is a number": (json.dumps(payload(alert(consumer=5))).encode(), "Expected `str`"),  # type: ignore[arg-type]
        "a label with NUL": (json.dumps(payload(alert(consumer="a\x00b"))).encode(), "holds the character NUL"),
        "no time": (json.dumps(payload(alert(started="yesterday"))).encode(), "Invalid RFC3339"),
        "a time without zone": (json.dumps(payload(alert(started="2026-10-14T12:00:00"))).encode(), "no instant"),
        "before there was time": (json.dumps(payload(alert(started="0001-01-01T00:00:00Z"))).encode(), "no instant"),
        "half a character": (
            b'{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Rating\\ud800"}}]}',
            "",
        ),
        "not UTF-8": (b'{"version":"4","alerts":[{"labels":{"alertname":"\xff"}}]}', ""),
        "very deep": (b'{"x":' + b"[" * 100_000, ""),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_notification_is_refused_in_a_sentence(body: Any, says: Any) -> None:
    content, sentence = says
    book = MemoryBook()
    answer = client(book, hook_token=TOKEN).post(PATH, content=content, headers=BEARER)
    assert answer.status_code == 400, body
    assert sentence in answer.json()["error"]
    assert book.heard(NOW) == ()


def test_one_bad_alert_keeps_none_of_the_delivery() -> None:
    book = MemoryBook()
    door = client(book, hook_token=TOKEN)
    assert door.post(PATH, json=payload(alert(), alert(consumer="a\x00b")), headers=BEARER).status_code == 400
    assert book.heard(NOW) == ()


def test_somebody_elses_alerts_and_those_left_out_are_counted() -> None:
    book = MemoryBook()
    theirs = alert(alertname="DiskFull")
    answer = client(book, hook_token=TOKEN).post(PATH, json=payload(theirs, alert(), truncatedAlerts=7), headers=BEARER)
    assert answer.json() == {"alerts": 1, "new": 1, "not_ours": 1, "truncated": 7}
    nameless = alert()
    del nameless["labels"]["alertname"]
    assert parsed(json.dumps(payload(nameless)).encode()).not_ours == 1


def test_when_the_book_cannot_be_written_alertmanager_is_asked_to_come_again() -> None:
    class Locked(MemoryBook):
        def hear(self, alerts: Sequence[Alert], *, at: datetime) -> int:
            raise EdgeUnavailable("the book postgresql://rating:hunter2@db/book cannot be reached")

    answer = client(Locked(), hook_token=TOKEN).post(PATH, json=payload(), headers=BEARER)
    assert answer.status_code == 503
    assert "hunter2" not in answer.text


def test_label_values_are_data() -> None:
    book = MemoryBook()
    wild = "'; DROP TABLE alerts; -- {{ $labels }} <script> \u2028 ${x} %s Ω"
    client(book, hook_token=TOKEN).post(PATH, json=payload(alert(consumer=wild)), headers=BEARER)
    [heard] = book.heard(NOW)
    assert heard.alert.label("consumer") == wild


def test_only_post_is_a_delivery() -> None:
    assert client(MemoryBook(), hook_token=TOKEN).get(PATH, headers=BEARER).status_code == 405
