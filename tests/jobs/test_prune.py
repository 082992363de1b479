"""Windows that become days: whatever anybody asks of whole days and of papers has the answer it had before."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rating.adapters.archive import FolderArchive
from rating.adapters.memory_source import MemorySource
from rating.adapters.store import StoreBook, open_book
from rating.core.archived import ArchivedWindow, archived
from rating.core.periods import Period, milliseconds, seconds
from rating.errors import EdgeDisagrees
from rating.jobs.audit import audit
from rating.jobs.contracts import gather
from rating.jobs.correct import correct
from rating.jobs.explain import explain
from rating.jobs.hours import Hours
from rating.jobs.prune import Outcome, prune
from rating.jobs.verify import verify
from tests.story import crash_engine

from .pruned import DAYS, HOUR, OLD, START, WHOLE, Late, at, billed, contracts, story, told

METERS = ("calls", "bytes", "peak")


def rolled_up(book: StoreBook, folder: Path, before: date = OLD, **changed: Any) -> Outcome:
    now = at(DAYS + 2)
    return prune(book, contracts(book, now), before, FolderArchive(folder), now=now, **changed)


def windows(book: StoreBook, archive: FolderArchive | None = None) -> list[object]:
    return [list(Hours(book, archive).usage(WHOLE, meter, who)) for meter in METERS for who in (None, "c1")]


quantities = st.dictionaries(
    st.tuples(st.sampled_from(METERS), st.integers(0, DAYS * 24 - 1), st.sampled_from(["c0", "c1", "c2", "c9"])),
    st.integers(0, 2**40),
    max_size=12,
)
late = st.lists(
    st.builds(
        Late,
        st.sampled_from(METERS),
        st.integers(0, DAYS * 24 - 1),
        st.sampled_from(["c0", "c1", "c2", "c9"]),
        st.integers(-20, 200).filter(bool),
        st.sampled_from(["/a", "/c"]),
    ),
    max_size=4,
)
books = {
    "known": quantities,
    "degraded": st.frozensets(st.integers(0, DAYS * 24 - 1), max_size=3),
    "before": late,
    "after": late,
    "rested": st.sampled_from([OLD, date(2026, 3, 28), date(2026, 3, 29)]),
}


def the_same_before_and_after(new: Callable[[], str], folder: Path, rested: date, **values: Any) -> None:
    now = at(DAYS + 1)
    with story(new(), **values) as book, story(new(), **values) as untouched:
        hours, said = windows(book), told(book, now)
        assert said["audit"] == []
        outcome = rolled_up(book, folder, rested)
        assert {one.meter for one in outcome.pruned} == {"calls", "bytes"}
        assert rolled_up(book, folder, rested).pruned == ()
        assert told(book, now) == said
        archive = FolderArchive(folder)
        assert windows(book, archive) == hours
        assert list(audit(book, archive)) == []
        # What comes later comes to the same: the next day's invoices, with what is late settled on them.
        for one in (book, untouched):
            billed(one, now)
        after, before = ([(one.total, len(one.draft.lines)) for one in each.invoices()] for each in (book, untouched))
        assert after == before
        # Hours of the last evening that had waited for an invoice in Berlin's time may go now.
        rolled_up(book, folder, rested)
        assert list(audit(book)) == list(audit(book, FolderArchive(folder))) == []


@given(**books)
@settings(max_examples=8, phases=[Phase.generate], derandomize=True)
def test_random_books_say_the_same_before_and_after_on_sqlite(
    tmp_path_factory: pytest.TempPathFactory, rested: date, **values: Any
) -> None:
    the_same_before_and_after(lambda: "sqlite://", tmp_path_factory.mktemp("archive"), rested, **values)


@given(**books)
@settings(max_examples=2, phases=[Phase.generate], derandomize=True)
def test_random_books_say_the_same_before_and_after_on_postgresql(
    postgres: Any, tmp_path_factory: pytest.TempPathFactory, rested: date, **values: Any
) -> None:
    names = (postgres.database(f"pruned_{os.getpid()}_{next(_numbers)}") for _ in count())
    the_same_before_and_after(lambda: next(names), tmp_path_factory.mktemp("archive"), rested, **values)


_numbers = count()


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/book.db"
    late = [Late("calls", 5, "c0", 30), Late("calls", 30, "c1", 7)]
    story(url, {}, frozenset(), [], late).close_connections()
    return url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def pruned(url: str, folder: Path) -> Iterator[StoreBook]:
    """The book after its old windows became days."""
    with open_book(url) as book:
        rolled_up(book, folder)
        yield book


def test_what_goes_and_what_stays(url: str, folder: Path) -> None:
    with open_book(url) as book:
        before = book.counts()
        looked = prune(book, contracts(book, at(5)), OLD, None, now=at(5))
        assert (book.counts(), folder.exists()) == (before, False)
        outcome = rolled_up(book, folder)
        after = book.counts()
        assert [replace(one, digest="") for one in outcome.pruned] == list(looked.pruned)
        # Midnight in Berlin is 23:00 in winter and 22:00 from the 29th on. The hour between two midnights is a day of
        # one window, which stays; the last two hours are of a day that has no invoice in Berlin yet.
        days = [(day.first - START, day.windows) for day in book.rollups("calls")[0].rollup.days]
        assert days == [(0 * HOUR, 23), (24 * HOUR, 23), (48 * HOUR, 22)]
        assert [(one.meter, one.windows, one.rows, one.day_rows) for one in outcome.pruned] == [
            ("bytes", 68, 303, 15),
            ("calls", 68, 608, 30),
        ]
        assert outcome.stays == (
            ("peak", "a price asks for the time of day, so its windows stay"),
            ("bytes", "windows from 2026-03-29 22:00 on are not invoiced yet"),
            ("calls", "windows from 2026-03-29 22:00 on are not invoiced yet"),
        )
        assert (after["usage"], after["rolled_usage"]) == (before["usage"] - 303 - 608, 45)
        assert rolled_up(book, folder).pruned == ()


def test_what_may_still_be_corrected_stays(url: str, folder: Path) -> None:
    with open_book(url) as book:
        billed(book, at(4))
        # An hour and a half after midnight three windows before the last hour may be read again.
        (said,) = {
            why
            for name, why in prune(
                book, contracts(book, at(4)), date(2026, 4, 1), FolderArchive(folder), now=at(4), meter="calls"
            ).stays
        }
    assert said == "windows from 2026-03-30 21:25 on may still be corrected"


def without_last(windows: list[ArchivedWindow]) -> list[ArchivedWindow]:
    return windows[:-1]


def with_one_changed(windows: list[ArchivedWindow]) -> list[ArchivedWindow]:
    """One row counts nothing any more."""
    first = next(one for one in windows if len(one.usage) > 1)
    rows = [row._replace(quantity=0) if place == 0 else row for place, row in enumerate(first.usage)]
    return [archived(one.meter, one.window, rows) if one is first else one for one in windows]


@pytest.mark.parametrize("spoilt", [without_last, with_one_changed])
def test_nothing_is_removed_unless_the_archive_reads_as_it_was_written(
    url: str, folder: Path, spoilt: Callable[[list[ArchivedWindow]], list[ArchivedWindow]]
) -> None:
    class Forgetful(FolderArchive):
        def read(self, name: str, digest: str) -> Iterator[Any]:
            return iter(spoilt([*super().read(name, digest)]))

    with open_book(url) as book:
        before = book.counts()
        with pytest.raises(EdgeDisagrees, match=r"does not read as the windows .* nothing was removed"):
            prune(book, contracts(book, at(5)), OLD, Forgetful(folder), now=at(5))
        assert (book.counts(), book.rollups()) == (before, ())
        # The files that were written are written again, and are the same.
        assert len(rolled_up(book, folder).pruned) == 2


def test_a_file_of_that_name_with_other_windows_is_left_alone(url: str, folder: Path) -> None:
    folder.mkdir()
    with gzip.open(folder / "bytes.20260327T0000Z.20260329T2200Z.jsonl.gz", "wt") as other:
        other.write("other\n")
    with open_book(url) as book:
        before = book.counts()
        with pytest.raises(EdgeDisagrees, match="is there with other windows; choose another --archive"):
            rolled_up(book, folder)
        assert (book.counts(), [file.name for file in folder.iterdir()]) == (
            before,
            ["bytes.20260327T0000Z.20260329T2200Z.jsonl.gz"],
        )


def test_anybody_can_check_a_window_of_the_archive(pruned: StoreBook, folder: Path) -> None:
    """With nothing but a JSON reader and SHA-256: the text of the usage has the digest that the book keeps."""
    rollup = pruned.rollups("calls")[0].rollup
    file = folder / rollup.archive
    assert hashlib.sha256(file.read_bytes()).hexdigest() == rollup.archive_digest
    digests = {seconds(one.window.start): one.usage_digest for one in pruned.closing_records("calls", WHOLE)}
    with gzip.open(file, "rt") as lines:
        found = {json.loads(line)["start"]: line.partition('"usage":')[2].removesuffix("}\n") for line in lines}
    assert len(found) == 68
    for start, text in found.items():
        assert hashlib.sha256(text.encode()).hexdigest() == digests[start]


def test_a_spoilt_archive_is_found(pruned: StoreBook, folder: Path) -> None:
    calls, other = (pruned.rollups(name)[0].rollup.archive for name in ("calls", "bytes"))
    invoice = pruned.invoices()[0]
    assert list(audit(pruned, FolderArchive(folder))) == []
    whole = (folder / calls).read_bytes()
    (folder / calls).write_bytes(whole[:-1] + b"x")
    (folder / other).unlink()
    found = [str(one) for one in audit(pruned, FolderArchive(folder))]
    assert len(found) == 2
    assert "cannot be read: No such file or directory; give --archive with the folder that holds it" in found[0]
    assert "but the book rolled its windows up from a file with" in found[1]
    with pytest.raises(EdgeDisagrees, match="find the copy that was not changed"):
        explain(pruned, invoice, archive=FolderArchive(folder))
    # Without it the days go on proving what they can.
    assert all(one.agrees for one in explain(pruned, invoice))


def test_days_prove_the_quantities_of_invoices_and_windows_their_digests(pruned: StoreBook, folder: Path) -> None:
    invoice = next(one for one in pruned.invoices() if one.draft.consumer == "c1")
    line = next(line for line in invoice.draft.lines if line.meter == "calls")
    more = replace(line, quantity=line.quantity + 1)
    other = replace(line, usage_digest="0" * 64)
    for changed, by_day, by_window in ((line, True, True), (more, False, True), (other, True, False)):
        paper = replace(invoice, draft=replace(invoice.draft, lines=(changed,)))
        assert [explain(pruned, paper, archive=archive)[0].agrees for archive in (None, FolderArchive(folder))] == [
            by_day,
            by_window,
        ]


def test_a_correction_passes_by_what_is_rolled_up(tmp_path: Path, folder: Path) -> None:
    url = f"sqlite:///{tmp_path}/engine.db"
    crash_engine.run(url, range(crash_engine.TICKS))
    catalogue, source = crash_engine.catalogue(), crash_engine.source()
    now = crash_engine.clock(crash_engine.TICKS + 4)
    meters = list(catalogue.meters.values())
    span = Period(crash_engine.START, crash_engine.START + timedelta(days=3))
    with open_book(url) as book:
        undisturbed = verify(book, source, meters, span)
        outcome = prune(
            book, gather(book, catalogue, now=now), date(2026, 8, 3), FolderArchive(folder), now=now, author="ann"
        )
        assert {(one.meter, one.windows) for one in outcome.pruned} == {("calls", 48), ("tokens", 16)}
        corrected = correct(book, source, meters, span, now=now)
        assert (corrected.equal, corrected.adjustments) == (24 + 8, ())
        assert {why for _, _, why in corrected.unjudged} == {
            "it is rolled up to its day, so it is not corrected any more; `rating book rollups` names its archive"
        }
        for archive in (None, FolderArchive(folder)):
            verified = verify(book, source, meters, span, archive=archive)
            assert (verified.equal, verified.differences, verified.unreadable) == (72 + 24, (), ())
            assert [one.rollup.author for one in verified.rollups] == ["ann", "ann"]
        assert undisturbed.rollups == ()


def test_verifying_finds_the_day_or_the_hour_that_measures_something_else(tmp_path: Path, folder: Path) -> None:
    """Five calls of the first day that nobody saw when it was closed: without the archive only the day is known."""
    url = f"sqlite:///{tmp_path}/engine.db"
    crash_engine.run(url, range(crash_engine.TICKS))
    catalogue = crash_engine.catalogue()
    now = crash_engine.clock(crash_engine.TICKS + 4)
    hour = Period(crash_engine.START + 5 * HOUR, crash_engine.START + 6 * HOUR)

    restart = milliseconds(crash_engine.START + 31 * HOUR)
    late = range(milliseconds(hour.start + HOUR / 2), restart)
    source = MemorySource(
        (labels, [(time, value + 5 * (time in late)) for time, value in samples])
        if labels["__name__"] == "api_requests_total" and labels["consumer_id"] == "c0"
        else (labels, samples)
        for labels, samples in crash_engine.source()._series
    )
    with open_book(url) as book:
        prune(book, gather(book, catalogue, now=now), date(2026, 8, 3), FolderArchive(folder), now=now)
        day = Period(crash_engine.START, crash_engine.START + timedelta(days=1))
        meter = (catalogue.meters["calls"],)
        for archive, span, equal in ((None, day, 0), (FolderArchive(folder), hour, 23)):
            found = verify(book, source, meter, day, archive=archive)
            assert [(one.window, one.measured - one.booked) for one in found.differences] == [(span, 5)]
            assert found.equal == equal
