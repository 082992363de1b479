"""`rating rules` and `rating dashboards`: in an empty folder, in a copy of this repository, with a stand-in Grafana."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from rating.cli import run
from rating.cli.frame import DONE, FAILED, WRONG_INPUT
from tests.outer.dashboards.grafana import TOKEN, Grafana

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the parts of this repository that the commands read and write."""
    shutil.copytree(ROOT / "compose" / "catalogue", tmp_path / "compose" / "catalogue")
    for folder in ("rules/generated", "rules/promtool", "dashboards/generated"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for name in [name for name in os.environ if name.startswith("RATING_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("noun", "file"),
    [("rules", "rules/generated/allowances.rules.yml"), ("dashboards", "dashboards/generated/rating-usage.json")],
)
def test_a_stale_file_is_named_with_the_command_that_mends_it(
    noun: str, file: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([noun, "check"]) == DONE
    good = (checkout / file).read_text()
    (checkout / file).write_text(good + " ")
    left_over = (checkout / file).with_name("forgotten.yml")
    left_over.touch()
    capsys.readouterr()

    assert run([noun, "check"]) == FAILED
    told = capsys.readouterr().err
    assert f"{file} does not match the catalogue; run: rating {noun} write" in told
    assert "forgotten.yml is not generated any more; delete it" in told

    left_over.unlink()
    assert run([noun, "write"]) == DONE
    assert (checkout / file).read_text() == good
    assert run([noun, "check"]) == DONE


def test_elsewhere_the_users_own_catalogue_and_urls_are_used(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.chdir(home)
    catalogue = ["--catalog", str(checkout / "compose" / "catalogue")]
    urls = ["--upsell-url", "https://crm.example/hook", "--alertmanager", "am/alertmanager.yml"]
    assert run([*catalogue, "rules", "write", "--out", "rules", *urls]) == DONE
    assert sorted(path.name for path in (home / "rules").iterdir()) == [
        "allowances.rules.yml",
        "behaviour.rules.yml",
        "estimates.rules.yml",
        "operations.rules.yml",
    ]
    receivers = yaml.safe_load((home / "am" / "alertmanager.yml").read_text())["receivers"]
    hooks = {one["name"]: [hook["url"] for hook in one.get("webhook_configs", [])] for one in receivers}
    assert hooks == {"upsell": ["https://crm.example/hook"], "operations": [], "finance": [], "default": []}
    assert run([*catalogue, "rules", "check", "--out", "rules", *urls]) == DONE
    assert run([*catalogue, "rules", "check", "--out", "rules"]) == FAILED
    assert run([*catalogue, "dashboards", "write", "--out", "boards"]) == DONE
    assert len(list((home / "boards").glob("*.json"))) == 7


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--quiet-days", "saturday,sunnday"], "'sunnday' is no day of the week"),
        (["--quiet-hours", "18-8"], "'18-8' is no span of a day; write 18:00-08:00"),
        (["--quiet-hours", "18:00-18:00"], "is no span of a day"),
        (["--quiet-zone", "Mars/Olympus"], "'Mars/Olympus' is no time zone"),
    ],
)
def test_quiet_times_that_do_not_exist_are_refused(
    words: list[str], sentence: str, checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = ["--catalog", str(checkout / "compose" / "catalogue")]
    assert run([*catalogue, "rules", "write", "--out", str(tmp_path / "elsewhere"), *words]) == WRONG_INPUT
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


def test_without_a_folder_outside_the_repository_the_command_asks_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["rules", "write"]) == WRONG_INPUT
    assert "--out: no folder was given to write to" in capsys.readouterr().err


def test_push_tells_what_it_did_and_dry_run_what_it_would(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    push = ["--catalog", "compose/catalogue", "dashboards", "push", "--token", TOKEN]
    with Grafana() as grafana:
        assert run([*push, "--url", grafana.url, "--dry-run"]) == DONE
        assert "rating-usage: would be added" in capsys.readouterr().out
        assert grafana.writes == []
        assert run([*push, "--url", grafana.url]) == DONE
        assert "rating-usage: added" in capsys.readouterr().out
        assert run([*push, "--url", grafana.url]) == DONE
        assert "rating-usage: equal" in capsys.readouterr().out
        assert run(["--catalog", "compose/catalogue", "dashboards", "push", "--url", grafana.url]) == FAILED
        told = capsys.readouterr()
        assert "401" in told.err
    assert run([*push]) == WRONG_INPUT
    told = capsys.readouterr()
    assert "no Grafana is named" in told.err
    assert TOKEN not in told.err + told.out
