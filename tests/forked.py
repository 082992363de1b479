"""Processes of their own for tests that kill or crowd: forked from one server that has imported the engine once.

Eight interpreters that start from nothing would take longer than what they are here to do.
"""

from __future__ import annotations

import multiprocessing

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    [
        "rating.adapters.memory_source",
        "rating.adapters.notifiers",
        "rating.adapters.store",
        "rating.adapters.stripe.gateway",
        "rating.jobs.bill",
        "rating.jobs.collect",
        "rating.jobs.correct",
        "rating.jobs.deliver",
        "rating.jobs.notify",
        "rating.jobs.publish",
        "rating.jobs.statements",
        "rating.specs.compile",
    ]
)
