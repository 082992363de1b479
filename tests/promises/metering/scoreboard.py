"""One row per scenario and server: the truth, what the samples prove, what we billed and what increase() says.

The figures of this distribution's Prometheus are kept in `KEPT`, which the README's claim is held against;
`UPDATE_GOLDEN=1 pytest tests/promises/metering/test_scenarios.py` rewrites it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rating_demo.truth import Who

KEPT = Path(__file__).resolve().parents[2] / "golden/metering/scoreboard.json"
REFERENCE = "Prometheus 2."
"""Other servers' increase() differs a little."""


class Row(NamedTuple):
    server: str
    sentence: str
    true: dict[Who, int]
    observable: dict[Who, int]
    ours: dict[Who, int]
    increase: dict[Who, float]
    """In the meter's resolution, as a float because that is what it is."""
    wrong_cells: int
    cells: int


Figures = Mapping[str, int | str]


def figures(row: Row) -> dict[str, int | str]:
    """What is kept of a row. `increase` is its error over all consumers, `worst` at the consumer it serves worst."""
    total = sum(row.observable.values())
    return {
        "happens": row.sentence,
        "true": sum(row.true.values()),
        "provable": total,
        "billed": sum(row.ours.values()),
        "cells": row.cells,
        "wrong": row.wrong_cells,
        "increase": _percent(sum(row.increase.values()), total),
        "worst": _worst(row),
    }


def kept() -> dict[str, Figures]:
    """The figures kept, by what happens."""
    return {row["happens"]: row for row in json.loads(KEPT.read_text())}


def as_kept(row: Row) -> bool:
    """Whether a row says what was kept: all of it on the reference, all but the estimate elsewhere."""
    known, found = dict(kept().get(row.sentence, {})), figures(row)
    if not row.server.startswith(REFERENCE):
        for estimate in ("increase", "worst"):
            known.pop(estimate, None)
            found.pop(estimate)
    return known == found


def keep(rows: Sequence[Row]) -> None:
    found = [figures(row) for row in rows if row.server.startswith(REFERENCE) and "," not in row.server]
    KEPT.write_text("[\n" + ",\n".join(json.dumps(one) for one in found) + "\n]\n")


def claim(rows: Sequence[Row]) -> str:
    """All rows in one sentence."""
    servers = dict.fromkeys(row.server for row in rows)
    off = sum(abs(sum(row.ours.values()) - sum(row.observable.values())) for row in rows)
    over = sum(billed > row.true.get(who, 0) for row in rows for who, billed in row.ours.items())
    cells, wrong = sum(row.cells for row in rows), sum(row.wrong_cells for row in rows)
    return (
        f"{len({row.sentence for row in rows})} scenarios on {'; '.join(servers)}: {cells:,} cells of consumer, "
        f"endpoint and hour, {wrong} wrong; billed less provable {off}; consumers billed more than is true {over}"
    )


def table(rows: Sequence[Row]) -> Iterator[str]:
    head = ("true", "observable", "ours", "wrong cells", "increase() error", "worst consumer")
    for server in dict.fromkeys(row.server for row in rows):
        yield ""
        yield f"{server:56}{head[0]:>14}{head[1]:>14}{head[2]:>14}{head[3]:>13}{head[4]:>18}{head[5]:>16}"
        for row in rows:
            if row.server == server:
                total = sum(row.observable.values())
                yield (
                    f"{row.sentence:56}{sum(row.true.values()):>14}{total:>14}{sum(row.ours.values()):>14}"
                    f"{f'{row.wrong_cells} of {row.cells}':>13}"
                    f"{_percent(sum(row.increase.values()), total):>18}{_worst(row):>16}"
                )


def _worst(row: Row) -> str:
    """The consumer whom increase() bills most wrongly."""
    consumers = {who.consumer for who in row.observable}
    errors = []
    for consumer in consumers:
        right = sum(amount for who, amount in row.observable.items() if who.consumer == consumer)
        said = sum(amount for who, amount in row.increase.items() if who.consumer == consumer)
        errors.append((abs(said - right) / right, _percent(said, right)))
    return max(errors)[1] if errors else ""


def _percent(said: float, right: int) -> str:
    return f"{(said - right) / right * 100:+,.2f} %"
