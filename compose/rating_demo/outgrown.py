"""The part of the story in which one customer outgrows its plan while one looks, and another is about to: end to end.

Real calls, real alerts, the engine's own decision, a real mail and a signed webhook; each line is measured from the
request that crossed it.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from rich.table import Table

from rating.bootstrap import open_book
from rating.core.notices import Kind, Told
from rating.core.notifications import FORECAST_AFTER, share_text
from rating.core.plans import Plan
from rating.settings import Settings
from rating_demo.history import ALMOST_OUT, RUNNING_OUT, History
from rating_demo.mailbox import Received
from rating_demo.screen import Screen
from rating_demo.stage import Stage
from rating_demo.telling import DemoFailed, failed, wait

OUTGROWN = "api_calls"
_MARGIN = 150
"""Calls beyond each line: more than the scrapes of one restart can miss."""
_PATIENCE = 120
_LAST_DAYS = timedelta(days=1)
"""At the very end of a month nothing that is within the allowance will still exceed it."""


def outgrow(stage: Stage, screen: Screen, history: History) -> None:
    """Cross each of the plan's thresholds in real calls, and wait until sales and the customer have heard."""
    plan = _plan(stage, ALMOST_OUT)
    included = next(card.included for card in plan.cards if card.meter.name == OUTGROWN)
    used = history.usage(OUTGROWN, history.this_month).get(ALMOST_OUT, 0)
    screen.say(
        f"{ALMOST_OUT} is on {plan.title}: {used:,} of {int(included):,} calls used when the demonstration began"
    )
    table = Table(title="Seconds from the request that crossed the line", title_justify="left")
    table.add_column("threshold")
    for column in ("crossed at", "alert", "webhook", "recorded", "CRM", "mail"):
        table.add_column(column, justify="right")
    assert plan.upsell is not None
    for share in plan.upsell.thresholds:
        line = math.ceil(included * share) - used
        table.add_row(share_text(share), *_cross(stage, screen, share, line))
    screen.table(table)
    screen.say("alert: when Prometheus saw it; webhook: when Alertmanager handed it over; recorded: in the book.")
    truth = used + stage.callers.answered[ALMOST_OUT, 200]
    screen.say(f"The callers know better: {truth:,} by now. What is told never claims more than was counted.")


def _cross(stage: Stage, screen: Screen, share: Fraction, line: int) -> list[str]:
    """Make the calls; how long after the one that crossed the line each station was reached."""
    missing = max(line - stage.callers.answered[ALMOST_OUT, 200], 0) + _MARGIN
    succeeded = stage.callers.burst(ALMOST_OUT, missing)
    if succeeded < missing:
        raise failed(stage, f"only {succeeded} of {missing} calls were answered; the API's log is api.log")
    mark = share_text(share)
    told, posted, mail = _arrived(stage, Kind.ALLOWANCE_REACHED, ALMOST_OUT, mark)
    crossed = stage.callers.answered_at(ALMOST_OUT, line)
    if crossed is None:
        raise DemoFailed(f"{mark} was told before the call that crosses it was answered")
    one = told.notification
    if one.used > stage.callers.answered[ALMOST_OUT, 200] + one.allowance * share + _MARGIN:
        raise DemoFailed(f"{mark} was told with {one.used} calls used, and fewer were made")
    with _book(stage) as book:
        raised = next((h.alert.started for h in book.heard(told.at - _LAST_DAYS) if h.alert.key == one.hint), None)
    stations = (raised, one.hinted_at, told.at, posted, mail.at)
    return [
        f"{datetime.fromtimestamp(crossed, UTC):%H:%M:%S}",
        *("closed window" if at is None else f"{at.timestamp() - crossed:.1f}" for at in stations),
    ]


def foresee(stage: Stage, screen: Screen, history: History) -> None:
    """The other customer's allowance will not last: Prometheus predicts it, the engine computes it anew."""
    elapsed = history.now - history.this_month.start
    month = (history.this_month.start + timedelta(days=32)).replace(day=1) - history.this_month.start
    if elapsed < month / FORECAST_AFTER or elapsed > month - _LAST_DAYS:
        screen.say(
            "In the first tenth of a month, and on its last day, nobody predicts how it ends; run it another day."
        )
        return
    told, _, mail = _arrived(stage, Kind.EXHAUSTION_PREDICTED, RUNNING_OUT, "")
    one = told.notification
    assert one.forecast is not None
    screen.say(
        f"{one.customer}: {int(one.used):,} of {int(one.allowance):,} used, {int(one.forecast):,} by the end of the "
        "month at the pace of the last day"
    )
    screen.say(f"  [dim]{mail.message['Subject']}[/]")


def read_mail(stage: Stage, screen: Screen) -> None:
    mail = next(one for one in reversed(stage.mailbox.received) if "hooli" in one.recipient)
    for name in ("From", "To", "Subject", "List-Unsubscribe"):
        shown = str(mail.message[name])
        screen.say(f"[dim]{name}:[/] {shown if len(shown) < 90 else shown[:87] + '...'}")
    for line in mail.text.splitlines():
        if line and "http" not in line:
            screen.say(f"  {line}")


def once_each(stage: Stage, screen: Screen) -> None:
    """Nothing arrived twice, and what arrived is what the book holds."""
    posted = Counter(document["id"] for document in (one.document for one in stage.crm.posted))
    mailed = Counter(str(one.message["Message-ID"]) for one in stage.mailbox.received)
    twice = [name for name, count in (posted + mailed).items() if count > 1]
    if twice or stage.crm.dropped:
        raise DemoFailed(f"delivered twice: {', '.join(twice) or stage.crm.dropped}")
    with _book(stage) as book:
        unknown = posted.keys() - {told.notification.id for told in book.notifications()}
    if unknown:
        raise DemoFailed(f"the CRM was told what the book does not hold: {', '.join(unknown)}")
    screen.say(f"{len(posted)} webhooks, their signatures checked, and {len(mailed)} mails: each arrived once.")


def _arrived(stage: Stage, kind: Kind, consumer: str, mark: str) -> tuple[Told, datetime, Received]:
    """The notification once it stands in the book, in the CRM and in the customer's mailbox."""
    found: list[tuple[str, datetime, Received]] = []

    def everywhere() -> bool:
        for post in stage.crm.posted:
            document: dict[str, Any] = post.document
            wanted = (kind.value, consumer, mark)
            if (document["type"], document["consumer"], document.get("mark", "")) != wanted:
                continue
            name = document["id"]
            mails = [one for one in stage.mailbox.received if name in str(one.message["Message-ID"])]
            if mails:
                found.append((name, post.at, mails[0]))
                return True
        return False

    wait(stage, f"{consumer} and sales hear of {kind} {mark}".strip(), everywhere, _PATIENCE)
    name, at, mail = found[0]
    with _book(stage) as book:
        told = book.notification(name)
    if told is None:
        raise DemoFailed(f"{name} was delivered and is not in the book")
    return told, at, mail


def _plan(stage: Stage, consumer: str) -> Plan:
    [subscription] = [each for each in stage.catalogue.subscriptions if each.consumer == consumer]
    return stage.catalogue.plans[subscription.plan]


def _book(stage: Stage) -> Any:
    return open_book(Settings(database_url=stage.book_url))
