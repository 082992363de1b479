"""The scheduler: one leads, failures are told and do not stop the rest, the clock may not go back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from rating.errors import EdgeUnavailable, SamplesMissing
from rating.ports import Book
from rating.scheduler import Scheduler

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


class OneClaim:
    """The part of a book that a scheduler needs: a claim that only one may hold."""

    def __init__(self) -> None:
        self.taken = False

    @contextmanager
    def claim(self, job: str) -> Iterator[bool]:
        mine = not self.taken
        self.taken = True
        try:
            yield mine
        finally:
            if mine:
                self.taken = False


class Diary:
    def __init__(self) -> None:
        self.done: list[str] = []
        self.failed: list[str] = []

    def job_done(self, job: str, at: datetime, seconds: float) -> None:
        self.done.append(job)

    def job_failed(self, job: str) -> None:
        self.failed.append(job)


def scheduler(
    book: OneClaim, diary: Diary, steps: dict[str, Callable[..., None]], clock: Any = lambda: NOON
) -> Scheduler:
    return Scheduler(cast(Book, book), list(steps.items()), diary, every=timedelta(seconds=0.05), clock=clock)


def nothing(now: datetime, stopping: Callable[[], bool]) -> None:
    pass


def test_of_two_schedulers_one_works_until_it_leaves() -> None:
    book, first, second = OneClaim(), Diary(), Diary()
    leader, other = scheduler(book, first, {"collect": nothing}), scheduler(book, second, {"collect": nothing})
    for _ in range(3):
        leader.tick()
        other.tick()
    assert (first.done, second.done) == (["collect"] * 3, [])
    leader.stop()
    leader.run()  # leaves at once and gives the claim back
    other.tick()
    assert second.done == ["collect"]


def test_a_failing_step_is_told_and_the_others_go_on() -> None:
    def fails(now: datetime, stopping: Callable[[], bool]) -> None:
        raise SamplesMissing("window search/c42 has no samples")

    diary = Diary()
    engine = scheduler(OneClaim(), diary, {"collect": fails, "accrue": nothing})
    engine.tick()
    assert (diary.done, diary.failed) == (["accrue"], ["collect"])
    well, facts = engine.health.facts()
    assert not well
    assert facts["errors"] == {"collect": "window search/c42 has no samples"}


def test_a_defect_of_ours_does_not_end_the_engine() -> None:
    def broken(now: datetime, stopping: Callable[[], bool]) -> None:
        raise ZeroDivisionError("division by zero")

    diary = Diary()
    engine = scheduler(OneClaim(), diary, {"bill": broken, "accrue": nothing})
    engine.tick()
    assert (diary.done, diary.failed) == (["accrue"], ["bill"])
    assert engine.health.errors["bill"] == "ZeroDivisionError: division by zero"


def test_an_unreachable_edge_gives_up_the_lead_so_that_another_may_try() -> None:
    def unreachable(now: datetime, stopping: Callable[[], bool]) -> None:
        raise EdgeUnavailable("database gone")

    book, diary, other = OneClaim(), Diary(), Diary()
    scheduler(book, diary, {"collect": unreachable}).tick()
    scheduler(book, other, {"collect": nothing}).tick()
    assert other.done == ["collect"]


def test_a_clock_that_goes_back_stops_the_work_until_it_has_caught_up() -> None:
    times = [NOON]
    diary = Diary()
    engine = scheduler(OneClaim(), diary, {"collect": nothing}, lambda: times[-1])
    seen = []
    for moment in (NOON, NOON - timedelta(hours=1), NOON + timedelta(minutes=1)):
        times.append(moment)
        engine.tick()
        seen.append((len(diary.done), engine.health.errors.get("clock", "")))
    assert seen == [
        (1, ""),
        (
            1,
            "the clock went back from 2026-10-01 12:00 to 2026-10-01 11:00; waiting until it is later than that, "
            "restart the engine if the earlier time is right",
        ),
        (2, ""),
    ]


def test_stop_waits_for_the_step_that_is_running() -> None:
    entered, leave = threading.Event(), threading.Event()
    diary = Diary()

    def slow(now: datetime, stopping: Callable[[], bool]) -> None:
        entered.set()
        leave.wait(10)
        assert stopping()

    engine = scheduler(OneClaim(), diary, {"collect": slow, "accrue": nothing}, lambda: datetime.now(UTC))
    thread = threading.Thread(target=engine.run)
    thread.start()
    assert entered.wait(10)
    engine.stop()
    leave.set()
    thread.join(10)
    assert not thread.is_alive()
    assert diary.done == ["collect"], "the step finished, the next one did not begin"
