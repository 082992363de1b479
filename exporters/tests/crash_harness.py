"""Kills a real uvicorn or gunicorn with workers under load, and keeps the clients' own log of what was delivered.

Used by the crash test and by the bench. A client counts a response as delivered when it has read its last byte.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SERIES = re.compile(r'^api_requests_total\{consumer_id="(c\d+)".*\} (\S+)$', re.MULTILINE)


@dataclass
class Story:
    """What happened: deliveries as the clients saw them, totals as a last scrape shows them, falls between scrapes."""

    delivered: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    scrapes: int = 0
    falls: int = 0

    @property
    def lost(self) -> int:
        """Delivered, but not counted."""
        return sum((self.delivered - self.counted).values())

    @property
    def invented(self) -> int:
        """Counted, but not delivered."""
        return sum((self.counted - self.delivered).values())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# How each server is started: with its workers, without its logs.
GUNICORN = ["gunicorn", "--chdir", str(HERE), "--log-level", "critical", "--graceful-timeout", "5"]
SERVERS = {
    "uvicorn": ["uvicorn", "crash_api:app", "--app-dir", str(HERE), "--log-level", "critical", "--no-access-log"],
    "gunicorn uvicorn": [*GUNICORN, "-k", "uvicorn.workers.UvicornWorker", "crash_api:app"],
    "gunicorn sync": [*GUNICORN, "-k", "sync", "crash_wsgi:app"],
    "gunicorn gthread": [*GUNICORN, "-k", "gthread", "--threads", "8", "crash_wsgi:app"],
}


class Api:
    """A server with its workers, in a process group of its own."""

    def __init__(self, port: int, workers: int, state: Path | None, server: str = "uvicorn") -> None:
        self.port, self.server = port, server
        self.environment = {**os.environ, **({"CRASH_STATE": str(state)} if state else {})}
        where = ["--port", str(port)] if server == "uvicorn" else ["--bind", f"127.0.0.1:{port}"]
        self.command = [sys.executable, "-m", *SERVERS[server], *where, "--workers", str(workers)]
        self.process = self.started()

    def started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command, env=self.environment, start_new_session=True)

    def workers(self) -> list[int]:
        """The pids of the live workers; empty when the parent is gone."""
        parent = self.process.pid
        # uvicorn's are spawned beside a resource tracker; gunicorn's are forks of the parent.
        mark = b"spawn_main" if self.server == "uvicorn" else b"gunicorn"
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            return [int(pid) for pid in children if mark in Path(f"/proc/{pid}/cmdline").read_bytes()]
        except OSError:
            return []

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 60
        while scrape(self.port) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer on port {self.port} within 60 s")
            if self.process.poll() is not None:  # somebody's connection had the port for a moment
                self.process = self.started()
            time.sleep(0.02)

    def kill_all(self) -> None:
        """SIGKILL for the parent and every worker at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM: requests in progress are finished first."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


def scrape(port: int) -> Counter[str] | None:
    """Totals by consumer, or None if nobody answers."""
    try:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        client.request("GET", "/metrics")
        page = client.getresponse().read().decode()
        client.close()
    except (OSError, http.client.HTTPException):
        return None
    found: Counter[str] = Counter()
    for consumer, value in SERIES.findall(page):
        found[consumer] += int(float(value))
    return found


def run(
    state: Path | None, *, kills: int, workers: int = 2, clients: int = 12, seed: int = 1, server: str = "uvicorn"
) -> Story:
    """Load, `kills` SIGKILLs at random moments (every fifth takes the whole server down), then a count."""
    story, port, rng = Story(), free_port(), random.Random(seed)
    stop = threading.Event()

    def client(name: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        while not stop.is_set():
            try:
                connection.request(
                    "GET", "/slow" if story.delivered[name] % 5 == 0 else "/", headers={"x-consumer": name}
                )
                answer = connection.getresponse()
                if answer.status == 200 and len(answer.read()) == 100:
                    story.delivered[name] += 1
            except (OSError, http.client.HTTPException):
                story.broken[name] += 1
                connection.close()
                time.sleep(0.01)
        connection.close()

    def watch() -> None:
        before: Counter[str] = Counter()
        while not stop.wait(0.05):
            now = scrape(port)
            if now is not None:
                story.scrapes += 1
                story.falls += any(now[consumer] < value for consumer, value in before.items())
                before = now

    api = Api(port, workers, state, server)
    threads = [threading.Thread(target=client, args=(f"c{n}",)) for n in range(clients)]
    threads.append(threading.Thread(target=watch))
    try:
        api.wait_until_up()
        for thread in threads:
            thread.start()
        while story.kills < kills:
            time.sleep(rng.uniform(0.05, 0.3))
            if story.kills % 5 == 4:
                story.kills += max(len(api.workers()), 1)
                api.kill_all()
                api = Api(port, workers, state, server)
                api.wait_until_up()
            elif len(pids := api.workers()) == workers:
                os.kill(rng.choice(pids), signal.SIGKILL)
                story.kills += 1
        stop.set()
        for thread in threads:
            thread.join()
        story.counted = scrape(port) or Counter()
    finally:
        stop.set()
        api.kill_all()
    return story
