"""A meter that outgrows one question is asked for in pieces, and the same window comes out of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from rating.adapters.prometheus import PrometheusSource
from rating.adapters.prometheus.pieces import Piece, cut
from rating.core.counters import decide
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.windows import Closing
from rating.errors import EdgeRefused
from rating_demo import blocks
from rating_demo.faults import Restarts, Traffic
from rating_demo.parts import Prometheus
from rating_demo.scenarios import FIRST_DAY
from rating_demo.truth import World

names = some.text(some.sampled_from("ab.|*é\\"), max_size=4)


def matches(piece: Piece, value: str) -> bool:
    return all(bool(re.fullmatch(one.pattern, value)) is not one.negated for one in piece)


@given(some.dictionaries(names, some.integers(1, 50), max_size=20), some.integers(1, 120), some.lists(names))
def test_every_value_known_or_new_is_in_exactly_one_piece(sizes: dict[str, int], most: int, new: list[str]) -> None:
    pieces = cut("consumer", sizes, most)
    for value in [*sizes, *new]:
        assert sum(matches(piece, value) for piece in pieces) == 1
    for piece in pieces:
        inside = [value for value in sizes if matches(piece, value)]
        assert sum(sizes[value] for value in inside) <= most or len(inside) == 1


HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
WORLD = World(
    seed=3,
    start=FIRST_DAY,
    end=FIRST_DAY + 3 * HOUR,
    consumers={f"c{number:03d}": Traffic(30 + number % 7, begins=number % 9 * QUARTER) for number in range(60)},
    interval=timedelta(seconds=60),
    restarts=Restarts(HOUR, 3 * HOUR),
)
METER = Meter(
    "calls", WORLD.metric, WORLD.consumer_label, ("endpoint",), scrape_interval=WORLD.interval, coverage=Fraction(0)
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, promtool: Path) -> Path:
    folder = tmp_path_factory.mktemp("pieces")
    blocks.create(WORLD.series(), folder, promtool)
    return folder


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, stored: Path, prometheus_binary: Path) -> Iterator[str]:
    with Prometheus(tmp_path_factory.mktemp("whole"), blocks=stored, retention="100y") as server:
        yield server.url


def closings(source: PrometheusSource) -> list[Closing]:
    """Without the questions they were found by."""
    found = []
    for window in Period(WORLD.start, WORLD.end).windows(HOUR):
        closing = decide(METER, window, source.read(METER, window))
        assert isinstance(closing, Closing), closing
        found.append(replace(closing, evidence=replace(closing.evidence, queries=())))
    return found


@pytest.mark.parametrize("way", ["promql", "remote"])
def test_pieces_come_to_the_same_windows(url: str, way: str) -> None:
    whole = closings(PrometheusSource([url], read=way))
    source = PrometheusSource([url], read=way, most_series=50)
    assert closings(source) == whole
    window = Period(WORLD.end - HOUR, WORLD.end)
    asked = [
        query for query in source.read(METER, window).queries if re.match(r"resets\(.*\]\)$|remote read", query.text)
    ]
    assert len(asked) > 3
    # The first window only knows how many consumers there are; then their series are counted, and may grow by half.
    assert max(query.series for query in asked) <= 75


@pytest.mark.parametrize("most", [5_000, 60])
def test_a_piece_the_server_finds_too_large_is_cut_and_only_that_one_asked_for_again(
    tmp_path: Path, stored: Path, url: str, most: int, prometheus_binary: Path
) -> None:
    """The server loads so few samples at once that the whole meter, or even most pieces, are too many."""
    flags = [f"--query.max-samples={most}"]
    with Prometheus(tmp_path, blocks=stored, retention="100y", flags=flags) as small:
        source = PrometheusSource([small.url], read="promql", queries_at_once=1)
        window = Period(WORLD.start + HOUR, WORLD.start + 2 * HOUR)
        if most < 5_000:
            # Samples of single counters are too many as well: what cannot be cut is refused, never left out.
            with pytest.raises(EdgeRefused, match="too many samples"):
                source.read(METER, window)
            return
        readings = source.read(METER, window)
    want = PrometheusSource([url], read="promql").read(METER, window)
    assert decide(METER, window, readings).usage == decide(METER, window, want).usage  # type: ignore[union-attr]
    assert sum("resets(" in query.text for query in readings.queries) > 1
