"""Python's cyclic collector, paused around work that makes many small values and not one cycle."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """A window is a hundred thousand small tuples, a billing run as many papers: looking for cycles costs more."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
