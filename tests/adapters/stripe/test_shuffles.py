"""A thousand webhooks, duplicated and shuffled, settled in between: the same book as told once and in order."""

from __future__ import annotations

import random
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rating.adapters.memory_book import MemoryBook
from rating.adapters.store import open_book
from rating.core.lifecycle import Step
from rating.core.publications import Signal
from rating.ports import Book

from .histories import Asked, History, prepared, state_of, told

HISTORY = History()
SIGNALS = HISTORY.signals()
_numbers = count()
# A smaller seed is no simpler order: there is nothing to shrink.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.fixture(scope="module")
def in_order() -> dict[str, Any]:
    """The state that the book comes to when each is told once, one after the other."""
    book = prepared(MemoryBook())
    told(book, Asked(HISTORY), [[one] for one in SIGNALS])
    return state_of(book)


def shuffled(choice: random.Random) -> list[list[Signal]]:
    """Every signal once and many twice, in any order, in a few batches of any size."""
    all_of_them = SIGNALS + choice.sample(SIGNALS, max(1_000 - len(SIGNALS), 150))
    choice.shuffle(all_of_them)
    cuts = sorted(choice.sample(range(len(all_of_them)), choice.randrange(1, 7)))
    return [all_of_them[a:b] for a, b in zip([0, *cuts], [*cuts, len(all_of_them)], strict=True)]


def test_what_a_thousand_webhooks_come_to(in_order: dict[str, Any]) -> None:
    assert len(SIGNALS) > 900
    steps = Counter((one.step, one.source) for one in in_order["entries"])
    assert steps[Step.PAY, "main"] > 180
    assert steps[Step.PAY, "bank"] == 12
    assert min(steps[step, "main"] for step in (Step.REFUND, Step.VOID, Step.WRITE_OFF)) >= 12
    assert len(in_order["subscriptions"]) == 64
    assert sum(one.end is not None for one in in_order["subscriptions"]) == 52
    # What only a person can decide: credit notes that somebody made there.
    assert {said.split()[1] for _, said in in_order["parked"]} == {"credit"}
    assert len(in_order["parked"]) == 12
    assert len(in_order["news"]) > 60


@given(seed=st.integers(0, 2**32))
@settings(max_examples=6, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_in_memory(in_order: dict[str, Any], seed: int) -> None:
    _same(MemoryBook(), seed, in_order)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=1, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_in_sqlite(in_order: dict[str, Any], tmp_path: Path, seed: int) -> None:
    with open_book(f"sqlite:///{tmp_path}/{next(_numbers)}.db") as book:
        _same(book, seed, in_order)


def test_another_order_in_postgresql(in_order: dict[str, Any], postgres_url: str) -> None:
    with open_book(postgres_url) as book:
        _same(book, 7, in_order)


def _same(book: Book, seed: int, in_order: dict[str, Any]) -> None:
    prepared(book)
    told(book, Asked(HISTORY), shuffled(random.Random(seed)))
    found = state_of(book)
    # Not the whole of both: a few thousand entries take minutes to be shown.
    differs = [name for name, value in in_order.items() if found[name] != value]
    assert differs == [], f"seed {seed}"
