"""One account: its pace, what it asks again at once and under which key, and that its key is shown nowhere."""

from __future__ import annotations

import http.server
import logging
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from rating.adapters.stripe.client import Pace, StripeAccount, metadata, told
from rating.errors import EdgeDisagrees, EdgeError, EdgeRefused, EdgeUnavailable

KEY = "sk_test_51HfooBARbazQUX"
CUSTOMER = b'{"id": "cus_1", "object": "customer", "metadata": {"rating_customer": "acme"}}'
ERROR = b'{"error": {"type": "api_error", "message": "no"}}'


@dataclass(slots=True)
class Scripted:
    """What a server answers, one after the other; the last one for ever."""

    answers: list[tuple[int, dict[str, str], bytes]]
    url: str = ""
    keys: list[str] = field(default_factory=list)


@contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[Scripted]:
    """A server that says exactly this: what a peer with a state cannot be made to say."""
    scripted = Scripted(list(answers))

    class Door(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            scripted.keys.append(self.headers["Idempotency-Key"])
            status, headers, body = scripted.answers[min(len(scripted.keys), len(scripted.answers)) - 1]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scripted.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield scripted
        finally:
            server.shutdown()


def create(account: StripeAccount) -> Any:
    options: Any = {"idempotency_key": "rating:acme:create"}
    return account.asked("customer acme", lambda: account.client.v1.customers.create({"name": "Acme"}, options))


@pytest.mark.parametrize(
    ("answers", "calls", "waited"),
    [
        ([(500, {}, ERROR), (200, {}, CUSTOMER)], 2, 1),
        ([(409, {}, ERROR), (409, {}, ERROR), (200, {}, CUSTOMER)], 3, 2),
        ([(429, {"Stripe-Should-Retry": "true", "Retry-After": "4"}, ERROR), (200, {}, CUSTOMER)], 2, 1),
    ],
    ids=["a 500", "two 409s", "429 that should be asked again"],
)
def test_what_passes_within_seconds_is_asked_again_with_the_same_key(answers: Any, calls: int, waited: int) -> None:
    waits: list[float] = []
    with answering(*answers) as server:
        account = StripeAccount("main", KEY, url=server.url, requests_per_second=100, sleep=waits.append)
        answer = create(account)
    assert answer.id == "cus_1"
    assert metadata(answer) == {"rating_customer": "acme"}
    assert server.keys == ["rating:acme:create"] * calls
    assert account.calls == calls
    assert len([wait for wait in waits if wait > 0.2]) == waited
    if "Retry-After" in answers[0][1]:
        assert 4 in waits


@pytest.mark.parametrize(
    ("answer", "ours", "calls"),
    [
        ((429, {}, ERROR), EdgeUnavailable, 1),
        ((429, {"Stripe-Should-Retry": "true", "Retry-After": "60"}, ERROR), EdgeUnavailable, 1),
        ((500, {"Stripe-Should-Retry": "false"}, ERROR), EdgeUnavailable, 1),
        ((500, {}, ERROR), EdgeUnavailable, 3),
        ((400, {}, ERROR), EdgeRefused, 1),
        ((200, {}, b"<html>a proxy</html>"), EdgeUnavailable, 1),
    ],
    ids=["429", "429 for a minute", "500 that should not", "500 for ever", "400", "no JSON"],
)
def test_what_does_not_pass_is_the_callers(answer: Any, ours: type[EdgeError], calls: int) -> None:
    with answering(answer) as server:
        account = StripeAccount("main", KEY, url=server.url, requests_per_second=100, sleep=lambda seconds: None)
        with pytest.raises(ours, match="gateway main, customer acme: Stripe answered"):
            create(account)
    assert len(server.keys) == calls


def test_nobody_there_is_unavailable() -> None:
    account = StripeAccount("main", KEY, url="http://127.0.0.1:1", requests_per_second=100, sleep=lambda seconds: None)
    with pytest.raises(EdgeUnavailable, match="cannot be reached") as raised:
        create(account)
    shown = "".join(traceback.format_exception(raised.value)) + repr(account) + repr(account.client)
    assert KEY not in shown


def test_the_library_logs_neither_keys_nor_customers(caplog: pytest.LogCaptureFixture) -> None:
    said = b'{"error": {"type": "invalid_request_error", "message": "Invalid API Key provided: %s"}}' % KEY.encode()
    with answering((401, {}, said)) as server, caplog.at_level(logging.DEBUG):
        account = StripeAccount("main", KEY, url=server.url, requests_per_second=100)
        with pytest.raises(EdgeUnavailable, match="write a key that may do this"):
            create(account)
    assert "Request to Stripe api" in caplog.text
    assert "sk_test_***" in caplog.text
    assert KEY not in caplog.text
    assert "Acme" not in caplog.text


def test_calls_wait_for_their_turn() -> None:
    now, waits = [10.0], []

    def sleep(seconds: float) -> None:
        waits.append(round(seconds, 3))

    pace = Pace(4, clock=lambda: now[0], sleep=sleep)
    for _ in range(3):
        pace.wait()
    assert waits == [0.25, 0.5]
    now[0] = 20.0
    pace.wait()
    assert waits == [0.25, 0.5]


def test_an_answer_without_what_it_must_hold_disagrees() -> None:
    with answering((200, {}, CUSTOMER)) as server:
        answer = create(StripeAccount("main", KEY, url=server.url))
    assert told(answer, "id", str) == "cus_1"
    with pytest.raises(EdgeDisagrees, match="without a total that is int"):
        told(answer, "total", int)
