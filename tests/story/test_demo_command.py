"""`rating demo`: interrupted at any time it ends what it started, and says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


def started_in(folder: Path) -> list[str]:
    """Command lines of living processes that name the folder in their arguments or their environment."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or process.name == str(os.getpid()):
            continue
        try:
            words = (process / "cmdline").read_bytes()
            if str(folder).encode() in words + (process / "environ").read_bytes():
                found.append(words.replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended while we looked, or is not ours to look at
    return found


def run_until(folder: Path, appears: str, how: signal.Signals) -> tuple[int, list[str], str]:
    """Start the demonstration, signal it when that file appears; its status, what ran by then, what it printed."""
    command = [Path(sys.executable).with_name("rating"), "demo", "--once", "--folder", folder]
    log = folder.with_suffix(".log")
    with log.open("w") as printed, subprocess.Popen(command, stdout=printed, stderr=printed) as demo:
        while not (folder / appears).exists():
            assert demo.poll() is None, log.read_text()
            time.sleep(0.1)
        running = started_in(folder)
        demo.send_signal(how)
        status = demo.wait(60)
    deadline = time.monotonic() + 15
    while started_in(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    return status, running, log.read_text()


def test_interrupted_with_everything_running(
    tmp_path: Path, prometheus_binary: Path, alertmanager_binary: Path
) -> None:
    # The engine is the last to start and the first to have much to do.
    status, running, printed = run_until(tmp_path / "demo", "engine.log", signal.SIGINT)
    assert [part for part in ("prometheus", "alertmanager", "rating_demo.api") if part not in " ".join(running)] == []
    assert started_in(tmp_path) == []
    assert status == 1
    assert "stopped before the end of the story" in printed


def test_terminated_while_history_is_made(tmp_path: Path, prometheus_binary: Path, alertmanager_binary: Path) -> None:
    status, _, printed = run_until(tmp_path / "demo", "catalogue", signal.SIGTERM)
    assert started_in(tmp_path) == []
    assert status == 1
    assert "Everything started has ended" in printed


def test_killed_with_everything_running(tmp_path: Path, prometheus_binary: Path, alertmanager_binary: Path) -> None:
    status, running, _ = run_until(tmp_path / "demo", "engine.log", signal.SIGKILL)
    assert len(running) >= 4
    assert started_in(tmp_path) == []
    assert status == -signal.SIGKILL
