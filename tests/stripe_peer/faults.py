"""Faults on purpose: which request goes wrong, when, and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from tests.stripe_peer.answers import Answer, Request, encoded


@dataclass(slots=True)
class Fault:
    """One script. A request must match all that is given; the first script that matches and is not used up is played.

    `kind`: `answer` (an error status), `cut` (the connection ends), `silence` (it stays open, without an answer),
    `slow` (the true answer after `seconds`), `held` (the true answer once the faults are cleared). `when`: `before` or
    `after` the work was done.
    """

    kind: Literal["answer", "cut", "silence", "slow", "held"] = "answer"
    when: Literal["before", "after"] = "before"
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    """Such as `Retry-After` and `Stripe-Should-Retry`."""
    seconds: float = 0.0
    """Real ones, waited before the work whatever the kind."""
    stored: Literal["answer", "error", "nothing"] | None = None
    """What an idempotency key remembers of work that was done: its true answer, the error, or nothing (as if the
    memory had been lost: then a retry does the work twice). Without it Stripe's own rule: a 500 is remembered, and
    where the answer only got lost on its way it is the true one."""
    method: str = "*"
    path: str = "*"
    """A shell pattern over the path: `/v1/invoices/*/finalize`."""
    number: int | None = None
    """The number of the request in the log, from 1."""
    skip: int = 0
    """So many matching requests pass first."""
    times: int | None = 1
    """Matching requests it plays on; None: on all."""
    played: int = 0

    def matches(self, request: Request) -> bool:
        return (
            (self.number is None or self.number == request.number)
            and fnmatchcase(request.method, self.method.upper())
            and fnmatchcase(request.path, self.path)
        )

    def remembered(self) -> str:
        if self.stored is not None:
            return self.stored
        return "error" if self.kind == "answer" and self.status >= 500 else "answer"

    def answer(self) -> Answer:
        return Answer(self.status, encoded({"error": _ERRORS.get(self.status, _ERRORS[500])}), dict(self.headers))


_ERRORS: dict[int, dict[str, str]] = {
    409: {
        "type": "invalid_request_error",
        "code": "lock_timeout",
        "message": "This object cannot be accessed right now because another API request or Stripe process is "
        "currently accessing it.",
    },
    429: {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests (a fault on purpose)."},
    500: {"type": "api_error", "message": "An unknown error occurred (a fault on purpose)."},
}


class Faults:
    """The scripts that wait for their requests."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, **script: Any) -> None:
        self.waiting.append(Fault(**script))

    def clear(self) -> None:
        self.waiting.clear()

    def for_request(self, request: Request) -> Fault | None:
        for fault in self.waiting:
            if not fault.matches(request):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times is not None and fault.played >= fault.times:
                continue
            fault.played += 1
            return fault
        return None

    def shown(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.waiting]
