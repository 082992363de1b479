"""The doors of gateways, one for each sort: `/hooks/stripe`. What is told becomes a signal in the book and stops there.

Decides how much is read and what is answered. Who may tell is proven by the gateway's own adapter; what follows from it
is settled by a job. What is refused is counted, by reason; nothing that was delivered is ever logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from rating.core.publications import Signal
from rating.core.signals import Refusal
from rating.errors import RatingError
from rating.ports import SignalDoor
from rating.web.hooks import limited

log = logging.getLogger("rating.web.gatewayhooks")

PREFIX = "/hooks/"
LARGEST = 1 << 20
"""Bytes of a body. An event holds one object; an invoice with its first lines is some ten thousand."""

_STRANGERS = (Refusal.SIGNATURE, Refusal.UNSERVED)
_ANSWERS = {
    Refusal.SIGNATURE: (400, "no secret of this gateway signed it; is the endpoint's secret in the file of gateways?"),
    Refusal.STALE: (400, "it was signed too long ago; is the clock of this machine right?"),
    Refusal.MALFORMED: (400, "it is signed and is no event"),
    Refusal.MODE: (400, "it is of the other mode, live or test, than this gateway's key"),
    Refusal.OVERSIZED: (413, f"the body is larger than {LARGEST} bytes"),
    # 5xx, so that it is delivered again: nothing is lost while somebody mends it.
    Refusal.UNSERVED: (503, "this gateway has no webhook secret; write it into the file of gateways"),
    Refusal.BOOK: (503, "the book cannot be written now; deliver it again"),
}


def add(
    app: FastAPI,
    doors: Sequence[SignalDoor],
    keep: Callable[[Signal], bool],
    refused: Callable[[str, Refusal], None] = lambda gateway, reason: None,
    accepted: Callable[[str, bool], None] = lambda gateway, new: None,
) -> None:
    """Serve an address for each sort of gateway; `keep` keeps a signal and returns whether it is new.

    Which of several gateways tells something follows from whose secret proves it.
    """
    sorts: dict[str, list[SignalDoor]] = {}
    for door in doors:
        sorts.setdefault(door.kind, []).append(door)
    for kind, own in sorts.items():
        _serve(app, kind, own, keep, refused, accepted)


def _serve(
    app: FastAPI,
    kind: str,
    doors: Sequence[SignalDoor],
    keep: Callable[[Signal], bool],
    refused: Callable[[str, Refusal], None],
    accepted: Callable[[str, bool], None],
) -> None:
    def no(reason: Refusal, gateway: str = doors[0].name if len(doors) == 1 else kind) -> JSONResponse:
        refused(gateway, reason)
        status, sentence = _ANSWERS[reason]
        return JSONResponse({"error": sentence}, status_code=status)

    def admitted(body: bytes, headers: Mapping[str, str]) -> Signal | tuple[Refusal, str]:
        refusals = []
        for door in doors:
            told = door.admitted(body, headers)
            if isinstance(told, Signal):
                return told
            refusals.append((told, door.name if len(doors) == 1 or told not in _STRANGERS else kind))
        # What one of them has proven says more than that the others have not.
        return min(refusals, key=lambda one: (one[0] in _STRANGERS, one[0] is Refusal.UNSERVED))

    @app.post(f"{PREFIX}{kind}")
    async def told(request: Request) -> JSONResponse:
        body = await limited(request, LARGEST)
        if body is None:
            return no(Refusal.OVERSIZED)
        signal = await run_in_threadpool(admitted, body, dict(request.headers))
        if not isinstance(signal, Signal):
            return no(*signal)
        try:
            new = await run_in_threadpool(keep, signal)
        except RatingError as error:
            log.error("%s told %s, which could not be kept: %s", signal.gateway, signal.id, error)
            return no(Refusal.BOOK, signal.gateway)
        accepted(signal.gateway, new)
        log.info("%s told %s, %s%s", signal.gateway, signal.id, signal.kind, "" if new else ", as before")
        return JSONResponse({"kept": signal.id, "new": new})
