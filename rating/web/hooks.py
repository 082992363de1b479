"""The door for Alertmanager: `/hooks/alertmanager`. An alert becomes an entry in the book and stops there.

Decides who may knock and what is an alert of ours; what follows from it is the jobs' affair. Nothing is served without
a secret, except on loopback where that is asked for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import msgspec
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from rating.core import vocabulary as names
from rating.core.alerts import Alert
from rating.errors import Finding, RatingError, SpecError
from rating.settings import Settings

log = logging.getLogger("rating.web.hooks")

PATH = "/hooks/alertmanager"
LARGEST = 1 << 20
"""Bytes of a body: some thousand alerts. `max_alerts` in Alertmanager keeps its own below it."""


class _Alert(msgspec.Struct):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    startsAt: datetime


class _Payload(msgspec.Struct):
    """Version 4 of Alertmanager's webhook; what it has beside this does not matter here."""

    version: str
    alerts: list[_Alert]
    truncatedAlerts: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """What one delivery of Alertmanager's held."""

    alerts: tuple[Alert, ...]
    not_ours: int
    truncated: int


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may deliver: whoever shows the token, or the user and password."""

    token: str = ""
    username: str = ""
    password: str = ""
    open: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Guard:
        """Raises:
        SpecError: it is to be open, but listens where others can reach it; half of a password is missing.
        """
        findings = []
        asked = settings.hook_open.strip().lower()
        if asked not in ("", "yes", "no"):
            findings.append(Finding("RATING_HOOK_OPEN", f"{asked!r} is neither yes nor no", "leave it out"))
        if asked == "yes" and not _loopback(settings.listen):
            findings.append(
                Finding(
                    "RATING_HOOK_OPEN",
                    f"the engine listens on {settings.listen}, where others could deliver alerts",
                    "set RATING_HOOK_TOKEN instead, or listen on 127.0.0.1",
                )
            )
        if bool(settings.hook_username) != bool(settings.hook_password):
            findings.append(
                Finding("RATING_HOOK_PASSWORD", "user name and password go together", "set both, or RATING_HOOK_TOKEN")
            )
        if findings:
            raise SpecError(tuple(findings))
        return cls(settings.hook_token, settings.hook_username, settings.hook_password, asked == "yes")

    @property
    def served(self) -> bool:
        return self.open or bool(self.token or self.password)

    def admits(self, authorization: str) -> bool:
        """Whether this header opens the door. Takes as long for a wrong secret as for a right one."""
        if not (self.token or self.password):
            return self.open
        scheme, _, shown = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.token:
            return _same(shown.strip(), self.token)
        if scheme.lower() == "basic" and self.password:
            try:
                decoded = base64.b64decode(shown.strip(), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError, ValueError):
                return False
            return _same(decoded, f"{self.username}:{self.password}")
        return False


def parsed(body: bytes) -> Notice:
    """What Alertmanager says in `body`.

    Raises:
        ValueError: it is no delivery of Alertmanager's, in one sentence.
    """
    try:
        payload = msgspec.json.decode(body, type=_Payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"this is no notification of Alertmanager's: {error}") from error
    if payload.version != "4":
        raise ValueError(f"version {payload.version!r} of Alertmanager's webhook is not known; this engine reads 4")
    alerts, others = [], 0
    for one in payload.alerts:
        name = one.labels.get("alertname", "")
        if not name.startswith(names.ALERT_PREFIX):
            others += 1
            continue
        if any("\x00" in text for pair in one.labels.items() for text in pair):
            raise ValueError(f"a label of {name} holds the character NUL, which no label can")
        if one.startsAt.tzinfo is None or one.startsAt.year < 1970:
            raise ValueError(f"{name} says that it began {one.startsAt.isoformat()}, which is no instant it could have")
        labels = tuple(sorted((key, value) for key, value in one.labels.items() if key != "alertname"))
        alerts.append(Alert(name, labels, one.startsAt.astimezone(UTC), one.status == "resolved"))
    return Notice(tuple(alerts), others, max(payload.truncatedAlerts, 0))


def add(app: FastAPI, guard: Guard, hear: Callable[[Sequence[Alert]], int]) -> None:
    """Serve the hook; `hear` keeps alerts and returns how many are new."""

    @app.post(PATH)
    async def alertmanager(request: Request) -> JSONResponse:
        if not guard.served:
            # 5xx, because Alertmanager then tries again: nothing is lost while somebody sets the secret.
            return _refused(503, "this hook is not served without a secret; set RATING_HOOK_TOKEN")
        if not guard.admits(request.headers.get("authorization", "")):
            answer = _refused(
                401, "the secret is missing or wrong; Alertmanager shows RATING_HOOK_TOKEN as bearer token"
            )
            answer.headers["WWW-Authenticate"] = 'Bearer, Basic realm="rating"'
            return answer
        body = await limited(request, LARGEST)
        if body is None:
            return _refused(413, f"the body is larger than {LARGEST} bytes; set max_alerts in Alertmanager's webhook")
        try:
            notice = parsed(body)
        except (ValueError, OverflowError) as error:
            return _refused(400, str(error))
        try:
            new = await run_in_threadpool(hear, notice.alerts)
        except RatingError as error:
            log.error("alerts could not be kept: %s", error)
            return _refused(503, "the book cannot be written now; deliver it again")
        if notice.truncated:
            log.warning("Alertmanager left out %d alerts; raise max_alerts of its webhook", notice.truncated)
        return JSONResponse(
            {
                "alerts": len(notice.alerts),
                "new": new,
                "not_ours": notice.not_ours,
                "truncated": notice.truncated,
            }
        )


async def limited(request: Request, largest: int) -> bytes | None:
    """The body, None when it is too large: whatever its head says, no more than that is read."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > largest:
        return None
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > largest:
            return None
    return bytes(body)


def _refused(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)


def _same(shown: str, secret: str) -> bool:
    # Digests, so that not even the length of the secret can be measured.
    return hmac.compare_digest(*(hashlib.sha256(text.encode()).digest() for text in (shown, secret)))


def _loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]") or "127.0.0.1"
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
