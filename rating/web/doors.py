"""Which doors beside /metrics and /healthz an engine opens: Alertmanager's, gateways', inboxes, unsubscribing,
boards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from fastapi import FastAPI

from rating.core.alerts import Alert
from rating.core.conversions import Approach
from rating.core.notices import Routing
from rating.core.publications import Signal
from rating.core.signals import Refusal
from rating.ports import Book, SignalDoor
from rating.settings import Settings
from rating.web import boardrows, gatewayhooks, hooks, inbox, unsubscribe
from rating.web.tokens import Tokens


def tokens_of(settings: Settings) -> Tokens | None:
    """Raises SpecError when the secret is too short; None when there is none."""
    return Tokens(settings.token_secret) if settings.token_secret else None


def doors(
    settings: Settings,
    book: Book,
    routing: Callable[[], Routing],
    clock: Callable[[], datetime],
    gateways: Sequence[SignalDoor] = (),
    refused: Callable[[str, Refusal], None] = lambda gateway, reason: None,
    accepted: Callable[[str, bool], None] = lambda gateway, new: None,
    pipeline: Callable[[], Sequence[Approach]] = tuple,
) -> Callable[[FastAPI], None]:
    """What opens them in an application. `refused` and `accepted` hear what became of what gateways deliver; `pipeline`
    says whom we told of a next plan.

    Raises:
        SpecError: the settings would open a door to everybody.
    """
    guard, tokens = hooks.Guard.of(settings), tokens_of(settings)

    def hear(alerts: Sequence[Alert]) -> int:
        return book.hear(alerts, at=clock())

    def keep(signal: Signal) -> bool:
        return book.signal(signal, at=clock())

    def opened(app: FastAPI) -> None:
        hooks.add(app, guard, hear)
        gatewayhooks.add(app, gateways, keep, refused, accepted)
        inbox.add(app, tokens, book, routing, clock)
        unsubscribe.add(app, tokens, book, clock)
        boardrows.add(app, settings.board_token, book, pipeline, clock)

    return opened
