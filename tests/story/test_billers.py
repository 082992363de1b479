"""Eight concurrent billers on PostgreSQL: no double invoice, no gap in the numbers, no entry lost, every rule kept.

A few rounds here; `make bench ARGS=billers` runs a thousand.
"""

from __future__ import annotations

from .billers import contend, wrongs

ROUNDS = 15


def test_eight_billers_make_the_book_that_one_would_have_made(postgres_url: str) -> None:
    contend(postgres_url, ROUNDS)
    assert list(wrongs(postgres_url, ROUNDS)) == []
