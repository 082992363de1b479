"""Message brokers as running servers on free loopback ports: RabbitMQ, Redis, NATS and Kafka, each in its own folder.

Decides how each is started so that it is alone and leaves nothing behind. Kafka has no package: its jars come from
Maven Central, once, into the tools folder, where Java and Maven are.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Self

from rating_demo.finding import TOOLS, PartMissing, locate, locate_all
from rating_demo.parts import Server, not_root
from rating_demo.processes import PartFailed, Process, free_port

KAFKA_VERSION = "3.9.1"

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka-jars</artifactId><version>1</version>
<dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version>
</dependency></dependencies></project>
"""


def listens(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Redis(Server):
    """A Redis over `folder` that keeps what it was given across `stop` and `start`."""

    def __init__(self, folder: Path, *, port: int | None = None, install: bool = False) -> None:
        program = locate("redis_server", install=install)
        self.folder, self.port = folder, port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = Process(
            "redis",
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes"],
            folder / "redis.log",
        )

    def start(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process.start()
        self.process.wait_until(lambda: listens(self.port), 20)
        return self


class Nats(Server):
    """A NATS server with JetStream over `folder`."""

    def __init__(self, folder: Path, *, port: int | None = None, install: bool = False) -> None:
        program = locate("nats_server", install=install)
        self.folder, self.port = folder, port or free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.process = Process(
            "nats",
            [program, "-js", "-sd", folder / "streams", "-a", "127.0.0.1", "-p", str(self.port)],
            folder / "nats.log",
        )

    def start(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process.start()
        self.process.wait_until(lambda: listens(self.port), 20)
        return self


class RabbitMQ(Server):
    """A RabbitMQ node over `folder`, with a name, an Erlang port mapper and a distribution port of its own.

    The port mapper would otherwise be a daemon shared by all of the machine, which outlives whoever started it. As root
    the node runs as `rabbitmq` (or `nobody`), in a folder which that user can reach; without `folder`, in a temporary
    one that is removed at the end.
    """

    def __init__(self, folder: Path | None = None, *, port: int | None = None, install: bool = False) -> None:
        wrapper, epmd = locate_all(("rabbitmq_server", "epmd"), install=install)
        # Debian's wrapper changes the user to its service's and reads its service's settings.
        own = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
        self._temporary = folder is None
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="rating-rabbitmq-"))
        self.folder, self.port = folder, port or free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        mapper, distribution = free_port(), free_port()
        self._user, self._group = not_root("RabbitMQ", "rabbitmq", "nobody")
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(folder),  # where Erlang keeps its cookie
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"rating{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "db"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "environment"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        as_whom = {"user": self._user, "group": self._group}
        self._mapper = Process(
            "epmd",
            [epmd, "-port", str(mapper), "-address", "127.0.0.1"],
            folder / "epmd.log",
            environment=environment,
            **as_whom,  # type: ignore[arg-type]
        )
        self.process = Process(
            "rabbitmq",
            [own[-1] if own else wrapper],
            folder / "rabbitmq.log",
            environment=environment,
            folder=folder,
            **as_whom,  # type: ignore[arg-type]
        )

    def start(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None and self._group is not None:
            os.chown(self.folder, self._user, self._group)
            if not _reaches(self.folder, self._user):
                raise PartMissing(
                    f"RabbitMQ does not run as root, and user {self._user} cannot enter {self.folder}",
                    "give it a folder below one that everybody may enter",
                )
        self._mapper.start()
        self.process.start()
        self.process.wait_until(lambda: listens(self.port), 180)
        return self

    def stop(self) -> None:
        self.process.stop()
        self._mapper.stop()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)


class Kafka(Server):
    """One Kafka broker that is its own controller (KRaft), over `folder`; `url` is a bootstrap address."""

    def __init__(self, folder: Path, *, port: int | None = None, install: bool = False) -> None:
        self._java = locate("java", install=install)
        self._jars = kafka_jars(install=install)
        self.folder, self.port = folder, port or free_port()
        self.url = f"127.0.0.1:{self.port}"
        self._settings = folder / "server.properties"
        self.process = Process(
            "kafka",
            [
                self._java,
                *("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
                *("-cp", f"{self._jars}/*", "kafka.Kafka", self._settings),
            ],
            folder / "kafka.log",
            folder=folder,
        )

    def start(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._settings.exists():
            controller = free_port()
            lines = {
                "process.roles": "broker,controller",
                "node.id": "1",
                "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
                "controller.listener.names": "CONTROLLER",
                "log.dirs": str(self.folder / "data"),
                "offsets.topic.replication.factor": "1",
                "offsets.topic.num.partitions": "1",
                "transaction.state.log.replication.factor": "1",
                "transaction.state.log.num.partitions": "1",
                "transaction.state.log.min.isr": "1",
                "group.initial.rebalance.delay.ms": "0",
                "group.min.session.timeout.ms": "1000",
                "auto.create.topics.enable": "false",
                "log.retention.check.interval.ms": "500",
                "log.initial.task.delay.ms": "500",
                "log.segment.delete.delay.ms": "100",
            }
            self._settings.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
            self._format()
        self.process.start()
        self.process.wait_until(lambda: listens(self.port), 180)
        return self

    def _format(self) -> None:
        cluster = uuid.uuid4().hex[:22]
        done = subprocess.run(
            [
                self._java,
                *("-XX:TieredStopAtLevel=1", "-cp", f"{self._jars}/*", "kafka.tools.StorageTool"),
                *("format", "-t", cluster, "-c", self._settings),
            ],
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise PartFailed(f"kafka could not format {self.folder}:\n{(done.stdout + done.stderr).strip()[-2000:]}")


def kafka_jars(*, install: bool = False, say: Callable[[str], None] | None = None) -> Path:
    """The folder of Kafka's jars. Raises PartMissing when it is not there and cannot be brought."""
    folder = TOOLS / f"kafka-{KAFKA_VERSION}"
    if any(folder.glob("kafka_*.jar")):
        return folder
    advice = f"copy the jars of org.apache.kafka:kafka_2.13:{KAFKA_VERSION} and what they need into {folder}"
    if not install:
        raise PartMissing("Kafka's jars were not found", advice)
    mvn = locate("mvn", install=True)
    arriving = TOOLS / f"arriving-{os.getpid()}"
    arriving.mkdir(parents=True, exist_ok=True)
    (arriving / "pom.xml").write_text(_POM.format(version=KAFKA_VERSION))
    if say is not None:
        say(f"bringing the jars of Kafka {KAFKA_VERSION} with Maven (once, 46 MB)")
    try:
        done = subprocess.run(
            [mvn, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime"],
            cwd=arriving,
            capture_output=True,
            text=True,
            timeout=600,
        )
    except subprocess.TimeoutExpired as error:
        raise PartMissing("Maven did not bring Kafka's jars within 600 s", advice) from error
    if done.returncode:
        raise PartMissing(f"Maven could not bring Kafka's jars:\n{done.stdout.strip()[-800:]}\n", advice)
    try:
        (arriving / "jars").rename(folder)
    except OSError:
        if not folder.exists():  # somebody else brought them in the meantime
            raise
    return folder


def _reaches(folder: Path, user: int) -> bool:
    return all(parent.stat().st_mode & 0o001 or parent.stat().st_uid == user for parent in folder.resolve().parents)
