"""From a request to its answer: key, endpoint, parameters, idempotency, fault, work. Knows nothing of sockets."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.stripe_peer import parameters
from tests.stripe_peer.accounts import Accounts
from tests.stripe_peer.answers import Answer, NoAnswer, Request, encoded
from tests.stripe_peer.deliveries import Deliveries
from tests.stripe_peer.endpoints import found
from tests.stripe_peer.expansions import expanded
from tests.stripe_peer.faults import Fault, Faults
from tests.stripe_peer.forms import decoded
from tests.stripe_peer.idempotency import Keys
from tests.stripe_peer.limits import within
from tests.stripe_peer.refusals import Refusal, invalid, unserved
from tests.stripe_peer.routes import Serve, route
from tests.stripe_peer.turns import Turns
from tests.stripe_peer.world import Call, Params, World

_LOGGED = 200_000
_WITHOUT_EFFECT = frozenset(
    """created email_type ending_before expand images include limit off_session page payment_behavior proration_behavior
    starting_after transfer_lookup_key type validate""".split()
)
"""Parameters that may be sent where nothing looks at them: they choose what is shown, or what cannot happen here."""


@dataclass
class Service:
    """One pretended account, behind `answer`."""

    world: World
    accounts: Accounts = field(default_factory=Accounts)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.deliveries = Deliveries(self.world)
        self.keys = Keys(self.world.clock)
        self.turns = Turns(self.world)
        self.log: deque[dict[str, Any]] = deque(maxlen=_LOGGED)
        self.count = 0
        self.defects: list[str] = []
        """Answers that this server failed to give: a test that meets one is to fail."""

    async def answer(self, request: Request) -> Answer:
        """Raises: NoAnswer, when a fault wants none."""
        self.count += 1
        request = Request(self.count, request.method, request.path, request.query, request.headers, request.body)
        entry = {
            "number": request.number,
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "idempotency_key": request.headers.get("idempotency-key"),
            "at": self.world.now(),
            "status": None,
            "replayed": False,
            "fault": None,
        }
        self.log.append(entry)
        self.world.run_due()
        fault = self.faults.for_request(request)
        if fault is not None:
            entry["fault"] = f"{fault.kind} {fault.when}"
        try:
            answer = await self._played(request, fault)
        except NoAnswer as none:
            entry["status"] = str(none)
            raise
        entry["status"] = answer.status
        entry["replayed"] = "Idempotent-Replayed" in answer.headers
        return answer

    async def _played(self, request: Request, fault: Fault | None) -> Answer:
        request_id = f"req_{request.number:014d}"
        try:
            answer = await self._admitted(request, request_id, fault)
        except Refusal as refusal:
            answer = _refused(refusal)
        answer.headers = {"Request-Id": request_id, **answer.headers}
        if key := request.headers.get("idempotency-key"):
            answer.headers["Idempotency-Key"] = key
        return answer

    async def _admitted(self, request: Request, request_id: str, fault: Fault | None) -> Answer:
        owner = self.accounts.admitted(self.world, request)
        match = found(request.method, request.path)
        if match is None:
            raise Refusal(
                404,
                f"Unrecognized request URL ({request.method}: {request.path}). Please see https://stripe.com/docs or "
                "we can help at https://support.stripe.com/.",
                stored=False,
            )
        endpoint, ids = match
        serve = route(endpoint.method, endpoint.path)
        if serve is None:
            raise unserved(f"{request.method} {endpoint.path}")
        key = request.headers.get("idempotency-key") if request.method != "GET" else None
        if key is not None:
            content = b"\0".join((request.method.encode(), request.query.encode(), request.body))
            remembered = self.keys.begin(owner, key, request.path, content, request_id)
            if remembered is not None:
                return remembered
        try:
            params = parameters.checked(endpoint, _sent(request))
            within(_room(endpoint.path), params)
            call = Call(
                request.method,
                request.path,
                Params(params),
                ids,
                request_id,
                key,
                owner.startswith(("sk_live", "rk_live")),
            )
            call.token = owner
            answer, remember = await self._carried_out(serve, call, request, fault)
        except BaseException as error:
            if key is not None:
                lost = error.answer if isinstance(error, _Lost) else None
                if lost is not None:
                    self.keys.end(owner, key, lost)
                else:
                    self.keys.drop(owner, key)
            if isinstance(error, _Lost):
                raise NoAnswer(silent=error.silent) from None
            raise
        if key is not None:
            if remember is None or (endpoint.path.startswith("/v2") and remember.status >= 400):
                self.keys.drop(owner, key)
            else:
                self.keys.end(owner, key, remember)
        return answer

    async def _carried_out(
        self, serve: Serve, call: Call, request: Request, fault: Fault | None
    ) -> tuple[Answer, Answer | None]:
        """What to answer, and what its key shall remember."""
        async with self.turns.of(call):
            if fault is not None:
                await self._waited(fault)
                if fault.when == "before" and fault.kind == "answer":
                    answer = fault.answer()
                    return answer, answer if fault.stored == "error" else None
                if fault.when == "before" and fault.kind in ("cut", "silence"):
                    raise _Lost(None, silent=fault.kind == "silence")
            true, stored = self._worked(serve, call)
        if fault is None or fault.when == "before" or fault.kind in ("slow", "held"):
            return true, true if stored else None
        memory = {"answer": true, "error": fault.answer(), "nothing": None}[fault.remembered()]
        if fault.kind == "answer":
            return fault.answer(), memory
        raise _Lost(memory, silent=fault.kind == "silence")

    async def _waited(self, fault: Fault) -> None:
        if fault.seconds:
            await asyncio.sleep(fault.seconds)
        while fault.kind == "held" and fault in self.faults.waiting:
            await asyncio.sleep(0.002)

    def _worked(self, serve: Serve, call: Call) -> tuple[Answer, bool]:
        self.world.cause = call
        try:
            thing = serve(self.world, call)
            if idle := [name for name in call.params.unseen() if name not in _WITHOUT_EFFECT]:
                raise unserved(f"the parameter {idle[0]} of {call.method} {call.path}")
            if expand := call.params.get("expand"):
                thing = expanded(self.world, thing, expand)
            return Answer(200, encoded(thing)), True
        except Refusal as refusal:
            return _refused(refusal), refusal.stored
        finally:
            self.world.cause = None


class _Lost(Exception):
    """The work may be done; its answer is not sent."""

    def __init__(self, answer: Answer | None, *, silent: bool) -> None:
        super().__init__()
        self.answer, self.silent = answer, silent


def _refused(refusal: Refusal) -> Answer:
    return Answer(refusal.status, encoded(refusal.body), dict(refusal.headers))


def _sent(request: Request) -> dict[str, Any]:
    sent = decoded(request.query) if request.query else {}
    if not request.body:
        return sent
    if request.path.startswith("/v2/"):
        try:
            body = json.loads(request.body)
        except ValueError:
            raise invalid("Invalid JSON in the body of the request", "") from None
        if not isinstance(body, dict):
            raise invalid("The body of the request must be a JSON object", "")
        return {**sent, **body}
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Refusal(400, "Invalid request: v1 takes application/x-www-form-urlencoded bodies", stored=False)
    return {**sent, **decoded(request.body.decode())}


def _room(path: str) -> str:
    named = [part for part in path.strip("/").split("/")[1:] if not part.startswith("{")]
    return "invoices" if named[0] == "invoices" else named[-1]
