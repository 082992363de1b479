"""Exact collecting beside the naive query on one server: by PromQL and by remote read, in time, memory and size.

The naive query is `sum by (consumer_id, endpoint) (increase(m[1h]))` once an hour, its answer fetched and not read.
Ours reads, decides, keeps evidence and closes the window in a SQLite book. Both are asked in turn, several times, and
the least of each counts. Own time is this process's CPU while it collects; beside it stands plain fetching of the very
same answers and reading them, by orjson. The first data set is a day of 10,000 consumers and an hour in which every
process restarts: windows follow one another as in a backfill, each read while earlier ones are entered.

BENCH_SERIES=300000,1000000 measures memory at these sizes as well; making a million series takes some minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import requests

from rating.adapters.prometheus import PrometheusSource
from rating.adapters.store import open_book
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.jobs.collect import collect
from rating_demo import blocks
from rating_demo.parts import Prometheus

TITLE = "Metering: exact collect against the naive query, one real Prometheus"

START = datetime(2026, 10, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LEAD = 11 * 60
"""Seconds of samples before the first window."""
PEER = 3_459
"""Records a second of the peer's collecting and rating on two cores, measured once on such data; not run here."""
WAYS = ("promql", "remote")
METER = Meter("calls", "api_requests_total", "consumer_id", ("endpoint",), window=HOUR)
NAIVE = "sum by (consumer_id, endpoint) (increase(api_requests_total[1h]))"


def rows(quick: bool) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        consumers, hours = (1_000, 4) if quick else (10_000, 25)
        yield from _speed(folder / "consumers", consumers, 1, 60, hours)
        if not quick:
            yield from _speed(folder / "scrapes", 4_000, 5, 15, 3)
        yield from _book(folder / "book", 500 if quick else 5_000)
        sizes = (
            [2_000] if quick else [30_000, *(int(one) for one in os.environ.get("BENCH_SERIES", "").split(",") if one)]
        )
        for series in sizes:
            yield from _memory(folder / f"memory-{series}", series)


def _speed(folder: Path, consumers: int, endpoints: int, interval: int, hours: int) -> Iterator[tuple[str, str]]:
    """The last of the hours is one in which every process restarts."""
    samples = make(folder, consumers, endpoints, interval, hours, restart=hours - 1)
    meter = _meter(interval)
    with Prometheus(folder, blocks=folder / "blocks", retention="100y") as server:
        yield (
            f"{consumers * endpoints:,} series, {interval} s samples, hourly windows",
            f"{samples:,} samples; least of {_RUNS} runs",
        )
        calm, restart = (
            Period(START, START + (hours - 1) * HOUR),
            Period(START + (hours - 1) * HOUR, START + hours * HOUR),
        )
        _naive(server.url, calm)
        for what, period in ((f"{hours - 1} calm hours", calm), ("every process restarts", restart)):
            naive = min(_timed(lambda period=period: _naive(server.url, period)) for _ in range(_RUNS))
            yield f"  {what}: the naive query", f"{naive:.2f} s"
            for way in WAYS:
                runs = [_collected(server.url, way, meter, period, folder) for _ in range(_RUNS)]
                wall, own, records = min(run[0] for run in runs), min(run[1] for run in runs), runs[0][2]
                yield (
                    f"  {what}: exact by {way}",
                    f"{wall:.2f} s, {wall / naive:.2f}x naive; {records / wall:,.0f} records/s, "
                    f"{records / wall / PEER:.0f}x the peer's stated {PEER:,}",
                )
                if way == "promql":
                    fetched, read = _fetched(server.url, runs[0][3])
                    yield (
                        f"  {what}: own CPU by {way}",
                        f"{own:.2f} s, {own / (fetched + read):.2f}x fetch and orjson.loads of the same answers "
                        f"({fetched:.2f} s + {read:.2f} s), {own / read:.1f}x the orjson.loads alone",
                    )
                else:
                    yield f"  {what}: own CPU by {way}", f"{own:.2f} s"


_RUNS = 3


def _collected(
    url: str, way: str, meter: Meter, period: Period, folder: Path
) -> tuple[float, float, int, list[tuple[str, int]]]:
    """Wall seconds, own CPU seconds, records, and the questions asked. By a process that has run before: the window
    ahead of the period is collected first, so that names are known and the last readings at hand."""
    file = folder / f"{way}-{time.monotonic_ns()}.db"
    with open_book(f"sqlite:///{file}") as book:
        source = PrometheusSource([url], read=way)
        ahead = Period(period.start - HOUR, period.start)
        collect(book, source, [meter], since=ahead.start, now=ahead.end + HOUR, until=ahead.end, released=True)
        begun, cpu = time.perf_counter(), time.process_time()
        run = collect(
            book, source, [meter], since=period.start, now=period.end + HOUR, until=period.end, look_ahead=True
        )
        wall, own = time.perf_counter() - begun, time.process_time() - cpu
        assert not run.held
        assert not run.stopped
        heads = book.closings(meter.name, period)
        records = sum(1 for _ in book.usage(period))
    questions = [(query.text, query.at) for head in heads for query in head.evidence.queries]
    return wall, own, records, [one for one in questions if "remote read" not in one[0]]


def _naive(url: str, period: Period) -> None:
    for window in period.windows(HOUR):
        _ask(url, NAIVE, window.end.timestamp())


def _fetched(url: str, questions: list[tuple[str, int]]) -> tuple[float, float]:
    """Seconds to fetch these answers once more, and to read them."""
    bodies: list[bytes] = []
    fetched = min(_timed(lambda: bodies.extend(_ask(url, text, at / 1000) for text, at in questions)) for _ in range(2))
    bodies = bodies[: len(questions)]
    return fetched, min(_timed(lambda: [orjson.loads(body) for body in bodies]) for _ in range(_RUNS))


def _ask(url: str, query: str, at: float) -> bytes:
    answer = requests.post(f"{url}/api/v1/query", data={"query": query, "time": f"{at:.3f}"}, timeout=600)
    return answer.content


def _book(folder: Path, series: int) -> Iterator[tuple[str, str]]:
    """What a window costs in an empty book, in one that holds a year of windows, and far into a long period."""
    make(folder, series, 1, 60, 3, restart=None)
    meter = _meter(60)
    with Prometheus(folder, blocks=folder / "blocks", retention="100y") as server:
        window = Period(START + 2 * HOUR, START + 3 * HOUR)
        result = []
        for filled in (0, 24, 240):
            with open_book(f"sqlite:///{folder / f'filled-{filled}.db'}") as book:
                source = PrometheusSource([server.url], read="remote")
                first = Period(window.start - HOUR, window.start)
                collect(book, source, [meter], since=first.start, now=first.end + HOUR, until=first.end, released=True)
                (head,) = book.closings(meter.name, first)
                _fill(book, meter, first, filled)
                since = first.start - filled * HOUR
                begun = time.perf_counter()
                run = collect(book, source, [meter], since=since, now=window.end + HOUR, until=window.end)
                result.append(time.perf_counter() - begun)
                assert len(run.closed) == 1, run
                assert head.consumers
        yield (
            f"one window of {series:,} records, in a book of 1 / 25 / 241 windows before it",
            " / ".join(f"{seconds:.2f} s" for seconds in result),
        )


def _fill(book: object, meter: Meter, like: Period, windows: int) -> None:
    from dataclasses import replace

    from rating.core.keys import meter_digest
    from rating.core.windows import Closing, Completeness

    usage = tuple(row.usage for row in book.usage(like))  # type: ignore[attr-defined]
    for back in range(1, windows + 1):
        window = Period(like.start - back * HOUR, like.end - back * HOUR)
        closing = Closing(meter.name, window, Completeness.COMPLETE, usage)
        book.close(replace(closing), meter_digest=meter_digest(meter), at=like.end)  # type: ignore[attr-defined]


def _memory(folder: Path, series: int) -> Iterator[tuple[str, str]]:
    """The peak of a process that collects one window, and of one that collects it again and again."""
    make(folder, series, 1, 120, 1, restart=None)
    with Prometheus(folder, blocks=folder / "blocks", retention="100y") as server:
        naive = _timed(lambda: _ask(server.url, NAIVE, (START + HOUR).timestamp()))
        yield f"{series:,} series, 120 s samples, one hour: the naive query", f"{naive:.1f} s"
        for way in WAYS:
            seconds, peak = _child(server.url, way, 1)
            yield f"  exact by {way}", f"{seconds:.1f} s, {peak / 2**20:,.0f} MiB at most"
        again = _child(server.url, "remote", 4)[1]
        yield "  by remote, four windows", f"{again / 2**20:,.0f} MiB at most"


def _child(url: str, way: str, windows: int) -> tuple[float, int]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.metering", url, way, str(windows)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak)


def _alone(url: str, way: str, windows: int) -> None:
    """In a process of its own: collect the hour so many times and print seconds and the peak of memory."""
    meter = _meter(120)
    source = PrometheusSource([url], read=way, timeout=600)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(windows):
            with open_book(f"sqlite:///{folder}/{number}.db") as book:
                run = collect(book, source, [meter], since=START, now=START + 2 * HOUR, until=START + HOUR)
                assert len(run.closed) == 1, run
    # Not getrusage: it remembers what the process was before it became this one.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(time.perf_counter() - begun, int(peak.split()[1]) * 1024)


def _meter(interval: int) -> Meter:
    from dataclasses import replace

    return replace(METER, scrape_interval=timedelta(seconds=interval))


def make(folder: Path, consumers: int, endpoints: int, interval: int, hours: int, restart: int | None) -> int:
    """Blocks of counters of ten processes over so many hours, which all restart in the middle of hour `restart`.
    Returns how many samples they hold."""
    folder.mkdir(parents=True)
    first = int(START.timestamp())
    times = np.arange(first - LEAD, first + hours * 3600 + 300, interval)
    stamps = [f" {time}\n" for time in times.tolist()]
    cut = len(times) if restart is None else int(np.searchsorted(times, first + restart * 3600 + 1800))
    rng = np.random.default_rng(1)
    text = folder / "samples.txt"
    with text.open("w", buffering=1 << 22) as file:
        file.write("# TYPE api_requests counter\n")
        for consumer in range(consumers):
            for endpoint in range(endpoints):
                steps = rng.poisson(1 + consumer % 20, len(times))
                values = np.concatenate((np.cumsum(steps[:cut]), np.cumsum(steps[cut:]))).tolist()
                head = (
                    f'api_requests_total{{consumer_id="c{consumer:06d}",endpoint="/v1/e{endpoint}",'
                    f'instance="api-{consumer % 10}:8000",job="api",method="GET",status="200"}} '
                )
                file.write("".join([f"{head}{value}{stamp}" for value, stamp in zip(values, stamps, strict=True)]))
        for metric in ("process_start_time_seconds", "up"):
            file.write(f"# TYPE {metric} gauge\n")
            for number in range(10):
                labels = f'{{instance="api-{number}:8000",job="api"}}'
                born = [first - 86_400] * cut + [int(one) for one in times[cut : cut + 1]] * (len(times) - cut)
                values = born if metric != "up" else [1] * len(times)
                file.write(
                    "".join(f"{metric}{labels} {value}{stamp}" for value, stamp in zip(values, stamps, strict=True))
                )
        file.write("# EOF\n")
    blocks.from_openmetrics(text, folder / "blocks")
    text.unlink()
    return consumers * endpoints * len(times)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    _alone(sys.argv[1], sys.argv[2], int(sys.argv[3]))
