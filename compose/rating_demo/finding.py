"""Finds the native parts (Prometheus, PostgreSQL, Chromium, message brokers ...) or installs them. Starts nothing.

Order: a variable `PART_<NAME>`, the PATH, the project's `.tools/` folder and the places distributions use, then, only
when asked, the distribution's own packages. An installation never starts a service and never touches one that runs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rating.errors import RatingError

_HOME = Path(__file__).resolve().parents[2]
TOOLS = (_HOME if (_HOME / "pyproject.toml").exists() else Path.cwd()) / ".tools"
"""Release archives may be unpacked here; it also holds the lock of an installation."""


class PartMissing(RatingError):
    """A native part is not on this machine and could not be installed; says what to do."""

    def __init__(self, reason: str, advice: str) -> None:
        self.reason, self.advice = reason, advice
        super().__init__(f"{reason}; {advice}")


@dataclass(frozen=True, slots=True)
class Source:
    """What brings some programs."""

    package: str
    """Debian's and Ubuntu's package."""
    brew: str
    unit: str = ""
    """The system service the package enables; it is disabled again when we were the ones to install it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One program: what it may be called, and what brings it."""

    name: str
    source: Source
    aliases: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """For a library or a font: patterns under the root of the file system, the first that exists is it."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


_PROMETHEUS = Source("prometheus", "prometheus", "prometheus.service")
_ALERTMANAGER = Source("prometheus-alertmanager", "alertmanager", "prometheus-alertmanager.service")
_POSTGRESQL = Source("postgresql", "postgresql", "postgresql.service")
_RABBITMQ = Source("rabbitmq-server", "rabbitmq", "rabbitmq-server.service")
_PUSHGATEWAY_UNIT = "prometheus-pushgateway.service"


def _library(name: str) -> tuple[str, ...]:
    places = ("usr/lib/*", "usr/lib", "lib/*", "opt/homebrew/lib", "usr/local/lib")
    return tuple(f"{place}/{name}.{ending}" for place in places for ending in ("so.0", "*.dylib", "dylib"))


def _font(*names: str) -> tuple[str, ...]:
    places = ("usr/share/fonts/**", "usr/local/share/fonts/**", "Library/Fonts", "Users/*/Library/Fonts")
    return tuple(f"{place}/{name.replace('[', '[[]')}*" for place in places for name in names)


PARTS = {
    part.name: part
    for part in (
        Part("prometheus", _PROMETHEUS),
        Part("promtool", _PROMETHEUS),
        Part("alertmanager", _ALERTMANAGER, ("prometheus-alertmanager",)),
        Part("amtool", _ALERTMANAGER),
        Part("postgres", _POSTGRESQL),
        Part("initdb", _POSTGRESQL),
        Part("pg_ctl", _POSTGRESQL),
        Part("createdb", _POSTGRESQL),
        Part(
            "victoria_metrics",
            Source("victoria-metrics", "victoriametrics", "victoria-metrics.service"),
            ("victoria-metrics", "victoria-metrics-prod"),
        ),
        Part("chromium", Source("chromium", "chromium"), ("chromium-browser", "google-chrome")),
        Part(
            "redis_server", Source("redis-server", "redis", "redis-server.service"), ("redis-server", "valkey-server")
        ),
        Part("nats_server", Source("nats-server", "nats-server", "nats-server.service"), ("nats-server",)),
        Part("rabbitmq_server", _RABBITMQ, ("rabbitmq-server",)),
        Part("epmd", _RABBITMQ),
        Part("java", Source("openjdk-17-jre-headless", "openjdk@17")),
        Part("mvn", Source("maven", "maven")),
        Part("pushgateway", Source("prometheus-pushgateway", "", _PUSHGATEWAY_UNIT), ("prometheus-pushgateway",)),
        # What draws documents, and the letters of every script.
        Part("pango", Source("libpangoft2-1.0-0", "pango"), files=_library("libpangoft2-1.0")),
        Part("harfbuzz_subset", Source("libharfbuzz-subset0", "harfbuzz"), files=_library("libharfbuzz-subset")),
        Part("noto", Source("fonts-noto-core", "font-noto-sans"), files=_font("NotoSans-Regular", "NotoSans[")),
        Part("noto_cjk", Source("fonts-noto-cjk", "font-noto-sans-cjk"), files=_font("NotoSansCJK")),
        Part("pdftoppm", Source("poppler-utils", "poppler")),
    )
}


def tell(sentence: str) -> None:
    """For progress: never among what a command prints as its result."""
    print(sentence, file=sys.stderr, flush=True)


def locate(name: str, *, install: bool = False, say: Callable[[str], None] = tell) -> Path:
    """The path of the program `name`.

    Raises:
        PartMissing: it is not here, and `install` was not asked for or could not be done.
    """
    return locate_all((name,), install=install, say=say)[0]


def locate_all(names: Sequence[str], *, install: bool = False, say: Callable[[str], None] = tell) -> tuple[Path, ...]:
    """As `locate`, for several: whatever is missing arrives in one installation."""
    parts = [PARTS[name] for name in names]
    missing = [part for part in parts if _find(part) is None]
    if missing and install:
        _install(missing, say)
    paths = []
    for part in parts:
        path = _find(part)
        if path is None:
            raise PartMissing(f"{part.name} was not found", _advice(part))
        paths.append(path)
    return tuple(paths)


def named_by_variable(variable: str) -> Path | None:
    """The program a variable of the environment names.

    Raises:
        PartMissing: it names something that is none.
    """
    chosen = os.environ.get(variable)
    if chosen and not os.access(chosen, os.X_OK):
        raise PartMissing(f"{variable}={chosen} is not a program", f"correct or unset {variable}")
    return Path(chosen) if chosen else None


def _find(part: Part) -> Path | None:
    chosen = named_by_variable(f"PART_{part.name.upper()}")
    if chosen is not None:
        return chosen
    for pattern in part.files:
        for found_file in sorted(Path("/").glob(pattern)):
            return found_file
    if part.files:
        return None
    for name in part.names:
        found = shutil.which(name)
        if found:
            return Path(found)
    places = [TOOLS, *sorted(TOOLS.glob("*/"), reverse=True), *sorted(TOOLS.glob("*/bin"), reverse=True)]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major, reverse=True)
    # Debian keeps servers in /usr/sbin, which is on root's PATH only.
    places += [Path("/opt/homebrew/bin"), Path("/usr/local/bin"), Path("/usr/sbin")]
    for place in places:
        for name in part.names:
            if os.access(place / name, os.X_OK) and (place / name).is_file():
                return place / name
    return None


def _major(folder: Path) -> int:
    version = folder.parent.name.partition(".")[0]
    return int(version) if version.isdigit() else 0


def _advice(part: Part) -> str:
    if shutil.which("apt-get"):
        how = f"apt-get install {part.source.package} (as root), or make demo as root or with passwordless sudo"
    elif shutil.which("brew"):
        how = f"brew install {part.source.brew}"
    else:
        how = f"install {part.source.package}, or unpack its release archive into {TOOLS}"
    return f"{how}; PART_{part.name.upper()} may name the program; or run everything in containers, see compose/"


# Debian starts a service as it is installed, on a port somebody may need. policy-rc.d is the distribution's own way to
# say no. Whatever policy was there is moved aside and moved back, also after an interruption that left ours behind.
_SCRIPT = r"""
set -eu
policy=/usr/sbin/policy-rc.d
kept=$policy.kept-by-rating-demo
restore() {
  if [ -e "$kept" ] || [ -L "$kept" ]; then mv -f "$kept" "$policy"
  elif grep -qs rating-demo "$policy"; then rm -f "$policy"; fi
}
restore
trap restore EXIT
trap 'exit 1' HUP INT TERM
if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$kept"; fi
printf '#!/bin/sh\n# rating-demo: install, but start nothing\nexit 101\n' > "$policy"
chmod 755 "$policy"
export DEBIAN_FRONTEND=noninteractive
for package in $PACKAGES; do
  if apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]'; then :; else
    apt-get update -qq; break
  fi
done
new=""
for package in $PACKAGES; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || new="$new $package"
done
[ -z "$new" ] || apt-get install -y -qq --no-install-recommends --no-upgrade $new ||
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends --no-upgrade $new; }
if [ -d /run/systemd/system ]; then
  for unit in $UNITS; do systemctl disable --quiet "$unit" || true; done
fi
"""


def _install(missing: Sequence[Part], say: Callable[[str], None]) -> None:
    """Bring the packages of `missing`; does nothing where that is impossible, the caller then says what to do."""
    if not (sys.platform == "linux" and shutil.which("apt-get")):
        return
    with alone():
        # Another process may have installed them while we waited for the lock.
        missing = [part for part in missing if _find(part) is None]
        if not missing:
            return
        prefix: list[str] = []
        if os.geteuid() != 0:
            if not shutil.which("sudo") or subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode:
                return
            prefix = ["sudo", "-n"]
        packages = " ".join(dict.fromkeys(part.source.package for part in missing))
        units = " ".join(
            dict.fromkeys(part.source.unit for part in missing if part.source.unit and not _running(part.source.unit))
        )
        say(f"installing {packages} with apt-get, without starting any service (once, about half a minute)")
        done = subprocess.run(
            [*prefix, "env", f"PACKAGES={packages}", f"UNITS={units}", "bash", "-c", _SCRIPT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-15:])
            raise PartMissing(f"apt-get install {packages} failed:\n{tail}\n", _advice(missing[0]))


def _running(unit: str) -> bool:
    if not unit or not Path("/run/systemd/system").exists():
        return False
    return subprocess.run(["systemctl", "is-active", "--quiet", unit], capture_output=True).returncode == 0


@contextmanager
def alone() -> Iterator[None]:
    """One installation at a time on this checkout; the lock goes with the process that holds it."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
