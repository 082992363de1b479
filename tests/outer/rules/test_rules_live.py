"""Live usage against a truth that is known: never more than was counted, and all of it where nothing went wrong."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from rating.core import vocabulary as names
from rating_rules.files import ALLOWANCES, groups
from rating_rules.groups import rules_file, to_yaml
from rating_rules.stories import MISSING, STALE, Answer, Series, Story, series, story_file
from tests.outer.rules.catalogues import CALLS, catalogue

SCRAPE, WINDOW = timedelta(seconds=15), 240
AFTER = 40
"""Scrapes after T; the story ends with the last of them."""


@dataclass
class Counter:
    """What a process counted and what scrapes saw of it, one entry a scrape."""

    seen: list[float | str] = field(default_factory=list)
    value: float = 0
    truth: float = 0
    """Counted since T, seen or not."""
    trouble: bool = False


def told(seed: int) -> tuple[list[Series], dict[str, Counter]]:
    """Forty consumers on their own targets: bursts, restarts, failed scrapes, births, ends."""
    chance = random.Random(seed)
    counters: dict[str, Counter] = {}
    lines = [series(names.ACCRUED_THROUGH, (WINDOW * 15, WINDOW + AFTER), meter=CALLS.name)]
    for number in range(40):
        consumer, target = f"c{number}", {"job": "api", "instance": f"i{number}"}
        counter = Counter(value=chance.choice((0, 5, 10_000)))
        born = WINDOW - 30 if number % 3 else chance.randrange(WINDOW + 2, WINDOW + AFTER)
        up: list[float | str] = []
        started: list[float | str] = []
        start = float((born - 1) * 15 if number % 2 else 60)
        if born > WINDOW:
            counter.value = 0
        for step in range(WINDOW - 30, WINDOW + AFTER):
            if step < born:
                # Half of the newborn appear on targets that were scraped before; the others bring their process along.
                up.append(1 if number % 2 == 0 else MISSING)
                started.append(start if number % 2 == 0 else MISSING)
                counter.seen.append(MISSING)
                continue
            if chance.random() < 0.03 and step > born:
                counter.value, counter.trouble, start = 0, True, step * 15.0 - 5
            grown = chance.choice((0, 0, 0, 1, 7, 500))
            counter.value += grown
            counter.truth += grown if step >= WINDOW else 0
            fails = chance.random() < 0.05
            if fails:
                counter.trouble = True
            up.append(0 if fails else 1)
            started.append(STALE if fails else start)
            counter.seen.append(STALE if fails else counter.value)
        counters[consumer] = counter
        labels = {CALLS.consumer: consumer, "status": "200", **target}
        for metric, values, own in (
            (CALLS.metric, counter.seen, labels),
            (names.UP, up, target),
            (names.PROCESS_START, started, target),
        ):
            lines.append(series(metric, (MISSING, WINDOW - 30), *((value, 1) for value in values), **own))
        lines.append(series("truth", (counter.truth, WINDOW + AFTER), consumer=consumer))
    return lines, counters


def questions(counters: dict[str, Counter]) -> Iterator[Answer]:
    end = (WINDOW + AFTER - 1) * SCRAPE
    yield Answer(end, f"{names.LIVE_UNITS} > on (consumer) group_left () truth", {})
    clean = [consumer for consumer, counter in counters.items() if not counter.trouble]
    assert len(clean) >= 3
    for consumer in clean:
        query = f'{names.LIVE_UNITS}{{consumer="{consumer}"}} == on (consumer) truth{{consumer="{consumer}"}}'
        yield Answer(end, f"count({query})", {"{}": 1})


@pytest.mark.parametrize("seed", range(4))
def test_live_usage_never_runs_ahead_and_misses_nothing_without_trouble(
    seed: int, promtool: Path, tmp_path: Path
) -> None:
    lines, counters = told(seed)
    story = Story("forty consumers", SCRAPE, lines, answers=tuple(questions(counters)))
    content = groups(catalogue())[ALLOWANCES][:1]
    (tmp_path / ALLOWANCES).write_text(to_yaml(rules_file(content)))
    file = tmp_path / "live.test.yml"
    file.write_text(to_yaml(story_file([story], [ALLOWANCES], [content[0].name], SCRAPE)))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]
