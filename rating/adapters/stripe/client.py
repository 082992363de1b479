"""One account of Stripe: how often it is asked, what is asked again at once, and whose error comes out.

Decides nothing about papers. The library's own repetition ignores Retry-After, so it is switched off and done here by
the same rules: what may pass within seconds is asked again under the same idempotency key, the rest is the caller's.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import stripe

from rating.adapters.stripe.errors import at_once, masked, retry_after, translated
from rating.errors import EdgeDisagrees

Answer = TypeVar("Answer")
Field = TypeVar("Field")

_TIMEOUT = 30.0
_REPETITIONS = 2
_LONGEST_WAIT = 5.0
"""Seconds. Who asks for more is left alone until the job's next round."""


class Pace:
    """So many calls a second and no more, whoever makes them."""

    def __init__(
        self,
        per_second: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / per_second
        self._clock, self._sleep = clock, sleep
        self._next = clock()
        self._turn = threading.Lock()

    def wait(self) -> None:
        """Until it is this call's turn."""
        with self._turn:
            now = self._clock()
            mine = max(now, self._next)
            self._next = mine + self._gap
        if mine > now:
            self._sleep(mine - now)


class StripeAccount:
    """Safe to share between threads.

    Args:
        name: of the gateway, for sentences.
        key: secret or restricted; shown nowhere.
        url: of a server in Stripe's place; Stripe itself when empty.
        requests_per_second: over all threads, repetitions included.
        timeout: seconds for the connection, and for each read of an answer.
    """

    def __init__(
        self,
        name: str,
        key: str,
        *,
        url: str = "",
        requests_per_second: int = 20,
        timeout: float = _TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.url = url
        self._sleep = sleep
        self._http = _PacedClient(Pace(requests_per_second, sleep=sleep), timeout)
        # Telemetry would write an identity of this machine into its home folder.
        stripe.enable_telemetry = False
        _quieten()
        self.client = self.connected(key)

    @property
    def calls(self) -> int:
        """How many requests were made so far."""
        return self._http.calls

    def connected(self, key: str) -> stripe.StripeClient:
        """A client with another key, such as a meter event session's, under the same pace."""
        addresses: Any = {"api": self.url, "meter_events": self.url, "files": self.url} if self.url else {}
        return stripe.StripeClient(key, base_addresses=addresses, max_network_retries=0, http_client=self._http)

    def asked(self, what: str, call: Callable[[], Answer]) -> Answer:
        """The answer to one call, which may be made up to three times: it must carry a key if it makes something.

        Raises:
            EdgeUnavailable, EdgeRefused, EdgeDisagrees: as `errors` says.
        """
        for repetition in range(_REPETITIONS + 1):
            try:
                return call()
            except stripe.StripeError as error:
                asked = retry_after(error)
                pause = max(_pause(repetition), asked.total_seconds() if asked else 0)
                if repetition == _REPETITIONS or not at_once(error) or pause > _LONGEST_WAIT:
                    raise translated(error, f"gateway {self.name}, {what}") from error
            self._sleep(pause)
        raise AssertionError("the last repetition returns or raises")


def told(answer: Any, name: str, kind: type[Field]) -> Field:
    """A field of an answer.

    Raises:
        EdgeDisagrees: it is missing or of another kind.
    """
    value = getattr(answer, name, None)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise EdgeDisagrees(f"Stripe answered without a {name} that is {kind.__name__}: {type(value).__name__}")
    return value


def metadata(answer: Any) -> Mapping[str, str]:
    """The metadata of an answer as a plain mapping."""
    found = getattr(answer, "metadata", None)
    return {} if found is None else {str(key): str(value) for key, value in found.to_dict().items()}


def _pause(repetition: int) -> float:
    """Half a second, doubled each time, up to half of it less: as the library does."""
    return float(2**repetition) / 2 * random.uniform(0.5, 1)


class _PacedClient(stripe.RequestsClient):
    """Waits for its turn before each request."""

    def __init__(self, pace: Pace, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self._pace = pace
        self._counting = threading.Lock()
        self.calls = 0

    def request(
        self, method: str, url: str, headers: Any, post_data: Any = None, *, _usage: list[str] | None = None
    ) -> Any:
        self._pace.wait()
        with self._counting:
            self.calls += 1
        return super().request(method, url, headers, post_data)


class _Discreet(logging.Filter):
    """The library logs whole bodies when it is told to debug: names, addresses, session keys."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG:
            return False
        record.msg, record.args = masked(record.getMessage()), ()
        return True


def _quieten() -> None:
    log = logging.getLogger("stripe")
    if not any(isinstance(one, _Discreet) for one in log.filters):
        log.addFilter(_Discreet())
