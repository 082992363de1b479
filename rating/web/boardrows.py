"""The door for boards: what no metric can carry, as flat JSON rows, as Grafana's Infinity data source reads them.

`GET /boards/invoices?consumer=C`, `/boards/notifications?consumer=C` and `/boards/upsells`, newest first. Whoever shows
the token reads of every customer: it is Grafana's, not a customer's. Nothing here writes.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import FastAPI, Header
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from rating.core.conversions import REMEMBERED, Approach
from rating.core.deliveries import state
from rating.core.money import decimal_text
from rating.errors import RatingError
from rating.jobs.lives import account_of
from rating.ports import Book

PREFIX = "/boards/"
MOST = 100
"""Rows of one answer."""
Row = dict[str, Any]


def add(
    app: FastAPI, token: str, book: Book, pipeline: Callable[[], Sequence[Approach]], clock: Callable[[], datetime]
) -> None:
    """Serve the rows; without a token the door says what is missing. `pipeline` is what the engine saw last."""

    async def answered(authorization: str, rows: Callable[[], list[Row]], missing: str = "") -> JSONResponse:
        if not token:
            return _refused(503, "boards are not served without a secret; set RATING_BOARD_TOKEN")
        scheme, _, shown = authorization.partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(), token.encode()):
            return _refused(401, "the bearer token is missing or wrong; it is RATING_BOARD_TOKEN's")
        if missing:
            return _refused(400, missing)
        try:
            return JSONResponse(await run_in_threadpool(rows))
        except RatingError as error:
            return _refused(503, f"the book cannot be read now: {error}")

    @app.get(f"{PREFIX}invoices")
    async def invoices(consumer: str = "", authorization: Annotated[str, Header()] = "") -> JSONResponse:
        # All invoices of ten thousand consumers are no table anybody reads.
        missing = "" if consumer else "say whose: /boards/invoices?consumer=C"
        return await answered(authorization, lambda: _invoices(book, consumer, clock()), missing)

    @app.get(f"{PREFIX}notifications")
    async def notifications(consumer: str = "", authorization: Annotated[str, Header()] = "") -> JSONResponse:
        return await answered(authorization, lambda: _notifications(book, consumer, clock() - REMEMBERED))

    @app.get(f"{PREFIX}upsells")
    async def upsells(authorization: Annotated[str, Header()] = "") -> JSONResponse:
        return await answered(authorization, lambda: [_upsell(one) for one in reversed(pipeline())][:MOST])


def _invoices(book: Book, consumer: str, now: datetime) -> list[Row]:
    rows = []
    for invoice in reversed(book.invoices(consumer=consumer)[-MOST:]):
        draft, account = invoice.draft, account_of(book, invoice, now)
        rows.append(
            {
                "invoice": invoice.number,
                "issued": _second(invoice.issued_at),
                "first_day": draft.days[0].isoformat(),
                # The day after the last one is where the next period begins.
                "last_day": (draft.days[1] - timedelta(days=1)).isoformat(),
                "customer": draft.customer,
                "plan": " ".join(dict.fromkeys(part.plan for _, part in draft.parts)),
                "total": invoice.total.digits,
                "due": account.amount_due.digits,
                "currency": draft.currency.code,
                "state": account.state.value,
                "due_on": account.due_on.isoformat() if account.due_on is not None else None,
            }
        )
    return rows


def _notifications(book: Book, consumer: str, since: datetime) -> list[Row]:
    told = [one for one in book.notifications(since=since) if consumer in ("", one.notification.consumer)][-MOST:]
    rows = []
    for one in reversed(told):
        about = one.notification
        ways = [f"{way.planned.channel}: {state(way.attempts).value}" for way in book.deliveries(about.id)]
        rows.append(
            {
                "id": about.id,
                "told": _second(one.at),
                "kind": about.kind.value,
                "consumer": about.consumer,
                "customer": about.customer,
                "plan": about.plan,
                "meter": about.meter,
                "mark": about.mark if about.meter else "",
                "used": decimal_text(about.used) if about.meter else None,
                "allowance": decimal_text(about.allowance) if about.meter else None,
                "next_plan": about.next_plan,
                "ways": ", ".join(ways),
            }
        )
    return rows


def _upsell(one: Approach) -> Row:
    return {
        "consumer": one.consumer,
        "customer": one.customer,
        "plan": one.plan,
        "next_plan": one.next_plan,
        "first_told": _second(one.first_at),
        "last_told": _second(one.last_at),
        "told": ", ".join(kind.value for kind in one.kinds),
        "thresholds": ", ".join(one.marks),
        "converted": None if one.converted_at is None else _second(one.converted_at),
    }


def _second(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def _refused(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)
