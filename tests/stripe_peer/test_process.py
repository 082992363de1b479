"""The server as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.stripe_peer.peer import Controls

ROOT = Path(__file__).resolve().parents[2]


def test_it_runs_as_a_process_and_says_where() -> None:
    command = [sys.executable, "-m", "tests.stripe_peer", "--port", "0", "--now", "1793491200", "--standing"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            peer = Controls(process.stdout.readline().strip())
            assert peer.now() == 1_793_491_200
            peer.client().v1.customers.create({"name": "Acme"})
            assert [one["name"] for one in peer.state()["customers"]] == ["Acme"]
            assert peer.defects() == []
            peer.close()
        finally:
            process.terminate()
        assert process.wait(60) == 0
