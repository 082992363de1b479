"""Real servers with workers, killed at random under load: what was counted is what was delivered."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

KILLS = int(os.environ.get("EXPORTERS_KILLS", "10"))  # of each server; by option as many as one likes


@pytest.mark.slow
@pytest.mark.parametrize("server", ["uvicorn", "gunicorn uvicorn", "gunicorn sync", "gunicorn gthread"])
def test_workers_killed_under_load_lose_and_invent_nothing(
    tmp_path: Path, crash_harness: ModuleType, server: str
) -> None:
    story = crash_harness.run(tmp_path, kills=KILLS, server=server)
    delivered = sum(story.delivered.values())
    print(f"{server}: {story.kills} kills, {delivered} delivered, {sum(story.counted.values())} counted")
    assert delivered > 50
    assert story.scrapes > 2
    assert story.falls == 0  # no scrape ever showed a reset
    # A worker counts as the last thing before it hands over the last byte. A kill between the two counts a response
    # whose client saw it break.
    assert story.lost <= 1
    assert story.invented <= sum(story.broken.values())
    assert abs(sum(story.counted.values()) - delivered) <= 2, "a kill hit that instant more than twice"
    assert len(list(tmp_path.iterdir())) <= 2 + 1  # slots, not pids: a dying worker may overlap its successor


@pytest.mark.slow
def test_prometheus_client_alone_loses_what_the_same_kills_take(crash_harness: ModuleType) -> None:
    story = crash_harness.run(None, kills=6)
    assert story.lost > sum(story.delivered.values()) / 10
