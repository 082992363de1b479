"""Signed tokens: who may do which one thing without logging in. Whoever cannot sign cannot make one up.

A token is its claims and an HMAC-SHA256 over them, both base64url. It holds no secret; it is one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from rating.errors import Finding, SpecError

SHORTEST_SECRET = 16


class Purpose(StrEnum):
    """What a token is for. One made for one purpose opens no other door."""

    UNSUBSCRIBE = "unsubscribe"
    INBOX = "inbox"


class Tokens:
    """Makes and reads tokens under one secret."""

    def __init__(self, secret: str) -> None:
        """Raises SpecError when the secret is too short to keep anybody out."""
        if len(secret) < SHORTEST_SECRET:
            finding = Finding(
                "RATING_TOKEN_SECRET",
                f"is {len(secret)} characters long",
                f"use {SHORTEST_SECRET} random characters or more, such as `openssl rand -base64 32` prints",
            )
            raise SpecError((finding,))
        self._key = secret.encode()

    def make(self, purpose: Purpose, claims: Mapping[str, str], *, until: datetime | None = None) -> str:
        """`until` is when it ends to be worth anything; links in mails have no end."""
        ends = {} if until is None else {"until": int(until.timestamp())}
        text = json.dumps({**claims, **ends, "for": purpose.value}, sort_keys=True, separators=(",", ":"))
        payload = text.encode()
        return f"{_written(payload)}.{_written(self._mac(payload))}"

    def read(self, purpose: Purpose, token: str, *, now: datetime) -> Mapping[str, str] | None:
        """The claims; None for a token that is not whole, not ours, not for this, or over."""
        payload_text, _, mac_text = token.partition(".")
        try:
            payload, mac = _read(payload_text), _read(mac_text)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(mac, self._mac(payload)):
            return None
        claims = json.loads(payload)
        if claims.pop("for") != purpose.value or claims.pop("until", now.timestamp() + 1) <= now.timestamp():
            return None
        return {key: str(value) for key, value in claims.items()}

    def _mac(self, payload: bytes) -> bytes:
        return hmac.new(self._key, payload, hashlib.sha256).digest()


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _read(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
