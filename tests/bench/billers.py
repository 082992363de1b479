"""Eight concurrent billers on PostgreSQL, round after round: what goes wrong (nothing), and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rating_demo.parts import PostgreSQL
from tests.story.billers import BILLERS, contend, wrongs

TITLE = "Eight billers at once on PostgreSQL: three subscriptions a round, late data and payments meanwhile"


def rows(quick: bool) -> Iterator[tuple[str, str]]:
    rounds = 50 if quick else 1000
    with PostgreSQL() as server:
        url = server.database("billers")
        begun = time.perf_counter()
        contend(url, rounds)
        took = time.perf_counter() - begun
        found = list(wrongs(url, rounds))
    yield f"{rounds} rounds of {BILLERS} billers", f"{took:.0f} s, {1000 * took / rounds:.0f} ms a round"
    yield "invoices issued twice, gaps, lost entries, broken rules", str(len(found))
    for wrong in found[:10]:
        yield "", wrong
