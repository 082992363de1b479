"""The door that a mail's link leads to: `/unsubscribe`. Opening it asks; a click, or a mail program's, decides.

GET changes nothing, because scanners open every link of a mail. POST is what RFC 8058 has mail programs do.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from html import escape

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from rating.core.deliveries import Delivery
from rating.core.notices import LANGUAGES, Preference, Topic
from rating.ports import Book
from rating.specs.wording import sentence
from rating.web.tokens import Purpose, Tokens

PATH = "/unsubscribe"


def link(public_url: str, tokens: Tokens | None) -> Callable[[Delivery], str]:
    """Makes a mail's link: this customer, this topic. Empty where nobody could follow it."""

    def made(delivery: Delivery) -> str:
        one = delivery.told.notification
        if tokens is None or not public_url or not one.customer:
            return ""
        claims = {"customer": one.customer, "topic": one.kind.topic.value, "language": delivery.planned.language}
        return f"{public_url.rstrip('/')}{PATH}?t={tokens.make(Purpose.UNSUBSCRIBE, claims)}"

    return made


def add(app: FastAPI, tokens: Tokens | None, book: Book, clock: Callable[[], datetime]) -> None:
    def claims_of(token: str) -> tuple[str, Topic, str] | None:
        claims = None if tokens is None else tokens.read(Purpose.UNSUBSCRIBE, token, now=clock())
        if claims is None:
            return None
        customer, topic, language = (claims.get(name, "") for name in ("customer", "topic", "language"))
        if not customer or topic not in set(Topic):
            return None
        return customer, Topic(topic), language if language in LANGUAGES else "en"

    @app.get(PATH)
    async def ask(t: str = "") -> HTMLResponse:
        claims = claims_of(t)
        if claims is None:
            return _page("en", sentence("en", "stop_wrong"), status=404)
        customer, topic, language = claims
        said = sentence(language, "stop_ask", who=customer, topic=sentence(language, f"topic_{topic}"))
        return _page(language, said, sentence(language, "stop_yes"))

    @app.post(PATH)
    async def decided(t: str = "", again: bool = False) -> HTMLResponse:
        claims = claims_of(t)
        if claims is None:
            return _page("en", sentence("en", "stop_wrong"), status=404)
        customer, topic, language = claims
        await run_in_threadpool(lambda: book.prefer(Preference(customer, topic, again, "link"), at=clock()))
        spoken = sentence(language, f"topic_{topic}")
        if again:
            return _page(language, sentence(language, "stop_again_done", who=customer, topic=spoken))
        done = sentence(language, "stop_done", who=customer, topic=spoken)
        return _page(language, done, sentence(language, "stop_again"), action=f"?t={t}&again=true")


def _page(language: str, said: str, button: str = "", *, action: str = "", status: int = 200) -> HTMLResponse:
    form = f'<form method="post" action="{escape(action)}"><button>{escape(button)}</button></form>' if button else ""
    text = (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><meta name="robots" content="noindex">'
        '<meta name="viewport" content="width=device-width"><title>Mail</title></head>\n'
        '<body style="font-family:sans-serif;max-width:34em;margin:4em auto;padding:0 1em;line-height:1.5">\n'
        f"<p>{escape(said)}</p>\n{form}\n</body></html>\n"
    )
    # The address is a secret of the customer's: it must reach no other site.
    return HTMLResponse(text, status, headers={"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})
