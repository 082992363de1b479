"""What a key of an earlier request is good for: the same answer again, and no second piece of work.

Source: the API reference, "Idempotent requests". Answers are remembered from the moment an endpoint began to execute,
500s too; keys are forgotten after 24 hours (v1) or 30 days (v2, which also carries failed requests out again).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from tests.stripe_peer.answers import Answer
from tests.stripe_peer.refusals import Refusal
from tests.stripe_peer.world import DAY, Clock

LONGEST = 255
_KEPT = {"v1": DAY, "v2": 30 * DAY}


@dataclass(slots=True)
class _Memory:
    fingerprint: bytes
    endpoint: str
    at: int
    request_id: str
    answer: Answer | None = None
    """None while the first request is under way."""


class Keys:
    """The keys of one account, by the key of the caller and theirs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._memories: dict[tuple[str, str], _Memory] = {}

    def __len__(self) -> int:
        return len(self._memories)

    def begin(self, owner: str, key: str, endpoint: str, body: bytes, request_id: str) -> Answer | None:
        """The remembered answer, or None: then the work is to be done, and `end` or `drop` must follow.

        Raises:
            Refusal: the key belongs to another request, or that request is still under way.
        """
        if len(key) > LONGEST:
            raise Refusal(
                400,
                f"Idempotency keys have at most {LONGEST} characters; yours has {len(key)}",
                kind="idempotency_error",
                stored=False,
            )
        name = (owner, key)
        fingerprint = blake2b(body, digest_size=16).digest()
        memory = self._memories.get(name)
        if memory is not None and self._clock.now() - memory.at >= _KEPT[endpoint.split("/")[1]]:
            del self._memories[name]
            memory = None
        if memory is None:
            self._memories[name] = _Memory(fingerprint, endpoint, self._clock.now(), request_id)
            return None
        if memory.endpoint != endpoint:
            raise _another(
                f"Keys for idempotent requests can only be used for the same endpoint they were first used for "
                f"('{memory.endpoint}' vs '{endpoint}'). Try using a key other than '{key}' if you meant to execute a "
                "different request."
            )
        if memory.fingerprint != fingerprint:
            raise _another(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request."
            )
        if memory.answer is None:
            raise Refusal(
                409,
                f"There is currently another in-progress request using this Idempotent Key ({key}); it probably means "
                "you submitted twice, and the other request is still going through. Please try again later.",
                kind="idempotency_error",
                code="idempotency_key_in_use",
                stored=False,
            )
        return Answer(
            memory.answer.status,
            memory.answer.body,
            {**memory.answer.headers, "Idempotent-Replayed": "true", "Original-Request": memory.request_id},
        )

    def end(self, owner: str, key: str, answer: Answer) -> None:
        self._memories[(owner, key)].answer = answer

    def drop(self, owner: str, key: str) -> None:
        self._memories.pop((owner, key), None)


def _another(message: str) -> Refusal:
    return Refusal(400, message, kind="idempotency_error", stored=False)
