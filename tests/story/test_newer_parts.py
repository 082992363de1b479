"""Newer servers beside the distribution's own: named, kept, or missing with a reason one can act on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rating_demo import newer
from rating_demo.newer import locate_newer
from rating_demo.parts import PartMissing


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(newer, "NEWER", tmp_path / "newer")
    monkeypatch.delenv("PARTS_BUILD", raising=False)
    monkeypatch.delenv("PART_PROMETHEUS_NEWER", raising=False)
    return tmp_path / "newer"


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def missing() -> str:
    with pytest.raises(PartMissing) as refused:
        locate_newer("prometheus", install=True, say=lambda sentence: None)
    return str(refused.value)


def test_a_variable_names_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PART_PROMETHEUS_NEWER", str(program(tmp_path / "mine/prometheus")))
    assert locate_newer("prometheus") == tmp_path / "mine/prometheus"


def test_the_highest_version_kept_is_found_without_asking_anybody(nothing_kept: Path) -> None:
    program(nothing_kept / "prometheus/3.5.3+ds1-6/prometheus")
    best = program(nothing_kept / "prometheus/3.10.0-1/prometheus")
    assert locate_newer("prometheus") == best


def test_a_build_is_found_only_when_builds_are_asked_for(nothing_kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = program(nothing_kept / "prometheus/3.5.3+ds1-6/prometheus")
    built = program(nothing_kept / "prometheus" / newer.PROGRAMS["prometheus"].release / "prometheus")
    assert locate_newer("prometheus") == package
    monkeypatch.setenv("PARTS_BUILD", "1")
    assert locate_newer("prometheus") == built


def test_without_leave_to_install_nothing_is_fetched() -> None:
    with pytest.raises(PartMissing, match=r"was not found: nothing was to be installed; PART_PROMETHEUS_NEWER may"):
        locate_newer("prometheus")


def test_a_distribution_without_debians_suites_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newer, "_os_release", lambda: {"ID": "fedora"})
    assert "this machine's apt knows no Debian mirror, and PARTS_BUILD=1 did not ask for a build" in missing()


def test_a_build_without_a_toolchain_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTS_BUILD", "1")
    monkeypatch.setenv("PATH", "")
    assert "there is no Go toolchain on the PATH" in missing()


@pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt-get here")
def test_an_archive_whose_signature_is_wrong_brings_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nothing_kept: Path
) -> None:
    """apt itself, asked for an archive that somebody made: it has lists, and no signature."""
    for suite in newer._SUITES:
        (tmp_path / "archive/dists" / suite / "main/binary-amd64").mkdir(parents=True)
        (tmp_path / "archive/dists" / suite / "main/binary-amd64/Packages").write_text("")
        (tmp_path / "archive/dists" / suite / "Release").write_text(f"Suite: {suite}\nComponents: main\n")
    monkeypatch.setattr(newer, "_mirror", lambda: f"file://{tmp_path / 'archive'}")
    said = missing()
    assert said.count("apt-get update of") == 3
    assert "is not signed" in said
    assert not any((nothing_kept / name).exists() for name in newer.PROGRAMS)
