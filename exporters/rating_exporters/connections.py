"""Seconds of open connections, counted while they are open and not when they close.

One task per event loop ticks every second for all of them: a crash loses at most one second of each, and a connection
that stays open for a month is on every invoice in between. Leaves labels to whoever ticks.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .usage import UsageMetrics

TICK = 1.0  # seconds


class Open(Protocol):
    """A connection that can be charged for time. `moved` is when a byte last passed (`perf_counter`)."""

    moved: float

    def tick(self, seconds: float) -> None: ...


class OpenConnections:
    """The connections open in this process. Every second, and at its close, each is ticked with the time since.

    `stale_after`: a connection over which no byte has passed for so many seconds is charged no further, until one does:
    a peer that vanished without a word leaves a connection open for hours. None: open is open.
    """

    def __init__(self, metrics: UsageMetrics, interval: float = TICK, stale_after: float | None = None) -> None:
        self.metrics = metrics
        self.interval = interval
        self.stale_after = stale_after
        self._stale: set[Open] = set()
        self._since: dict[Open, float] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._since)

    def open(self, connection: Open) -> None:
        """Start counting. Call inside the running event loop."""
        self._since[connection] = perf_counter()
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self, connection: Open) -> None:
        """Count what is left and stop; closing twice, or what never opened, is nothing."""
        since = self._since.pop(connection, None)
        if since is not None:
            self._charge(connection, since, perf_counter())
        self._stale.discard(connection)

    def settle(self) -> None:
        """Count every open connection up to now."""
        for connection, since in list(self._since.items()):
            now = perf_counter()
            self._since[connection] = now
            self._charge(connection, since, now)

    def _charge(self, connection: Open, since: float, now: float) -> None:
        if self.stale_after is None:
            connection.tick(now - since)
            return
        alive = connection.moved + self.stale_after
        if now <= alive:
            if connection in self._stale:  # it woke up: from then on, not from when it fell asleep
                self._stale.discard(connection)
                since = max(since, connection.moved)
            connection.tick(now - since)
            return
        if connection not in self._stale:
            self._stale.add(connection)
            self.metrics.stale()
        connection.tick(max(alive - since, 0.0))

    async def _run(self) -> None:
        while self._since:
            await asyncio.sleep(self.interval)
            try:
                self.settle()
            except Exception:  # noqa: BLE001 - one bad tick must not end the counting
                self.metrics.fault("connections")
