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
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rating_exporters.loglines import COMBINED, Entry, LineRule, entry, json_lines, nginx, routes
from rating_exporters.logpresets import NAMES, pattern, rule_for
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


KONG = {"request": {"method": "GET", "uri": "/things/7?x=1"}, "response": {"status": 200, "size": "512"},
        "consumer": {"custom_id": "c-1", "username": "acme"}, "route": {"name": "things"}}  # fmt: skip
ISTIO = {"method": "GET", "path": "/things/7", "response_code": 200, "bytes_sent": 512, "x_consumer_id": "acme"}
AWS = {"apiKeyId": "acme", "httpMethod": "GET", "resourcePath": "/things/{id}", "path": "/prod/things/7",
       "status": "200", "responseLength": "512"}  # fmt: skip
AWS_HTTP = {"apiKeyId": "acme", "routeKey": "GET /things/{id}", "status": "200", "responseLength": "-"}
APIGEE = {"developer": {"app": {"name": "acme"}}, "request.verb": "GET", "proxy.pathsuffix": "/things/7",
          "response.status.code": "200", "response_size": 512}  # fmt: skip
ENVOY = (
    '[2026-11-21T07:00:00.000Z] "GET /things/7?x=1 HTTP/1.1" 200 - 0 512 3 2 "10.0.0.1" "curl/8" "7f3e" "api" '
    '"10.0.0.2:80" "acme"'
)
WHERE = r"(?P<consumer>\S+) (?P<method>[A-Z]+) (?P<path>\S+) (?P<status>\d{3}) (?P<sent>\d+)"


@pytest.mark.parametrize(
    ("rule", "line", "found"),
    [
        (rule_for("kong"), KONG, Entry("acme", "GET", "/things/7", 200, 512)),
        (rule_for("kong", "consumer.custom_id"), KONG, Entry("c-1", "GET", "/things/7", 200, 512)),
        (rule_for("kong"), {**KONG, "consumer": None}, Entry(None, "GET", "/things/7", 200, 512)),
        (rule_for("kong"), {**KONG, "response": {"status": True}}, None),
        (rule_for("envoy-json"), ISTIO, Entry("acme", "GET", "/things/7", 200, 512)),
        (rule_for("envoy"), ENVOY, Entry("acme", "GET", "/things/7", 200, 512)),
        (rule_for("envoy"), ENVOY.replace('"acme"', '"-"'), Entry(None, "GET", "/things/7", 200, 512)),
        (rule_for("aws-apigateway"), AWS, Entry("acme", "GET", "/prod/things/7", 200, 512, "/things/{id}")),
        (rule_for("aws-apigateway"), AWS_HTTP, Entry("acme", "GET", "/things/{id}", 200, 0, "/things/{id}")),
        (rule_for("apigee"), APIGEE, Entry("acme", "GET", "/things/7", 200, 512)),
        (pattern(WHERE), "acme GET /things/7?x 200 512", Entry("acme", "GET", "/things/7", 200, 512)),
        (pattern(WHERE), "acme GET /things/7 200 512 and more", None),
    ],
)
def test_gateways_are_read_as_they_write(rule: LineRule, line: Any, found: Entry | None) -> None:
    assert rule(line.encode() if isinstance(line, str) else json.dumps(line).encode()) == found


def test_a_pattern_that_lacks_something_is_refused() -> None:
    for wrong, match in (
        (r"(?P<path>.*)", "lacks method, status"),
        ("(", "pattern"),
        (WHERE + "(?P<who>)", "called who"),
    ):
        with pytest.raises(ValueError, match=match):
            pattern(wrong)


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
anything = st.recursive(leaves, lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5)
keys = st.sampled_from(["request", "response", "consumer", "method", "path", "status", "apiKeyId", "httpMethod",
                        "resourcePath", "routeKey", "response_code", "bytes_sent"])  # fmt: skip
objects = st.dictionaries(keys, anything).map(lambda fields: json.dumps(fields).encode())


@given(st.sampled_from(NAMES), st.binary(max_size=200) | objects)
def test_no_line_can_upset_a_gateway_s_reader(name: str, line: bytes) -> None:
    found = rule_for(name)(line)
    assert found is None or (found.path.startswith("/") and found.sent >= 0 and found.status + 100 >= 100)


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


WRITER = """
import gzip, os, random, shutil, sys, time
from pathlib import Path
log, rng, written = Path(sys.argv[1]), random.Random(sys.argv[3]), 0
file = log.open("ab", buffering=0)
for turn in range(20):
    for _ in range(rng.randrange(20, 60)):
        text = b""
        for _ in range(rng.randrange(1, 60)):
            written += 1
            text += b'h - c%d [t%d] "GET /a HTTP/1.1" 200 10 "-" "-"\\n' % (written % 3, written)
        cut = rng.randrange(len(text))  # nginx flushes its buffer wherever it is full
        file.write(text[:cut])
        file.write(text[cut:])
        time.sleep(0.002)
    older = sorted(log.parent.glob(log.name + ".*"), key=lambda path: -int(path.name.split(".")[2]))
    for path in older:
        number, *rest = path.name.split(".")[2:]
        path.rename(path.with_name(".".join([log.name, str(int(number) + 1), *rest])))
    first = log.with_name(log.name + ".1")
    if sys.argv[2] == "truncate":
        shutil.copyfile(log, first)
        time.sleep(rng.choice([0, 0.02]))
        os.truncate(log, 0)
    else:
        log.rename(first)
        file = log.open("ab", buffering=0)
    second = log.with_name(log.name + ".3")
    if second.exists():
        packed = log.with_name("arriving.gz")
        packed.write_bytes(gzip.compress(second.read_bytes()))
        packed.rename(second.with_name(second.name + ".gz"))
        second.unlink()
print(written)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["rename", "truncate"])
def test_twenty_rotations_under_write_load_with_kills_are_exact(tmp_path: Path, how: str) -> None:
    """Another process writes and rotates all the while; ours is killed and started again."""
    log, state, rng = tmp_path / "access.log", tmp_path / "state.sqlite", random.Random(9)
    log.touch()
    command = [sys.executable, "-m", "rating_exporters", "logs", "--log", str(log), "--state", str(state)]
    command += ["--route", "/a", "--interval", "0.01", "--listen", "127.0.0.1:0"]
    command += ["--copytruncate"] if how == "truncate" else []
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(log), how, "4"], stdout=subprocess.PIPE, text=True)
    kills = 0
    while True:
        counter = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert counter.stdout is not None
        address = counter.stdout.readline().split()[-1]
        if writer.poll() is not None:
            break
        time.sleep(rng.uniform(0.05, 0.4))
        counter.kill()
        counter.wait()
        counter.stdout.close()
        kills += 1
    assert writer.stdout is not None
    written = int(writer.stdout.read())
    writer.stdout.close()
    page, deadline = "", time.monotonic() + 20
    while _total(page) != written and time.monotonic() < deadline:
        page = urllib.request.urlopen(address, timeout=5).read().decode()
    counter.terminate()
    counter.wait()
    counter.stdout.close()
    assert kills > 0
    assert _total(page) == written
    assert 'outcome="malformed"' not in page
    for consumer in range(3):
        assert f'api_requests_total{{consumer_id="c{consumer}",endpoint="/a",method="GET",status="200"}} ' in page


def _total(page: str) -> int:
    return sum(int(float(value)) for value in re.findall(r"^api_requests_total\{.*\} (\S+)$", page, re.MULTILINE))
