"""Settings: every mistake at once, secrets never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from rating.errors import SpecError
from rating.settings import Settings, safe_url


def test_flags_win_over_the_environment_and_absent_flags_do_not() -> None:
    settings = Settings.from_environment(
        {"RATING_CATALOG": "a.yaml", "RATING_LISTEN": ":1"}, catalog=Path("b"), listen=None
    )
    assert settings.catalog == Path("b")
    assert settings.listen == ":1"


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(SpecError) as raised:
        Settings.from_environment(
            {"RATING_TICK_SECONDS": "soon", "RATING_CATALOGUE": "x", "OTHER": "is ours to ignore"}
        )
    text = str(raised.value)
    assert "RATING_TICK_SECONDS: 'soon' is not a float" in text
    assert "RATING_CATALOGUE: no such setting" in text
    assert len(raised.value.findings) == 2


def test_secrets_do_not_show_in_a_representation() -> None:
    settings = Settings.from_environment(
        {
            "RATING_DATABASE_URL": "postgresql://me:hunter2@db/rating",
            "RATING_PROMETHEUS_PASSWORD": "hunter3",
            "RATING_PROMETHEUS_BEARER_TOKEN": "hunter4",
        }
    )
    assert "hunter" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:hunter2@db:5432/rating", "postgresql+psycopg://me:***@db:5432/rating"),
        ("https://user:p%40ss@prom.example/x?token=abc", "https://user:***@prom.example/x"),
        ("http://localhost:9090", "http://localhost:9090"),
        ("sqlite:///rating.db", "sqlite:///rating.db"),
    ],
)
def test_urls_are_printed_without_passwords(url: str, shown: str) -> None:
    assert safe_url(url) == shown


def test_several_prometheis_are_separated_by_commas() -> None:
    settings = Settings(prometheus_url="http://a:9090/, http://b:9090,")
    assert settings.prometheus_urls == ("http://a:9090", "http://b:9090")
