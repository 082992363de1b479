"""The native parts as running servers on free loopback ports, each a context manager with a `url`.

Decides how each is started so that it is alone, quick and leaves nothing behind; where programs come from is decided in
`finding`, how a process lives and dies in `processes`.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from rating_demo.finding import PARTS, TOOLS, PartMissing, locate, locate_all
from rating_demo.openmetrics import Series
from rating_demo.processes import PartFailed, Process, answers, free_port

__all__ = [
    "PARTS",
    "TOOLS",
    "Alertmanager",
    "PartFailed",
    "PartMissing",
    "PostgreSQL",
    "Process",
    "Prometheus",
    "Server",
    "VictoriaMetrics",
    "answers",
    "free_port",
    "locate",
    "locate_all",
    "not_root",
]

_NO_TARGETS = "global: {scrape_interval: 15s}\n"


class Server(ABC):
    """Started on entering, stopped on leaving, whatever happened in between."""

    url: str
    process: Process

    @abstractmethod
    def start(self) -> Self:
        """Start it and wait until it answers."""

    def stop(self) -> None:
        self.process.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Prometheus(Server):
    """A Prometheus over `folder`, with its own configuration.

    Args:
        folder: becomes `folder/prometheus.yml`, `folder/data`, `folder/prometheus.log`.
        config: the text of prometheus.yml; without it nothing is scraped.
        blocks: a folder of TSDB blocks (from `promtool tsdb create-blocks-from`), copied into the data folder.
        retention: Prometheus's own spelling. Blocks older than it are deleted soon after the start.
        port: a free one when not given.
        flags: further command line flags.
        program: another one than the distribution's, such as `newer` brings.
        install: bring Prometheus by the distribution's packages when it is missing.

    Raises:
        PartMissing: there is no prometheus on this machine.
        PartFailed: it did not become ready; the end of its log is in the message.
    """

    def __init__(
        self,
        folder: Path,
        config: str = _NO_TARGETS,
        *,
        blocks: Path | None = None,
        retention: str = "400d",
        port: int | None = None,
        flags: Sequence[str] = (),
        program: Path | None = None,
        install: bool = False,
    ) -> None:
        program = program or locate("prometheus", install=install)
        self.folder, self.blocks = folder, blocks
        self.data = folder / "data"
        self.config = folder / "prometheus.yml"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._text = config
        self.process = Process(
            "prometheus",
            [
                program,
                f"--config.file={self.config}",
                f"--storage.tsdb.path={self.data}",
                f"--storage.tsdb.retention.time={retention}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--web.enable-lifecycle",
                "--web.enable-admin-api",
                "--log.level=warn",
                *flags,
            ],
            folder / "prometheus.log",
        )

    def start(self) -> Self:
        self.data.mkdir(parents=True, exist_ok=True)
        self.config.write_text(self._text)
        if self.blocks is not None:
            for block in sorted(self.blocks.iterdir()):
                if (block / "meta.json").exists() and not (self.data / block.name).exists():
                    shutil.copytree(block, self.data / block.name)
        self.process.start()
        self.process.wait_until(lambda: answers(f"{self.url}/-/ready"), 60)
        return self

    def reload(self, config: str | None = None) -> None:
        """Read the configuration and rule files again.

        Raises:
            PartFailed: Prometheus refuses them and goes on with the old ones; its reason is in the message.
        """
        if config is not None:
            self.config.write_text(config)
        answer = requests.post(f"{self.url}/-/reload", timeout=30)
        if answer.status_code != 200:
            raise PartFailed(f"prometheus refused {self.config}: {answer.text.strip()}")


class VictoriaMetrics(Server):
    """A VictoriaMetrics over `folder`, empty at first. Arguments and errors as for Prometheus."""

    def __init__(
        self,
        folder: Path,
        *,
        retention: str = "100y",
        flags: Sequence[str] = (),
        program: Path | None = None,
        install: bool = False,
    ) -> None:
        program = program or locate("victoria_metrics", install=install)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        own = [f"-retentionPeriod={retention}", f"-storageDataPath={folder / 'data'}"]
        command = [program, *own, f"-httpListenAddr=127.0.0.1:{port}", *flags]
        self.process = Process("victoria-metrics", command, folder / "victoria-metrics.log")

    def start(self) -> Self:
        self.process.start()
        self.process.wait_until(lambda: answers(f"{self.url}/health"), 30)
        return self

    def store(self, series: Iterable[Series]) -> None:
        """Keep these samples; found by queries from the moment this returns."""
        waiting = iter(series)
        while some := list(islice(waiting, 1_000)):
            body = b"\n".join(map(_imported, some))
            requests.post(f"{self.url}/api/v1/import", data=body, timeout=120).raise_for_status()
        self.flush()

    def flush(self) -> None:
        """Let queries find everything that was written, which they otherwise do a moment later."""
        requests.get(f"{self.url}/internal/force_flush", timeout=120).raise_for_status()


def _imported(series: Series) -> bytes:
    labels = {name: value for name, value in series.labels.items() if value}
    columns = {"values": series.values.tolist(), "timestamps": series.times.tolist()}
    return json.dumps({"metric": {"__name__": series.metric, **labels}, **columns}).encode()


class Alertmanager(Server):
    """An Alertmanager over `folder`, alone (no cluster), with the given configuration text. Raises as Prometheus."""

    def __init__(self, folder: Path, config: str, *, port: int | None = None, install: bool = False) -> None:
        program = locate("alertmanager", install=install)
        self.folder, self.config = folder, folder / "alertmanager.yml"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._text = config
        self.process = Process(
            "alertmanager",
            [
                program,
                f"--config.file={self.config}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--cluster.listen-address=",
                "--log.level=warn",
            ],
            folder / "alertmanager.log",
        )

    def start(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(self._text)
        self.process.start()
        self.process.wait_until(lambda: answers(f"{self.url}/-/ready"), 30)
        return self


class PostgreSQL(Server):
    """A PostgreSQL cluster of its own, trusting loopback; `url` is SQLAlchemy's, `database(name)` makes another.

    Neither initdb nor the server runs as root: as root, both run as `postgres` (or `nobody`), in a folder that user can
    reach. Without `folder` it lives in a temporary one that is removed at the end. Durability is off: it is a test's.

    Raises:
        PartMissing, PartFailed: as Prometheus.
    """

    def __init__(self, folder: Path | None = None, *, port: int | None = None, install: bool = False) -> None:
        self._initdb, server, self._createdb = locate_all(("initdb", "postgres", "createdb"), install=install)
        self._temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="rating-postgres-")) if folder is None else folder
        self.data = self.folder / "data"
        self.port = port or free_port()
        self.url = self._url("postgres")
        self._user, self._group = not_root("PostgreSQL", "postgres", "nobody")
        self.process = Process(
            "postgres",
            [
                server,
                *("-D", self.data, "-p", str(self.port), "-h", "127.0.0.1"),
                *("-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off"),
                *("-c", "synchronous_commit=off", "-c", "max_connections=100"),
            ],
            self.folder / "postgres.log",
            folder=self.folder,
            user=self._user,
            group=self._group,
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for every client to leave
        )

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None and self._group is not None:
            os.chown(self.folder, self._user, self._group)
        if not self.data.exists():
            self._run(
                self._initdb,
                *("-D", self.data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"),
            )
        self.process.start()
        self.process.wait_until(self._accepts, 30)
        return self

    def stop(self) -> None:
        self.process.stop()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, name: str) -> str:
        """Create an empty database and return its SQLAlchemy URL."""
        self._run(self._createdb, "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name)
        return self._url(name)

    def _accepts(self) -> bool:
        ready = self._createdb.with_name("pg_isready")
        asked: list[str | Path] = [ready, "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, capture_output=True).returncode == 0

    def _run(self, *command: str | Path) -> None:
        as_somebody: dict[str, object] = {}
        if self._user is not None:
            as_somebody = {"user": self._user, "group": self._group, "extra_groups": []}
        done = subprocess.run(
            [os.fspath(word) for word in command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **as_somebody,  # type: ignore[call-overload]
        )
        if done.returncode:
            raise PartFailed(f"{Path(command[0]).name} failed with status {done.returncode}:\n{done.stdout.strip()}")


def not_root(server: str, *names: str) -> tuple[int | None, int | None]:
    """Whom a server runs as that refuses root: ourselves, or the first of `names` when we are root."""
    if os.geteuid() != 0:
        return None, None
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise PartMissing(
        f"{server} must not run as root and there is no user {' or '.join(names)}", f"add a user {names[0]}"
    )
