"""What every channel promises, whatever it is: each against a real server of its kind on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from rating.errors import EdgeRefused, EdgeUnavailable

from .far import FARS, HOSTILE, SECRET, Far, delivery


@pytest.fixture(params=FARS, ids=lambda far: far.name)
def far(request: pytest.FixtureRequest) -> Iterator[Far]:
    side: Far = request.param()
    yield side
    side.close()


def test_what_was_decided_arrives(far: Far) -> None:
    said = far.notifier().deliver(delivery())
    assert said
    [(_, content)] = far.received()
    assert "Pro" in content
    assert "80%" in content
    assert "81,234" in content or "81234" in content


def test_every_attempt_carries_one_key_and_another_notification_another(far: Far) -> None:
    notifier = far.notifier()
    for _ in range(2):
        notifier.deliver(delivery())
    keys = {key for key, _ in far.received()}
    assert len(keys) == 1
    assert delivery().told.notification.id in keys.pop()


@pytest.mark.parametrize("answers", ["later", "slow", "down"])
def test_what_may_pass_is_unavailable(far: Far, answers: str) -> None:
    notifier = far.notifier(answers)
    if not far.fails:
        notifier.deliver(delivery())
        return
    with pytest.raises(EdgeUnavailable) as failure:
        notifier.deliver(delivery())
    assert SECRET not in str(failure.value)
    assert "there" in str(failure.value), "names the channel"
    if answers == "later" and far.name != "email":
        assert failure.value.retry_after == timedelta(seconds=90)


def test_what_was_declined_is_refused(far: Far) -> None:
    notifier = far.notifier("refuses")
    if not far.fails:
        notifier.deliver(delivery())
        return
    with pytest.raises(EdgeRefused, match="rating notify retry") as failure:
        notifier.deliver(delivery())
    assert SECRET not in str(failure.value)


def test_a_preview_shows_what_would_be_sent_and_sends_nothing(far: Far) -> None:
    notifier = far.notifier()
    shown = notifier.preview(delivery())
    assert "Pro" in shown
    assert SECRET not in shown
    assert far.name == "inbox" or far.received() == []


def test_no_secret_is_in_what_it_answers(far: Far) -> None:
    assert SECRET not in far.notifier().deliver(delivery())


def test_hostile_text_arrives_as_text(far: Far) -> None:
    far.notifier().deliver(delivery(HOSTILE))
    [(_, content)] = far.received()
    assert "\nBcc:" not in content
    if far.name in ("email", "slack"):
        assert "<script>" not in content.partition("<!doctype html>")[2]


@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_in_every_language(far: Far, language: str) -> None:
    assert far.notifier().preview(delivery(language=language))
