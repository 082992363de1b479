"""One row per scenario and server: the truth, what the samples prove, what we billed and what increase() says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rating_demo.truth import Who


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
