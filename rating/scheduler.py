"""Runs the engine on a clock: every tick asks what is due, and does it under a claim, until told to stop.

Knows time and order, not money: what is due is a pure function of the book, so a tick that was missed, cut short by
SIGTERM or killed is made up by the next one. Two schedulers on one database: one leads, the other waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from rating.core.periods import stamp
from rating.errors import EdgeUnavailable, RatingError
from rating.ports import Book

log = logging.getLogger("rating.scheduler")

CLAIM = "scheduler"


class Step(Protocol):
    """One job of a tick. Returns when done or when `stopping()` turns true between two pieces of work."""

    def __call__(self, now: datetime, stopping: Callable[[], bool]) -> None: ...


class Watcher(Protocol):
    """Who wants to know how the jobs go: the metrics."""

    def job_done(self, job: str, at: datetime, seconds: float) -> None: ...

    def job_failed(self, job: str) -> None: ...


@dataclass(slots=True)
class Health:
    """What /healthz tells."""

    leading: bool = False
    ticks: int = 0
    last_tick: datetime | None = None
    errors: dict[str, str] = field(default_factory=dict)
    """Per job: the sentence of its last failure; gone when it succeeds."""

    def facts(self) -> tuple[bool, dict[str, Any]]:
        """Whether the engine is well, and the facts as JSON values."""
        return not self.errors, {
            "leading": self.leading,
            "ticks": self.ticks,
            "last_tick": self.last_tick.isoformat() if self.last_tick else None,
            "errors": dict(self.errors),
        }


class Scheduler:
    """Drives steps every `every`, first at once."""

    def __init__(
        self,
        book: Book,
        steps: Sequence[tuple[str, Step]],
        watcher: Watcher,
        *,
        every: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self.health = Health()
        self._book = book
        self._steps = steps
        self._watcher = watcher
        self._every = every
        self._clock = clock
        self._stopping = threading.Event()
        self._leadership = ExitStack()
        self._latest: datetime | None = None

    def run(self) -> None:
        """Tick until `stop`; returns when the step that was running has finished."""
        # One worker and one instance: ticks never overlap, a late one is run once, however late.
        scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)}, timezone="UTC")
        scheduler.add_job(
            self.tick,
            "interval",
            seconds=self._every.total_seconds(),
            # APScheduler looks at its own clock; ours may be a test's.
            next_run_time=datetime.now(UTC),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        scheduler.start()
        try:
            self._stopping.wait()
        finally:
            scheduler.shutdown(wait=True)
            self._leadership.close()
            self.health.leading = False

    def stop(self) -> None:
        """Finish the current piece of work and leave. Safe to call from a signal handler."""
        self._stopping.set()

    def tick(self) -> None:
        """One round of every step, if this process leads."""
        now = self._now()
        if now is None or not self._lead():
            return
        for name, step in self._steps:
            if self._stopping.is_set():
                return
            self._run(name, step, now)
        self.health.ticks += 1
        self.health.last_tick = now

    def _now(self) -> datetime | None:
        """The clock, unless it went back: then nothing is done until it has caught up with itself."""
        now = self._clock()
        if self._latest is not None and now < self._latest:
            said = (
                f"the clock went back from {stamp(self._latest)} to {stamp(now)}; waiting until it is later than that, "
                "restart the engine if the earlier time is right"
            )
            if "clock" not in self.health.errors:
                log.error("%s", said)
            self.health.errors["clock"] = said
            return None
        self.health.errors.pop("clock", None)
        self._latest = now
        return now

    def _lead(self) -> bool:
        if self.health.leading:
            return True
        try:
            self.health.leading = self._leadership.enter_context(self._book.claim(CLAIM))
        except RatingError as error:
            self._failed("claim", str(error))
            return False
        self.health.errors.pop("claim", None)
        if not self.health.leading:
            self._leadership.close()
        return self.health.leading

    def _run(self, name: str, step: Step, now: datetime) -> None:
        begun = time.monotonic()
        try:
            step(now, self._stopping.is_set)
        except RatingError as error:
            self._failed(name, str(error))
            self._watcher.job_failed(name)
            if isinstance(error, EdgeUnavailable):
                # The claim may have died with the connection; ask for it anew.
                self._leadership.close()
                self.health.leading = False
        except Exception as error:
            # A defect of ours must not end the engine: it is shown in /healthz and counted, the other steps go on.
            self.health.errors[name] = f"{type(error).__name__}: {error}"
            self._watcher.job_failed(name)
            log.exception("%s failed", name)
        else:
            self.health.errors.pop(name, None)
            self._watcher.job_done(name, self._clock(), time.monotonic() - begun)

    def _failed(self, what: str, sentence: str) -> None:
        """Show the failure, and log it unless it is the same as at the last tick."""
        if self.health.errors.get(what) != sentence:
            log.error("%s: %s", what, sentence)
        self.health.errors[what] = sentence
