"""Reads due windows, one after the other or several at once, and hands what came of each over in their order.

Decides who reads what and when. Nothing is entered in the book here: one thread does that, oldest first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from queue import SimpleQueue
from threading import Condition, Event

from rating.core.counters import Readings
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.schedule import Due
from rating.core.windows import Closing, Held
from rating.errors import RatingError
from rating.ports import CounterSource, Foreseeing

Outcome = Closing | Held | RatingError
"""A window closed or held; or why its meter has to stop there."""

Found = Readings | Held | RatingError
"""What a window is to be decided from; or why it is held, or its meter stops, without."""

Read = Callable[[CounterSource, Due], Outcome]
Gather = Callable[[CounterSource, Due], Found]
Decide = Callable[[Due, Found], Outcome]

READ_AHEAD = 3
"""Windows that are read, or being read, while one before them is decided and entered."""
MOST_AHEAD = 9
"""And so many where they are small: a source that reads eight in one stream is then at work on the next eight."""
READINGS_AHEAD = 200_000
"""What more than READ_AHEAD of them may hold together, which bounds memory: clean counters, each a few numbers."""
REBUILT = 100
"""How many of those a counter weighs that comes with its samples."""
RUN = 4
"""Windows of one meter that one reader reads in a row: each begins where the one before it ended, which it knows."""
AHEAD = 2
"""Runs for each reader that are read or wait to be entered: what is read ahead stays in memory."""


def one_by_one(
    source: CounterSource,
    waiting: Sequence[Due],
    read: Read,
    stopped: AbstractSet[str],
    stopping: Callable[[], bool],
) -> Generator[tuple[Due, Outcome | None], None, None]:
    """Each window with what came of it; None where it was not read, because its meter stopped or the run ends."""
    over = False
    for entry in waiting:
        over = over or stopping()
        yield entry, None if over or entry.meter.name in stopped else read(source, entry)


def ahead(
    source: CounterSource,
    waiting: Sequence[Due],
    gather: Gather,
    decide: Decide,
    stopped: AbstractSet[str],
    stopping: Callable[[], bool],
) -> Generator[tuple[Due, Outcome | None], None, None]:
    """The same while the windows to come are read, by one thread and in their order.

    None of a meter that could not be read is tried again, and what was read when the run ends is dropped.
    """
    enough = Event()
    room = _Room()
    failed: set[str] = set()

    def gathered(entry: Due) -> Found | None:
        room.enter()
        if enough.is_set() or entry.meter.name in failed:
            return None
        found = gather(source, entry)
        room.fill(_weight(found))
        if isinstance(found, RatingError):
            failed.add(entry.meter.name)
        return found

    foresee(source, waiting)
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as pool:
        begun = deque(pool.submit(gathered, entry) for entry in waiting)
        try:
            for entry in waiting:
                if stopping():
                    enough.set()
                if enough.is_set():
                    yield entry, None
                    continue
                found = begun.popleft().result()
                room.leave(_weight(found))
                yield entry, None if found is None or entry.meter.name in stopped else decide(entry, found)
        finally:
            enough.set()
            for future in begun:
                future.cancel()
            room.open()
            pool.shutdown()
            # Not before the thread is done with it.
            foresee(source, ())


class _Room:
    """Holds the reading back while what it has read and nobody has taken is as much as memory should hold."""

    def __init__(self) -> None:
        self._change = Condition()
        self._windows = self._weight = self._last = 0
        self._open = False

    def enter(self) -> None:
        """Wait for room for one more window, which is taken to weigh what the last one did."""
        with self._change:
            self._change.wait_for(self._has_room)
            self._windows += 1

    def fill(self, weight: int) -> None:
        with self._change:
            self._weight += weight
            self._last = weight

    def leave(self, weight: int) -> None:
        with self._change:
            self._windows -= 1
            self._weight -= weight
            self._change.notify()

    def open(self) -> None:
        """Hold nobody back any more."""
        with self._change:
            self._open = True
            self._change.notify()

    def _has_room(self) -> bool:
        small = self._windows < MOST_AHEAD and 0 < self._weight + self._last <= READINGS_AHEAD
        return self._open or self._windows < READ_AHEAD or small


def _weight(found: Found | None) -> int:
    counts = found.counts if isinstance(found, Readings) else None
    return 0 if counts is None else counts.clean + REBUILT * counts.rebuilt


def in_order(
    readers: Sequence[CounterSource],
    waiting: Sequence[Due],
    read: Read,
    stopped: AbstractSet[str],
    stopping: Callable[[], bool],
) -> Generator[tuple[Due, Outcome | None], None, None]:
    """The same by several readers at once. Each meter's windows come oldest first; meters take turns.

    Args:
        stopped: meters that stopped, as known when it is looked at: their runs that have begun are kept.
    """
    free: SimpleQueue[CounterSource] = SimpleQueue()
    for reader in readers:
        free.put(reader)
    enough = Event()

    def read_run(run: Sequence[Due]) -> list[tuple[Due, Outcome | None]]:
        reader = free.get()
        outcomes: list[tuple[Due, Outcome | None]] = []
        failed = False
        try:
            foresee(reader, run)
            for entry in run:
                outcome = None if failed or enough.is_set() else read(reader, entry)
                failed = failed or isinstance(outcome, RatingError)
                outcomes.append((entry, outcome))
        finally:
            foresee(reader, ())
            free.put(reader)
        return outcomes

    begun: deque[Future[list[tuple[Due, Outcome | None]]]] = deque()
    with ThreadPoolExecutor(len(readers), thread_name_prefix="reading") as pool:
        try:
            for run in runs(waiting):
                if len(begun) >= AHEAD * len(readers):
                    yield from begun.popleft().result()
                if enough.is_set() or stopping():
                    enough.set()
                if enough.is_set() or run[0].meter.name in stopped:
                    yield from ((entry, None) for entry in run)
                else:
                    begun.append(pool.submit(read_run, run))
            while begun:
                yield from begun.popleft().result()
        finally:
            # Also where the one who enters them gives up: whoever reads finishes a window, not a run.
            enough.set()
            for future in begun:
                future.cancel()


def foresee(source: CounterSource, waiting: Sequence[Due]) -> None:
    """Tell a source that makes use of it what it will be asked for."""
    if isinstance(source, Foreseeing):
        windows: dict[Meter, list[Period]] = {}
        for entry in waiting:
            windows.setdefault(entry.meter, []).append(entry.window)
        source.foresee(windows)


def runs(waiting: Sequence[Due]) -> list[list[Due]]:
    """Neighbouring windows of one meter in pieces, the piece with the oldest window first."""
    pieces: list[list[Due]] = []
    ordered = sorted(waiting, key=lambda entry: (entry.meter.name, entry.window.start))
    for _, group in groupby(ordered, key=lambda entry: entry.meter.name):
        own = list(group)
        pieces += [own[at : at + RUN] for at in range(0, len(own), RUN)]
    return sorted(pieces, key=lambda piece: (piece[0].window.start, piece[0].meter.name))
