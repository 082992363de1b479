"""Which doors beside /metrics and /healthz an engine opens: Alertmanager's hook, inboxes, unsubscribing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from fastapi import FastAPI

from rating.core.alerts import Alert
from rating.core.notices import Routing
from rating.ports import Book
from rating.settings import Settings
from rating.web import hooks, inbox, unsubscribe
from rating.web.tokens import Tokens


def tokens_of(settings: Settings) -> Tokens | None:
    """Raises SpecError when the secret is too short; None when there is none."""
    return Tokens(settings.token_secret) if settings.token_secret else None


def doors(
    settings: Settings, book: Book, routing: Callable[[], Routing], clock: Callable[[], datetime]
) -> Callable[[FastAPI], None]:
    """What opens them in an application.

    Raises:
        SpecError: the settings would open a door to everybody.
    """
    guard, tokens = hooks.Guard.of(settings), tokens_of(settings)

    def hear(alerts: Sequence[Alert]) -> int:
        return book.hear(alerts, at=clock())

    def opened(app: FastAPI) -> None:
        hooks.add(app, guard, hear)
        inbox.add(app, tokens, book, routing, clock)
        unsubscribe.add(app, tokens, book, clock)

    return opened
