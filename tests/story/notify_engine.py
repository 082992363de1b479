"""The step that tells people, as a process that can be killed: a threshold crossed, an alert heard, a webhook."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import Engine, event

from rating.adapters.memory_source import MemorySource
from rating.adapters.notifiers import InboxNotifier, WebhookNotifier
from rating.adapters.store import open_book
from rating.core.alerts import Alert
from rating.core.catalogue import Catalogue
from rating.core.notices import Routing
from rating.core.periods import EPOCH
from rating.jobs.accrue import accrue
from rating.jobs.contracts import Contracts
from rating.jobs.deliver import deliver
from rating.jobs.notify import notify
from rating.ports import Notifier
from tests.stories import ACME, CALLS, DAY, OCTOBER, PRO, USD, close_days

SECRET = "shared by both"
NOW = OCTOBER.start + 20 * DAY + timedelta(hours=2)
ROUTING = Routing(routes={"upsell": ("crm", "inbox"), "finance": ("crm",), "operations": ("crm",)})
ALERTS = (
    Alert("RatingMeterSilent", (("audience", "operations"), ("meter", "api_calls")), NOW),
    Alert("RatingAllowanceReached", (("consumer", "acme"), ("meter", "api_calls"), ("threshold", "100%")), NOW),
)


def prepare(url: str) -> None:
    """Twenty days closed: 120 of 100 calls."""
    with open_book(url) as book:
        close_days(book, {"acme": 6}, days=range(20))


def run(url: str, crm: str, told: Connection | None = None, kill_at: int = 0) -> None:
    """Hear, tell, deliver; die by SIGKILL just before the so-manyth write, commit or request.

    Before a read is as good as before the write that follows it.
    """
    seen = 0

    def moment(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if not text.lstrip().upper().startswith("SELECT"):
            moment()

    class Watched(WebhookNotifier):
        def deliver(self, delivery: Any, *, unsubscribe: str = "") -> str:
            moment()
            said = super().deliver(delivery, unsubscribe=unsubscribe)
            # The receiver has it, and no entry says so yet.
            moment()
            return said

    catalogue = Catalogue(USD, {CALLS.name: CALLS}, {"pro": PRO}, (ACME,), digest="d", notifications=ROUTING)
    agreed = Contracts(((EPOCH, catalogue),), (ACME,))
    channels: dict[str, Notifier] = {"crm": Watched("crm", crm, SECRET), "inbox": InboxNotifier()}
    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", moment)
    try:
        with open_book(url) as book:
            book.hear(ALERTS, at=NOW)
            notify(book, agreed, accrue(book, agreed, now=NOW), MemorySource([]), channels, now=NOW)
            deliver(book, channels, ROUTING, now=NOW)
    finally:
        event.remove(Engine, "before_cursor_execute", statement)
        event.remove(Engine, "commit", moment)
    if told is not None:
        told.send(seen)
