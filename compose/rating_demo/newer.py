"""Newer servers than this distribution carries, kept beside its own: found, or brought into `.tools/newer`.

They come from Debian's newer suites, through apt and its signatures, and are unpacked, not installed: nothing of the
system changes. On request (`PARTS_BUILD=1`) a Go toolchain builds the newest release there is. Starts nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rating_demo.finding import TOOLS, PartMissing, alone, named_by_variable, tell

NEWER = TOOLS / "newer"
"""`NEWER/PART/VERSION/PROGRAM`."""

_SUITES = ("unstable", "testing", "stable")
"""Newest first. A program that needs a newer C library than this machine's is looked for in the next."""
_PATIENCE = 120
_SMALL = ("-tags=remove_all_sd", "-trimpath", "-ldflags=-s -w")
"""Prometheus without the libraries of every cloud whose machines it could discover."""


@dataclass(frozen=True, slots=True)
class Newer:
    """One program, and what brings a newer version of it."""

    package: str
    """Debian's; its program lies in usr/bin."""
    program: str
    module: str = ""
    """The Go package that builds it; empty where its module cannot be built alone."""
    release: str = ""
    """The release of that module to build."""


PROGRAMS = {
    "prometheus": Newer("prometheus", "prometheus", "github.com/prometheus/prometheus/cmd/prometheus", "v0.314.0"),
    "victoria_metrics": Newer("victoria-metrics", "victoria-metrics"),
}


def locate_newer(name: str, *, install: bool = False, say: Callable[[str], None] = tell) -> Path:
    """The path of a newer version of the program `name`.

    `PART_<NAME>_NEWER` names one. What was brought before is found again without asking anybody.

    Raises:
        PartMissing: there is none here, and it was not asked for or could not be had; says why.
    """
    variable = f"PART_{name.upper()}_NEWER"
    chosen = named_by_variable(variable)
    if chosen is not None:
        return chosen
    found = _kept(name)
    if found is not None:
        return found
    reason = "nothing was to be installed"
    if install:
        with alone():
            # Another process may have brought it while we waited for the lock.
            reason = "" if _kept(name) else _bring(name, say)
        found = _kept(name)
        if found is not None:
            return found
    raise PartMissing(f"a {name} newer than this distribution's was not found: {reason}", f"{variable} may name one")


def _kept(name: str) -> Path | None:
    """What was brought before, in the way asked for now."""
    folders = (NEWER / name).glob(PROGRAMS[name].release if _to_be_built(name) else "[0-9]*")
    programs = (folder / PROGRAMS[name].program for folder in sorted(folders, key=_numbers, reverse=True))
    return next((program for program in programs if os.access(program, os.X_OK)), None)


def _numbers(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def _to_be_built(name: str) -> bool:
    return bool(PROGRAMS[name].module) and os.environ.get("PARTS_BUILD", "0") != "0"


def _bring(name: str, say: Callable[[str], None]) -> str:
    """Bring it, or say why that cannot be."""
    if _to_be_built(name):
        return _build(name, say)
    mirror = _mirror()
    if not mirror:
        return "this machine's apt knows no Debian mirror, and PARTS_BUILD=1 did not ask for a build with Go"
    missing = [part for part in PROGRAMS if _kept(part) is None]
    reasons: list[str] = []
    for suite in _SUITES:
        say(f"fetching {', '.join(missing)} of Debian {suite} into {NEWER} (once, about ten seconds)")
        reasons += _unpack(missing, mirror, suite)
        missing = [part for part in missing if _kept(part) is None]
        if name not in missing:
            return ""
    return "; ".join(reasons)


def _mirror() -> str:
    """Where this machine's own configuration of apt has Debian from; empty where it does not."""
    told = _os_release()
    if told.get("ID") != "debian" or not shutil.which("apt-get"):
        return ""
    for line in _run(["apt-get", "update", "--print-uris"]).stdout.splitlines():
        address, found, rest = line.partition(" ")[0].strip("'").partition("/dists/")
        if found and rest.startswith(f"{told.get('VERSION_CODENAME')}/"):
            return address
    return ""


def _os_release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}


def _unpack(names: Sequence[str], mirror: str, suite: str) -> list[str]:
    """Fetch these packages of a suite, each checked by apt against the archive's signed lists, and unpack them.

    apt works in a folder of its own: its sources, lists and cache are not the system's.
    """
    NEWER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="apt-", dir=NEWER) as scratch:
        root = Path(scratch)
        options = _private(root, mirror, suite)
        updated = _run(["apt-get", *options, "update"])
        if updated.returncode:
            return [f"apt-get update of {suite} failed: {_last(updated)}"]
        reasons = []
        for name in names:
            package = PROGRAMS[name].package
            (folder := root / name).mkdir()
            fetched = _run(["apt-get", *options, "download", package], folder)
            debs = list(folder.glob("*.deb"))
            if fetched.returncode or not debs:
                reasons.append(f"{package} cannot be had of {suite}: {_last(fetched)}")
                continue
            version = debs[0].name.split("_")[1].replace("%3a", ":")
            laid = _run(["dpkg-deb", "-x", str(debs[0]), str(folder / "laid")])
            program = folder / "laid/usr/bin" / PROGRAMS[name].program
            # Also what a newer C library is missing for shows here, and not in the middle of a test.
            trial = laid if laid.returncode else _run([str(program), "--version"])
            if trial.returncode:
                reasons.append(f"{package} {version} of {suite} does not run here: {_last(trial)}")
                continue
            (NEWER / name / version).mkdir(parents=True, exist_ok=True)
            program.rename(NEWER / name / version / program.name)
        return reasons


def _private(root: Path, mirror: str, suite: str) -> list[str]:
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (root / folder).mkdir(parents=True)
    (root / "status").touch()
    keys = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    source = {"Types": "deb", "URIs": mirror, "Suites": suite, "Components": "main", "Targets": "Packages"}
    if keys.exists():
        source["Signed-By"] = str(keys)
    (root / "only.sources").write_text("".join(f"{field}: {value}\n" for field, value in source.items()))
    settings = {
        "Dir::State": root / "state",
        "Dir::State::status": root / "status",
        "Dir::Cache": root / "cache",
        "Dir::Etc::sourcelist": root / "only.sources",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Acquire::Languages": "none",
        # apt's own user could not reach a folder under somebody's home; signatures are checked all the same.
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _build(name: str, say: Callable[[str], None]) -> str:
    """Build a release with Go, as a module of its own: what replaces and excludes its module names are not ours."""
    part = PROGRAMS[name]
    if not shutil.which("go"):
        return "PARTS_BUILD asks for a build and there is no Go toolchain on the PATH"
    say(f"building {name} {part.release} with Go into {NEWER} (once, ten minutes or more)")
    NEWER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="go-", dir=NEWER) as scratch:
        root = Path(scratch)
        (root / "go.mod").write_text("module built\n\ngo 1.23\n")
        (root / "out").mkdir()
        for command in (["get", f"{part.module}@{part.release}"], ["build", *_SMALL, "-o", "out/", part.module]):
            done = _run(["go", *command], root, {"GOFLAGS": "-buildvcs=false"}, patience=3600)
            if done.returncode:
                return f"go {command[0]} {part.module} {part.release} failed: {_last(done)}"
        (NEWER / name).mkdir(exist_ok=True)
        (root / "out").rename(NEWER / name / part.release)
    return ""


def _run(
    command: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    patience: float = _PATIENCE,
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, f"no end after {patience:g} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, str(error))


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines else f"status {done.returncode}"


if __name__ == "__main__":
    for _name in PROGRAMS:
        print(locate_newer(_name, install=True), file=sys.stdout)
