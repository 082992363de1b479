"""Reads a cloud once, in one life after the other, each of which kills itself with SIGKILL one step later than the one
before: at each figure, at each SQL statement of the transaction, and after it; until a life gets through.

After each killed life, another one reads to the end. Prints per life what the file held after the kill and at the end.
Arguments: state file, now, and those of `rating-exporters`. Each life is a fork and a fresh state file.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rating_exporters import cloud_command
from rating_exporters.cloud import CloudCounter, Figure
from rating_exporters.cloudstate import CloudState

path, now = sys.argv[1], datetime.fromisoformat(sys.argv[2])
parser = argparse.ArgumentParser()
cloud_command.add_options(parser)
cloud: Any = cloud_command.cloud_of(parser.parse_args([*sys.argv[3:], "--state", path]))
begin = datetime(now.year, now.month, now.day, tzinfo=UTC)
left = 0


def step(*_: object) -> None:
    """One more step; the last one is fatal."""
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class Stepping:
    """A cloud each of whose figures is a step."""

    def __init__(self, inner: Any) -> None:
        self.name, self.unit, self.settings, self._inner = inner.name, inner.unit, inner.settings, inner

    def figures(self, since: datetime, until: datetime) -> Iterable[Figure]:
        for figure in self._inner.figures(since, until):
            step()
            yield figure


def held(state: CloudState) -> int:
    return sum(total for (metric, _), (total, _) in state.totals().items() if metric.startswith("cloud_"))


def life(file: Path, steps: int) -> None:
    """Read once; with `steps`, not to the end."""
    global left
    state = CloudState(file, cloud.settings(), begin)
    before = held(state)
    if steps:
        left = steps
        state._database.set_trace_callback(step)
    CloudCounter(Stepping(cloud), state).step(now)
    step()
    if not steps:
        print(json.dumps([before, held(state)]), flush=True)
    state.close()


for steps in range(1, 200):
    file = Path(f"{path}.{steps}")
    ended = False
    for fatal in (steps, 0):
        child = os.fork()
        if child == 0:
            try:
                life(file, fatal)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if fatal and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            continue
        if status != 0:
            sys.exit(f"a life ended with status {status}, and not by its own hand")
        ended = ended or fatal > 0
    if ended:
        break
