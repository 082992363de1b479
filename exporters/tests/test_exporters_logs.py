"""Access logs: each line once, through rotation, compression, truncation and crashes."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rating_exporters.loglines import COMBINED, Entry, entry, json_lines, nginx, routes
from rating_exporters.logs import AccessLog
from rating_exporters.logstate import LogState

LINE = (
    b'203.0.113.7 - acme [21/Nov/2026:07:00:00 +0000] "GET /things/7?full=1 HTTP/1.1" 200 512 "-" "curl/8 \\x22q\\x22"'
)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (LINE, Entry("acme", "GET", "/things/7", 200, 512)),
        (LINE.replace(b"acme", b"-"), Entry(None, "GET", "/things/7", 200, 512)),
        (LINE.replace(b"acme", b"a\\x22\\xC3\\xA9 b"), Entry('a"é b', "GET", "/things/7", 200, 512)),
        (LINE.replace(b" 512 ", b" - "), Entry("acme", "GET", "/things/7", 200, 0)),
        (LINE.replace(b"GET /things/7?full=1 HTTP/1.1", b"\\x16\\x03\\x01"), None),
        (LINE.replace(b" 200 ", b" 2x0 "), None),
        (LINE[:60], None),
        (b"", None),
    ],
)
def test_a_combined_line_is_read_as_nginx_wrote_it(line: bytes, found: Entry | None) -> None:
    assert nginx()(line) == found


def test_other_formats_and_json() -> None:
    own = nginx("$http_x_consumer|$request_method ${uri}|$status|$bytes_sent|$request_time", "http_x_consumer")
    assert own(b"acme|POST /v1/chat|201|77|0.010") == Entry("acme", "POST", "/v1/chat", 201, 77)
    fields = {"consumer": "acme", "request_method": "GET", "uri": "/a", "status": 404, "bytes_sent": 12, "other": [1]}
    assert json_lines("consumer")(json.dumps(fields).encode()) == Entry("acme", "GET", "/a", 404, 12)
    for bad in (b"[1]", b"{", b"null", b"{}", b"[" * 5_000, b'{"status": "\xff"}'):
        assert json_lines()(bad) is None
    with pytest.raises(ValueError, match="nothing stands between"):
        nginx("$remote_user$status")
    with pytest.raises(ValueError, match="no \\$api_key"):
        nginx(COMBINED, "api_key")
    with pytest.raises(ValueError, match="counting needs"):
        nginx("$remote_user $status")


@given(st.binary(max_size=300))
def test_no_line_can_upset_the_readers(line: bytes) -> None:
    for rule in (nginx(), json_lines()):
        found = rule(line)
        assert found is None or found.path.startswith("/")


def nginx_escaped(value: str) -> bytes:
    r"""As nginx writes a variable: quotes, backslashes, control bytes and non-ASCII as \xHH."""
    out = b""
    for byte in value.encode():
        out += b"\\x%02X" % byte if byte in b'"\\' or byte < 32 or byte > 126 else bytes([byte])
    return out


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda name: name != "-")


@given(names, st.sampled_from([200, 404]), st.integers(0, 10**12))
def test_any_consumer_name_comes_back_from_a_quoted_field(name: str, status: int, sent: int) -> None:
    rule = nginx('"$http_x_consumer" "$request" $status $body_bytes_sent', "http_x_consumer")
    line = b'"' + nginx_escaped(name) + b'" "GET /a HTTP/1.1" %d %d' % (status, sent)
    assert rule(line) == Entry(name, "GET", "/a", status, sent)


def test_a_raw_path_becomes_its_template_or_unmatched() -> None:
    route = routes(["/things/{id}", "/things/{id}/parts/{part}", "/files/{rest:path}", "/a.b"])
    assert route("/things/7") == "/things/{id}"
    assert route("/things/7/parts/9") == "/things/{id}/parts/{part}"
    assert route("/files/a/b/c") == "/files/{rest:path}"
    assert (route("/axb"), route("/things/"), route("/nope")) == ("<unmatched>",) * 3
    assert entry({"request": "GET / HTTP/1.1", "status": "99999"}, "x") is None


class World:
    """A log that somebody writes, rotates and compresses, and a counter of it that may crash."""

    def __init__(self, folder: Path, *, copytruncate: bool = False) -> None:
        self.log = folder / "access.log"
        self.log.touch()
        self.state = folder / "state.sqlite"
        self.copytruncate = copytruncate
        self.written: Counter[str] = Counter()
        self.lines = 0
        self.counter: AccessLog | None = None

    def write(self, count: int, *, torn: bool = False) -> None:
        with self.log.open("ab") as file:
            for _ in range(count):
                self.lines += 1
                consumer = f"c{self.lines % 3}"
                file.write(b'h - %s [t%d] "GET /a HTTP/1.1" 200 10 "-" "-"\n' % (consumer.encode(), self.lines))
                self.written[consumer] += 1
            if torn:
                file.write(b"h - c1 [half a li")

    def finish_line(self) -> None:
        with self.log.open("ab") as file:
            file.write(b'ne] "GET /a HTTP/1.1" 200 10 "-" "-"\n')
        self.written["c1"] += 1

    def rotate(self) -> None:
        """logrotate's renaming: .3 -> .4 ..., log -> .1, a new log."""
        for path in sorted(self.log.parent.glob("access.log.*"), key=lambda p: -int(p.name.split(".")[2])):
            number, *rest = path.name.split(".")[2:]
            path.rename(path.with_name(".".join(["access.log", str(int(number) + 1), *rest])))
        self.log.rename(self.log.with_name("access.log.1"))
        self.log.touch()

    def compress(self, *, leave_original: bool = False) -> None:
        """gzip for the oldest plain rotated file, as delaycompress does."""
        plain = [path for path in self.log.parent.glob("access.log.*") if re.fullmatch(r"access\.log\.\d+", path.name)]
        if not plain:
            return
        oldest = max(plain, key=lambda path: int(path.name.split(".")[2]))
        packed = oldest.with_name(oldest.name + ".gz")
        packed.write_bytes(gzip.compress(oldest.read_bytes()))
        if not leave_original:
            oldest.unlink()

    def poll(self) -> None:
        if self.counter is None:
            self.counter = AccessLog(
                self.log,
                LogState(self.state),
                nginx(),
                routes(["/a"]),
                copytruncate=self.copytruncate,
                clock=lambda: 5.0,
            )
        self.counter.poll()

    def crash(self) -> None:
        """The process goes; what it committed stays."""
        if self.counter is not None:
            self.counter.state.close()
            self.counter = None

    def counted(self) -> Counter[str]:
        self.poll()
        assert self.counter is not None
        found: Counter[str] = Counter()
        for (metric, labels), (total, _) in self.counter.state.totals().items():
            if metric == "api_requests_total":
                found[labels[0]] += total
        return found


@pytest.mark.parametrize("seed", range(12))
def test_twenty_rotations_with_crashes_anywhere_count_each_line_once(tmp_path: Path, seed: int) -> None:
    world, rng = World(tmp_path), random.Random(seed)
    rotations = 0
    while rotations < 20:
        step = rng.choice(["write", "write", "rotate", "compress", "poll", "poll", "crash", "both"])
        if step == "write":
            world.write(rng.randrange(0, 40))
        elif step == "rotate":
            world.rotate()
            rotations += 1
        elif step == "compress":
            world.compress()
        elif step == "both":  # gzip is done, the original not yet removed, and somebody looks
            world.compress(leave_original=True)
            world.poll()
            world.compress()
        elif step == "poll":
            world.poll()
        else:
            world.crash()
    assert world.counted() == world.written
    world.crash()
    assert world.counted() == world.written
    world.crash()


def test_a_line_half_written_waits_for_its_other_half(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(2, torn=True)
    assert world.counted().total() == 2
    world.rotate()
    assert world.counted().total() == 2
    with (tmp_path / "access.log.1").open("ab") as file:  # nginx still has the old file open
        file.write(b'ne] "GET /a HTTP/1.1" 200 10 "-" "-"\n')
    assert world.counted().total() == 3
    world.crash()


def test_twenty_truncations_by_copy_count_each_line_once(tmp_path: Path) -> None:
    world, rng = World(tmp_path, copytruncate=True), random.Random(3)
    for _ in range(20):
        world.write(rng.randrange(1, 40))
        if rng.random() < 0.5:
            world.poll()
        world.write(rng.randrange(1, 40))
        for path in sorted(tmp_path.glob("access.log.*"), key=lambda p: -int(p.name.split(".")[2])):
            path.rename(path.with_name(f"access.log.{int(path.name.split('.')[2]) + 1}"))
        shutil.copyfile(world.log, tmp_path / "access.log.1")
        if rng.random() < 0.5:
            world.poll()  # between the copy and the truncation
        os.truncate(world.log, 0)
        if rng.random() < 0.3:
            world.crash()
    assert world.counted() == world.written
    world.crash()


def test_a_truncation_without_a_copy_is_seen_and_counted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(5)
    world.poll()
    os.truncate(world.log, 0)
    world.write(3)
    assert world.counted().total() == 8
    registry = CollectorRegistry()
    assert world.counter is not None
    registry.register(world.counter)
    assert registry.get_sample_value("rating_exporters_log_truncations_total") == 1
    assert registry.get_sample_value("rating_exporters_log_lines_total", {"outcome": "counted"}) == 8
    assert registry.get_sample_value("rating_exporters_log_lines_created", {"outcome": "counted"}) == 5.0
    world.crash()


def test_a_compressed_file_still_being_written_waits_and_malformed_lines_are_counted(tmp_path: Path) -> None:
    world = World(tmp_path)
    text = b'h - acme [t] "GET /a HTTP/1.1" 200 10 "-" "-"\nnonsense\n' * 500
    packed = gzip.compress(text)
    path = tmp_path / "access.log-20261120.gz"
    path.write_bytes(packed[: len(packed) // 2])
    assert world.counted().total() == 0
    path.write_bytes(packed)
    assert world.counted() == {"acme": 500}
    assert world.counted() == {"acme": 500}
    assert world.counter is not None
    assert world.counter.state.totals()["rating_exporters_log_lines_total", ("malformed",)] == (500, 5.0)
    world.crash()


def test_one_state_has_one_writer(tmp_path: Path) -> None:
    first = LogState(tmp_path / "state.sqlite")
    with pytest.raises(BlockingIOError, match="another process"):
        LogState(tmp_path / "state.sqlite")
    first.close()
    LogState(tmp_path / "state.sqlite").close()


@pytest.mark.slow
def test_the_process_killed_under_write_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    world, rng = World(tmp_path), random.Random(5)
    command = [sys.executable, "-m", "rating_exporters", "logs", "--log", str(world.log), "--state", str(world.state)]
    command += ["--route", "/a", "--interval", "0.01", "--listen", "127.0.0.1:0"]
    page = ""
    for life in range(8):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        for _ in range(rng.randrange(5, 40)):
            world.write(rng.randrange(1, 400))
            if rng.random() < 0.1:
                world.rotate()
            if rng.random() < 0.1:
                world.compress()
            time.sleep(0.003)
        if life < 7:
            process.send_signal(signal.SIGKILL)
        else:
            deadline = time.monotonic() + 20
            while _total(page) != world.lines and time.monotonic() < deadline:
                page = urllib.request.urlopen(address, timeout=5).read().decode()
            process.send_signal(signal.SIGTERM)
        process.wait()
        process.stdout.close()
    assert _total(page) == world.lines
    assert world.counted() == world.written
    world.crash()


def _total(page: str) -> int:
    return sum(int(float(value)) for value in re.findall(r"^api_requests_total\{.*\} (\S+)$", page, re.MULTILINE))
