"""Real HTTP calls in bursts, by every customer, until told to stop. Knows the API's routes, not its counters.

`python -m rating_demo.callers --url http://localhost:8000` keeps going; the demonstration runs it on threads. What was
answered is tallied per customer, so that anyone can hold the counters against it.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from threading import Event, Lock, Thread
from typing import Self

import requests

from rating_demo.api import KEYS

_KEY_OF = {consumer: key for key, consumer in KEYS.items()}


class Callers:
    """Background bursts by all customers, and `burst` for exactly as many calls as one asks for."""

    def __init__(self, url: str, *, seed: int = 7, pause: float = 0.4, watched: Sequence[str] = ()) -> None:
        self.url, self._seed, self._pause = url.rstrip("/"), seed, pause
        self._stop, self._lock = Event(), Lock()
        self.answered: Counter[tuple[str, int]] = Counter()
        """Answers by (consumer, status)."""
        self._times: dict[str, list[float]] = {name: [] for name in watched}
        self._threads = [
            Thread(target=self._wander, args=(name,), daemon=True, name=f"calls {name}") for name in KEYS.values()
        ]

    def burst(self, consumer: str, calls: int, *, threads: int = 2) -> int:
        """Make `calls` searches as `consumer`; returns how many were answered with success."""
        shares = [calls // threads + (number < calls % threads) for number in range(threads)]
        succeeded: list[int] = []

        def share(count: int) -> None:
            with requests.Session() as session:
                succeeded.append(sum(self._call(session, consumer, "GET", "/v1/search?q=burst") for _ in range(count)))

        workers = [Thread(target=share, args=(count,), daemon=True) for count in shares]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(succeeded)

    def _wander(self, consumer: str) -> None:
        chance = random.Random(f"{self._seed}/{consumer}")
        # Whom one watches is near a line, and must not cross it before one looks.
        pause = self._pause * (20 if consumer in self._times else 1)
        with requests.Session() as session:
            while not self._stop.wait(chance.uniform(0.2, 2) * pause):
                for _ in range(chance.randint(1, 6)):
                    if self._stop.is_set():
                        return
                    self._call(session, consumer, *self._choose(chance))

    @staticmethod
    def _choose(chance: random.Random) -> tuple[str, str]:
        match chance.randint(1, 20):
            case 1:
                return "GET", f"/v1/items/{chance.randint(1000, 2000)}"
            case 2:
                return "GET", "/v1/search?q=fail"
            case 3:
                return "GET", "/v1/stream?parts=2"
            case 4 | 5 | 6:
                return "POST", f"/v1/answers?q={'x' * chance.randint(1, 40)}"
            case 7 | 8 | 9 | 10:
                return "GET", f"/v1/items/{chance.randint(0, 999)}"
            case _:
                return "GET", f"/v1/search?q=word{chance.randint(0, 99)}"

    def _call(self, session: requests.Session, consumer: str, method: str, path: str) -> bool:
        try:
            answer = session.request(method, self.url + path, headers={"x-api-key": _KEY_OF[consumer]}, timeout=10)
        except requests.RequestException:
            return False
        with self._lock:
            self.answered[consumer, answer.status_code] += 1
            if answer.ok and consumer in self._times:
                self._times[consumer].append(time.time())
        return answer.ok

    def answered_at(self, consumer: str, number: int) -> float | None:
        """When the so-manyth success of a watched consumer was answered, in seconds since the epoch; None before."""
        with self._lock:
            times = self._times[consumer]
            return times[number - 1] if 0 < number <= len(times) else None

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)

    def wait(self) -> None:
        """Until stopped."""
        self._stop.wait()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--url", default="http://localhost:8000")
    with Callers(options.parse_args().url) as callers:
        callers.wait()


if __name__ == "__main__":
    main()
