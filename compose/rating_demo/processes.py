"""One child process: started, waited for, stopped, and never left behind. Knows nothing of what it runs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests

from rating.errors import RatingError


class PartFailed(RatingError):
    """A part did not start, or stopped by itself; carries where its log is and how it ended."""


def free_port() -> int:
    """A loopback port nobody listens on, outside the range outgoing connections take theirs from."""
    for _ in range(200):
        port = random.randint(18000, 32000)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise PartFailed("no free port between 18000 and 32000 on 127.0.0.1 after 200 tries; end what listens there")


class Process:
    """A child in its own process group, its output in a log file, killed by the kernel if we die first (Linux).

    Its own group, because Ctrl-C in a terminal reaches every process of the foreground group at once, and the parts
    must stop in our order. Start it from a thread that lives as long as it should: the kernel's death signal follows
    the thread, not the process.
    """

    stop_signal = signal.SIGTERM

    def __init__(
        self,
        name: str,
        command: Sequence[str | os.PathLike[str]],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        user: int | None = None,
        group: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name, self.command, self.log = name, [os.fspath(word) for word in command], log
        self.environment, self.folder, self.user, self.group = environment, folder, user, group
        self.stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        as_somebody: dict[str, object] = {}
        if self.user is not None:
            as_somebody = {"user": self.user, "group": self.group, "extra_groups": []}
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=None if self.environment is None else dict(self.environment),
                start_new_session=True,
                preexec_fn=_die_with_parent(self.stop_signal),
                **as_somebody,  # type: ignore[call-overload]
            )

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} was not started"
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready()` is true.

        Raises:
            PartFailed: the process ended, or the time is over; the end of its log is in the message.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise self.failure(f"ended with status {self._child.returncode if self._child else None}")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready after {seconds:g} s")
            time.sleep(0.05)

    def failure(self, what: str) -> PartFailed:
        return PartFailed(f"{self.name} {what}; its log is {self.log} and ends\n{self.tail()}")

    def tail(self, lines: int = 12) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def stop(self, seconds: float = 10) -> None:
        """End it and everything it started; by force when it takes longer than `seconds`. Stopping twice is nothing."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.send_signal(self.stop_signal)
            try:
                child.wait(seconds)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        # What it may have left in its group: workers that outlived it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        self._child = None


def answers(url: str) -> bool:
    """Whether a GET of `url` answers 200."""
    try:
        return requests.get(url, timeout=2).status_code == 200
    except requests.RequestException:
        return False


def _die_with_parent(with_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    parent, libc = os.getpid(), ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(1, with_signal)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # the parent died in between, and no signal will come
            os._exit(1)

    return prepare
