"""What the README says is there: every command it names exists, every setting is one, and nothing is left out."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from rating.cli import NOUNS, run
from rating.settings import PREFIX, Settings

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
TABLE = README.partition("## Commands")[2].partition("## Settings")[0]


def commands() -> list[list[str]]:
    found = []
    for row in re.findall(r"^\| (`.+?) \|", TABLE, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        words = [word for word in first.split()[1:] if re.fullmatch(r"[a-z][a-z-]*", word)]
        found.append(words)
        found.extend([*words[:-1], other] for other in others)
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_in_the_readme_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert "Usage: " in capsys.readouterr().out


def test_every_command_is_in_the_readme() -> None:
    assert {command[0] for command in commands()} == {noun.replace("_", "-") for noun in NOUNS}


def test_every_setting_is_in_the_readme_and_no_other() -> None:
    said = set()
    for row in re.findall(r"^\| (`RATING_.+?) \|", README, re.MULTILINE):
        names = re.findall(r"`([A-Z_]+)`", row)
        stem = names[0].rpartition("_BEARER_TOKEN")[0]
        said |= {name if name.startswith(PREFIX) else stem + name for name in names}
    assert said == {PREFIX + field.name.upper() for field in fields(Settings)}
