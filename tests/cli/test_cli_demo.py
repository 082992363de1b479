"""`rating demo` where there is no checkout: it says what it needs before it touches anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from rating.cli import run
from rating.cli.frame import FAILED
from rating_demo import catalogue


def test_an_installed_engine_has_no_catalogue_to_demonstrate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "SOURCE", tmp_path / "site-packages" / "catalogue")
    assert run(["demo", "--once"]) == FAILED
    assert "run `make demo` in a checkout" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
