"""Chat rooms of our own people: incoming webhooks of Slack and of Teams (Workflows take Adaptive Cards).

Label values and names of customers are data: what a chat would take for markup is escaped.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rating.adapters.notifiers.posting import Poster
from rating.core.deliveries import Delivery
from rating.specs.wording import Words, worded


class ChatNotifier:
    """Keeps the promises of `ports.Notifier`. `style` is `slack` or `teams`."""

    to_customer = False

    def __init__(self, channel: str, url: str, style: str = "slack") -> None:
        self._shape = {"slack": slack, "teams": teams}[style]
        # The URL is the secret: whoever knows it may post.
        self._poster = Poster(channel, url, (url, url.rpartition("/")[2]))

    def preview(self, delivery: Delivery) -> str:
        return json.dumps(self._document(delivery), indent=1, ensure_ascii=False)

    def deliver(self, delivery: Delivery, *, unsubscribe: str = "") -> str:
        body = json.dumps(self._document(delivery), ensure_ascii=False).encode()
        return self._poster.post(body, {"Idempotency-Key": delivery.key})

    def _document(self, delivery: Delivery) -> dict[str, Any]:
        told = delivery.told
        words = worded(told.notification, delivery.planned.language, at=told.at, to_customer=False)
        return self._shape(words)


def slack(words: Words) -> dict[str, Any]:
    title, lines = _mrkdwn(words.subject), "\n".join(_mrkdwn(line) for line in words.lines)
    section = {"type": "section", "text": {"type": "mrkdwn", "text": f"*{title}*\n{lines}"[:3000]}}
    # `text` is what notifications and screen readers show in place of the blocks.
    return {"text": title, "blocks": [section]}


def teams(words: Words) -> dict[str, Any]:
    title = {"type": "TextBlock", "text": _markdown(words.subject), "weight": "bolder", "size": "medium", "wrap": True}
    lines = [{"type": "TextBlock", "text": _markdown(line), "wrap": True} for line in words.lines]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, *lines],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _mrkdwn(text: str) -> str:
    """Slack's three characters, and what would begin bold, italic, struck out or code."""
    for char, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(char, escaped)
    return re.sub(r"([*_~`])", "\u200b\\1", text)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]()#])", r"\\\1", text)
