"""A mail server on loopback that keeps what it is sent: the customers' mailboxes of the demonstration and of the tests.

Real SMTP by aiosmtpd, with STARTTLS and a login where they are asked for. Answers as it is told to, so that refusals,
greylisting and silence can be had. `python -m rating_demo.mailbox --port 8025` prints what comes.
"""

from __future__ import annotations

import argparse
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from threading import Event, Lock
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from rating_demo.processes import free_port


@dataclass(frozen=True, slots=True)
class Received:
    """One mail as it came in."""

    at: datetime
    recipient: str
    message: EmailMessage

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    def _part(self, kind: str) -> str:
        body = self.message.get_body((kind,))
        return "" if body is None else str(body.get_content())


class Mailbox:
    """A server on a free port; `answer` says what a mail is answered, None for accepting it.

    Args:
        tls: what STARTTLS is done with; without it none is offered.
        login: user name and password that are asked for.
        silent: seconds it takes to answer DATA.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        answer: Callable[[int], str | None] = lambda number: None,
        silent: float = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        on_receipt: Callable[[Received], None] = lambda received: None,
    ) -> None:
        self._received: list[Received] = []
        self._lock, self._asked = Lock(), 0
        self._answer, self._silent, self._login = answer, silent, login
        self._on_receipt = on_receipt
        self.port = port or free_port()
        self.server = f"{host}:{self.port}"
        options: dict[str, Any] = {}
        if tls is not None:
            options |= {"tls_context": tls, "require_starttls": True}
        if login is not None:
            options |= {
                "authenticator": self._authenticated,
                "auth_required": True,
                "auth_require_tls": tls is not None,
            }
        self._controller = Controller(self, hostname=host, port=self.port, **options)

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        if self._silent:
            time.sleep(self._silent)
        with self._lock:
            self._asked += 1
            refusal = self._answer(self._asked)
            if refusal is not None:
                return refusal
            content = envelope.original_content or b""
            message = message_from_bytes(content, policy=default)
            assert isinstance(message, EmailMessage)
            for recipient in envelope.rcpt_tos:
                self._received.append(Received(datetime.now(UTC), recipient, message))
                self._on_receipt(self._received[-1])
        return "250 kept"

    def _authenticated(
        self, server: Any, session: Session, envelope: Envelope, mechanism: str, shown: Any
    ) -> AuthResult:
        user, password = self._login or ("", "")
        right = isinstance(shown, LoginPassword) and (shown.login, shown.password) == (user.encode(), password.encode())
        return AuthResult(success=right, handled=right)

    @property
    def received(self) -> Sequence[Received]:
        with self._lock:
            return tuple(self._received)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=8025)
    given = options.parse_args()

    def show(received: Received) -> None:
        print(f"to {received.recipient}: {received.message['Subject']}\n{received.text}", flush=True)

    with Mailbox(host=given.host, port=given.port, on_receipt=show) as mailbox:
        print(f"waiting for mails at {mailbox.server}", flush=True)
        Event().wait()


if __name__ == "__main__":
    main()
