"""The door to a customer's inbox: what they were told, what they have read, what they want mails about.

`GET /inbox`, `POST /inbox/{id}/read`, `GET` and `PUT /inbox/preferences`. A signed token says whose inbox it is; nobody
names a customer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from rating.core.notices import INBOX, Preference, Routing, Topic
from rating.core.notifications import declined_topics
from rating.errors import BookError
from rating.ports import Book
from rating.specs.wording import worded
from rating.web.tokens import Purpose, Tokens

_LARGEST = 4096


def add(
    app: FastAPI, tokens: Tokens | None, book: Book, routing: Callable[[], Routing], clock: Callable[[], datetime]
) -> None:
    """Serve inboxes; without `tokens` the door says what is missing."""

    def customer_of(authorization: str) -> str | JSONResponse:
        if tokens is None:
            return _refused(503, "inboxes are not served without a secret; set RATING_TOKEN_SECRET")
        scheme, _, token = authorization.partition(" ")
        claims = tokens.read(Purpose.INBOX, token.strip(), now=clock()) if scheme.lower() == "bearer" else None
        if claims is None:
            return _refused(401, "the token is missing, wrong or over; `rating notify token CUSTOMER` makes one")
        return claims["customer"]

    @app.get("/inbox")
    async def listed(authorization: Annotated[str, Header()] = "", unread: bool = False) -> JSONResponse:
        customer = customer_of(authorization)
        if isinstance(customer, JSONResponse):
            return customer
        return JSONResponse({"notifications": await run_in_threadpool(_listed, book, customer, unread)})

    @app.get("/inbox/preferences")
    async def preferences(authorization: Annotated[str, Header()] = "") -> JSONResponse:
        customer = customer_of(authorization)
        if isinstance(customer, JSONResponse):
            return customer
        return JSONResponse(await run_in_threadpool(_wanted, book, customer, routing()))

    @app.put("/inbox/preferences")
    async def prefer(request: Request, authorization: Annotated[str, Header()] = "") -> JSONResponse:
        customer = customer_of(authorization)
        if isinstance(customer, JSONResponse):
            return customer
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST:
                return _refused(413, f"the body is larger than {_LARGEST} bytes")
        try:
            asked = msgspec.json.decode(bytes(body), type=dict[Topic, bool])
        except msgspec.DecodeError as error:
            return _refused(400, f'these are no preferences: {error}; write {{"usage": false}}')
        await run_in_threadpool(_prefer, book, customer, asked, clock())
        return JSONResponse(await run_in_threadpool(_wanted, book, customer, routing()))

    @app.post("/inbox/{name}/read")
    async def read(name: str, authorization: Annotated[str, Header()] = "") -> JSONResponse:
        customer = customer_of(authorization)
        if isinstance(customer, JSONResponse):
            return customer
        told = await run_in_threadpool(book.notification, name)
        # Somebody else's is as unknown as none.
        if told is None or told.notification.customer != customer:
            return _refused(404, f"there is no notification {name} in this inbox")
        try:
            await run_in_threadpool(lambda: book.open_notification(name, at=clock()))
        except BookError as error:
            return _refused(404, str(error))
        return JSONResponse({"id": name, "read": True})


def _listed(book: Book, customer: str, unread: bool) -> list[dict[str, Any]]:
    """Newest first."""
    read = book.opened(customer)
    found = []
    for told in reversed(book.notifications(customer=customer)):
        one = told.notification
        way = next((way for way in one.planned if way.channel == INBOX), None)
        if way is None or (unread and one.id in read):
            continue
        words = worded(one, way.language, at=told.at, to_customer=True)
        found.append(
            {
                "id": one.id,
                "kind": one.kind.value,
                "at": told.at.isoformat(),
                "consumer": one.consumer,
                "language": way.language,
                "subject": words.subject,
                "lines": list(words.lines),
                "read": read[one.id].isoformat() if one.id in read else None,
            }
        )
    return found


def _wanted(book: Book, customer: str, routing: Routing) -> dict[str, bool]:
    declined = declined_topics(customer, routing, book.preferences(customer))
    return {topic.value: topic not in declined for topic in Topic}


def _prefer(book: Book, customer: str, asked: dict[Topic, bool], now: datetime) -> None:
    for topic, wanted in asked.items():
        book.prefer(Preference(customer, topic, wanted, "inbox"), at=now)


def _refused(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)
