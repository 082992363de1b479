"""Jobs that end before anybody scrapes them: their page is pushed to a Pushgateway or left as a text file.

Decides when the page goes out and that half a page never does. A job's counters must outlive it, or each run would show
the same small number and nothing would ever rise: give it a `DurableStore`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from prometheus_client import CollectorRegistry, push_to_gateway

from .render import render

PATIENCE = 10.0  # seconds for one push


class PushFailed(OSError):
    """The gateway could not be reached or refused. Nothing is lost: the next push carries these totals too."""


def write_textfile(path: str | os.PathLike[str], registry: CollectorRegistry) -> None:
    """The page as a file for the node exporter's textfile collector (`*.prom`): the whole page or the one before it."""
    target = Path(path)
    arriving = target.with_name(f".{target.name}.{os.getpid()}")  # the collector reads *.prom only
    try:
        with arriving.open("wb") as file:
            file.write(render(registry))
            file.flush()
            os.fsync(file.fileno())
        arriving.chmod(0o644)
        arriving.rename(target)
    finally:
        arriving.unlink(missing_ok=True)


def push(
    gateway: str, job: str, registry: CollectorRegistry, grouping: Mapping[str, str] | None = None, tries: int = 3
) -> None:
    """Push the page to a Pushgateway, or what speaks its protocol. PushFailed after `tries`.

    One group (`job` and `grouping`) has one writer: two jobs that push the same group overwrite each other.
    """
    pause = 0.5
    for attempt in range(1, tries + 1):
        try:
            return push_to_gateway(gateway, job, registry, grouping_key=dict(grouping or {}), timeout=PATIENCE)
        except OSError as error:
            if attempt == tries:
                raise PushFailed(f"{gateway}, job {job}: {error} ({tries} tries); the next push carries it") from error
        time.sleep(pause)
        pause *= 2
    return None


class Batch:
    """`with Batch(registry, textfile="/var/lib/node_exporter/nightly.prom"): ...`, or `gateway=` and `job=`.

    The page goes out when the block ends, also by an exception: what was counted before it is usage all the same.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        textfile: str | os.PathLike[str] | None = None,
        gateway: str | None = None,
        job: str | None = None,
        grouping: Mapping[str, str] | None = None,
    ) -> None:
        if (textfile is None) == (gateway is None) or (gateway is not None and not job):
            raise ValueError("a batch goes to textfile=, or to gateway= with the name of the job=")
        self.registry, self.textfile, self.gateway, self.job, self.grouping = registry, textfile, gateway, job, grouping

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.textfile is not None:
            write_textfile(self.textfile, self.registry)
        elif self.gateway is not None and self.job is not None:
            push(self.gateway, self.job, self.registry, self.grouping)
