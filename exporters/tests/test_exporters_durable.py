"""Durable counters: what survives, what is refused, and that a sum over workers is one counter."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rating_exporters import DamagedStore, DurableStore, Guard, UsageMetrics
from rating_exporters.records import LIMIT, decoded, encoded

NAMES = ("consumer_id", "endpoint")


def store(directory: Path, **options: Any) -> DurableStore:
    options.setdefault("sync", False)
    return DurableStore(directory, options.pop("registry", None), **options)


def total(kept: DurableStore, *labels: str, name: str = "calls") -> float:
    for counter, totals in kept.totals():
        if counter.name == name:
            return counter.value(totals[labels][0])
    raise AssertionError(f"no counter {name}")


def test_a_total_goes_on_where_the_process_before_left_it(tmp_path: Path) -> None:
    for run in range(1, 4):
        kept = store(tmp_path, clock=lambda run=run: 1_000.0 * run)
        counter = kept.counter("calls_total", "Calls.", NAMES)
        counter.labels("acme", "/search").inc(10)
        counter.labels(endpoint="/search", consumer_id="acme").inc()
        (family,) = kept.collect()
        assert [sample.value for sample in family.samples] == [11 * run, 1_000.0]  # total, and when it was created
        kept.close()
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(RuntimeError, match="closed"):
        counter.labels("acme", "/search").inc()


def test_workers_side_by_side_are_one_counter_and_leave_no_litter(tmp_path: Path) -> None:
    workers = [store(tmp_path) for _ in range(3)]
    counters = [worker.counter("calls_total", "Calls.", NAMES) for worker in workers]
    for n, counter in enumerate(counters):
        counter.labels("acme", "/search").inc(10**n)
    assert [total(worker, "acme", "/search") for worker in workers] == [111, 111, 111]
    workers[1].close()
    replacement = store(tmp_path)
    replacement.counter("calls_total", "Calls.", NAMES).labels("acme", "/search").inc(1000)
    assert total(workers[0], "acme", "/search") == 1111
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"slot-000{n}.counts" for n in range(3)]


def test_ten_thousand_series_outgrow_the_file_and_are_all_there_after(tmp_path: Path) -> None:
    kept = store(tmp_path)
    counter = kept.counter("calls_total", "Calls.", NAMES)
    early = counter.labels("c0", "/search")
    for n in range(10_000):
        counter.labels(f"c{n}", "/search").inc(n)
    early.inc(7)  # its words are in the first, small mapping
    kept.close()
    again = store(tmp_path)
    again.counter("calls_total", "Calls.", NAMES)
    ((_, totals),) = again.totals()
    assert {values[0]: units for values, (units, _) in totals.items()} == {f"c{n}": n or 7 for n in range(10_000)}


def test_milliseconds_add_up_and_whole_counters_refuse_fractions(tmp_path: Path) -> None:
    kept = store(tmp_path)
    seconds = kept.counter("open_seconds_total", "Open.", scale=1000)
    for _ in range(3_000):
        seconds.inc(1 / 3)
    assert total(kept, name="open_seconds") == pytest.approx(1_000, abs=0.001)
    calls = kept.counter("calls_total", "Calls.")
    calls.inc(2.0)
    with pytest.raises(ValueError, match="whole units"):
        calls.inc(0.5)
    with pytest.raises(ValueError, match="only rises"):
        calls.inc(-1)
    with pytest.raises(ValueError, match="only rises"):
        seconds.inc(-0.1)
    with pytest.raises(OverflowError, match=str(LIMIT)):
        calls.inc(LIMIT)
    with pytest.raises(ValueError, match="no name"):
        kept.counter("calls per hour", "Calls.")
    with pytest.raises(ValueError, match="no name"):
        kept.counter("more_total", "Calls.", ('a"} 9',))
    with pytest.raises(ValueError, match="0 labels, not 1"):
        calls.labels("acme")
    with pytest.raises(ValueError, match="exists already"):
        kept.counter("calls_total", "Calls.")
    assert total(kept) == 2


def test_a_registry_refuses_a_name_that_something_else_exports(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Counter("calls_total", "Somebody else's.", registry=registry)
    kept = store(tmp_path, registry=registry)
    with pytest.raises(ValueError, match="calls"):
        kept.counter("calls_total", "Calls.")
    kept.counter("answers_total", "Answers.").inc()
    assert registry.get_sample_value("answers_total") == 1


def test_a_fork_counts_into_a_slot_of_its_own(tmp_path: Path) -> None:
    kept = store(tmp_path)
    child = kept.counter("calls_total", "Calls.", NAMES).labels("acme", "/search")
    child.inc(5)
    pid = os.fork()
    if pid == 0:  # the child: counts, and leaves without a goodbye
        child.inc(100)
        os._exit(0)
    os.waitpid(pid, 0)
    child.inc(1)
    assert total(kept, "acme", "/search") == 106
    assert len(list(tmp_path.iterdir())) == 2


@given(st.integers(0, LIMIT), st.integers(0, 63))
def test_a_flipped_bit_in_a_total_is_always_seen(units: int, bit: int) -> None:
    assert decoded(encoded(units)) == units
    with pytest.raises(ValueError, match="check"):
        decoded(encoded(units) ^ (1 << bit))


def filled(directory: Path) -> Path:
    kept = store(directory)
    counter = kept.counter("calls_total", "Calls.", NAMES)
    for n in range(5):
        counter.labels(f"customer-{n}", "/search").inc(1000 + n)
    kept.close()
    return directory / "slot-0000.counts"


def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = filled(tmp_path)
    good = path.read_bytes()
    last_record = good.index(b"customer-4") - 8 - len('["calls", ["consumer_id", "endpoint"], ["')
    rng = random.Random(7)
    for _ in range(200):
        position = rng.randrange(0, last_record)
        bad = bytearray(good)
        bad[position] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(DamagedStore, match="slot-0000"):
            store(tmp_path)
        assert path.read_bytes() == bad
    path.write_bytes(good)
    store(tmp_path).close()


def test_a_tail_torn_by_a_machine_crash_is_cut_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = filled(tmp_path)
    good = path.read_bytes()
    used = len(good.rstrip(b"\0"))
    for torn in range(used - 100, used - 8, 8):
        path.write_bytes(good[:torn].ljust(len(good), b"\0"))
        kept = store(tmp_path)
        counter = kept.counter("calls_total", "Calls.", NAMES)
        assert [total(kept, f"customer-{n}", "/search") for n in range(4)] == [1000, 1001, 1002, 1003]
        counter.labels("customer-4", "/search").inc(1)
        counter.labels("customer-5", "/search").inc(2)
        assert [total(kept, f"customer-{n}", "/search") for n in (4, 5)] == [1, 2]
        kept.close()
        store(tmp_path).close()  # and what was written after the cut passes the checks


values = st.text(st.characters(codec=None), max_size=40) | st.text(max_size=5).map(lambda text: text * 2_000)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.tuples(values, values), st.integers(1, 10**12), min_size=1, max_size=8))
def test_any_label_value_survives_the_file_and_the_page(tmp_path_factory: pytest.TempPathFactory, usage: Any) -> None:
    directory = tmp_path_factory.mktemp("any")
    expected: dict[tuple[str, ...], int] = {}
    for _ in range(2):
        registry = CollectorRegistry()
        kept = store(directory, registry=registry)
        counter = kept.counter("calls_total", "Calls.", NAMES)
        for labels, amount in usage.items():
            counter.labels(*labels).inc(amount)
            seen = tuple(label.encode("utf-8", "replace").decode() for label in labels)
            expected[seen] = expected.get(seen, 0) + amount
        page = generate_latest(registry).decode()
        kept.close()
    # splitlines() knows more line ends than the format does, and the client's parser would be led astray by them
    assert sum(line.startswith("calls_total{") for line in page.split("\n")) == len(expected)
    if not any(char in page for char in "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"):
        found = {
            tuple(sample.labels[name] for name in NAMES): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == "calls_total"
        }
        assert found == expected


def test_after_a_restart_known_consumers_keep_their_place_before_the_bound(tmp_path: Path) -> None:
    for arrivals in (["a", "b", "c"], ["c", "b", "a"]):
        kept = store(tmp_path)
        guard = Guard({"consumer_id": 2}, registry=None)
        metrics = UsageMetrics(None, guard=guard, counter=kept.counter, duration=False)
        for consumer in arrivals:
            metrics.record(consumer, "/s", "GET", 200)
        totals = {counter.name: found for counter, found in kept.totals()}["api_requests"]
        kept.close()
    assert {labels[0]: units for labels, (units, _) in totals.items()} == {"a": 2, "b": 2, "<overflow>": 2}


WRITER = """
import os, sys
from rating_exporters import DurableStore
counter = DurableStore(sys.argv[1], None).counter("calls_total", "Calls.", ("consumer_id",))
n = 0
while True:
    counter.labels(f"c{n % 50}-{sys.argv[2] if n % 97 == 0 else ''}").inc()
    os.write(1, b".")
    n += 1
"""


def test_killed_at_random_every_inc_that_returned_is_kept(tmp_path: Path) -> None:
    told = 0
    rng = random.Random(11)
    rounds = 12
    for life in range(rounds):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(life)], stdout=subprocess.PIPE, bufsize=0
        )
        assert writer.stdout is not None
        want = rng.randrange(1, 4_000)
        got = 0
        while got < want:
            got += len(writer.stdout.read(want - got) or b"")
        writer.send_signal(signal.SIGKILL)
        while rest := writer.stdout.read(1 << 16):  # what it told before it died
            got += len(rest)
        writer.wait()
        writer.stdout.close()
        told += got
    kept = store(tmp_path)
    kept.counter("calls_total", "Calls.", ("consumer_id",))
    ((_, totals),) = kept.totals()
    counted = sum(units for units, _ in totals.values())
    assert told <= counted <= told + rounds  # a life may end between its last inc and its word about it
    assert len(list(tmp_path.iterdir())) == 1


def test_eight_threads_lose_nothing_between_them(tmp_path: Path) -> None:
    kept = store(tmp_path)
    counter = kept.counter("calls_total", "Calls.", NAMES)
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for n in range(5_000):
            counter.labels(f"c{n % 100}", "/search").inc()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((_, totals),) = kept.totals()
    assert {units for units, _ in totals.values()} == {8 * 50}
    assert len(totals) == 100
