"""Everything that runs during the demonstration, started in order and ended in reverse. Tells no story.

State lives under `.demo/`, which is emptied first. Settings reach the engine as RATING_* variables, as they would in
production; the commands of the demonstration are the real ones, run as processes of their own.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from rating.bootstrap import load_catalogue
from rating.core.catalogue import Catalogue
from rating.errors import RatingError
from rating.settings import PREFIX, Settings
from rating_demo import blocks, catalogue
from rating_demo.callers import Callers
from rating_demo.history import ALMOST_OUT, History
from rating_demo.inbox import Inbox
from rating_demo.mailbox import Mailbox
from rating_demo.parts import Alertmanager, Process, Prometheus, answers, free_port, locate_all
from rating_demo.receiver import Receiver
from rating_rules import Receivers, generate
from rating_rules.policy import DEFAULT

SCRAPE = timedelta(seconds=2)
"""How often the live API and the engine are scraped, and how often the rules are evaluated: people are watching."""
PARTS = ("prometheus", "promtool", "alertmanager", "amtool")


class AlreadyRunning(RatingError):
    """Another demonstration uses the same folder."""


class Stage:
    """The parts of one demonstration under `folder`. Each `start_*` may be called once, in the order of this file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._stack = ExitStack()
        self.book_url = f"sqlite:///{self.folder / 'rating.db'}"
        self.engine_port, self.api_port = free_port(), free_port()
        self.engine_url = f"http://127.0.0.1:{self.engine_port}"
        self.api_url = f"http://127.0.0.1:{self.api_port}"
        self.inbox: Inbox
        self.mailbox: Mailbox
        self.crm: Receiver
        self._secrets = {name: secrets.token_urlsafe(24) for name in ("hook", "tokens", "crm")}
        self.prometheus: Prometheus
        self.alertmanager: Alertmanager
        self.engine: Process
        self.callers: Callers
        self.catalogue: Catalogue

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The folder to ourselves, empty; at the end every process is gone, and the folder stays to be looked at.

        Raises:
            AlreadyRunning: somebody else holds it.
            RatingError: it holds something that no demonstration put there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if any(self.folder.iterdir()) and not (self.folder / "lock").exists():
            raise RatingError(f"{self.folder} is not empty and not ours to empty; name a new folder")
        with (self.folder / "lock").open("w") as lock, self._stack:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(
                    f"a demonstration already runs in {self.folder}; end it first, or use another checkout"
                ) from None
            for item in self.folder.iterdir():
                if item.is_dir():
                    shutil.rmtree(item)
                elif item.name != "lock":
                    item.unlink()
            yield

    # in order -------------------------------------------------------------------------------------------------------

    def find_parts(self, install: bool) -> None:
        self._promtool = dict(zip(PARTS, locate_all(PARTS, install=install), strict=True))["promtool"]

    def write_catalogue(self, history: History) -> None:
        folder = catalogue.dated(self.folder / "catalogue", history.last_month.start.date())
        self.catalogue = load_catalogue(Settings(catalog=folder))

    def write_history(self, history: History) -> int:
        """Blocks of the whole history; returns the number of samples."""
        return blocks.create(history.series(), self.folder / "prometheus" / "data", self._promtool)

    def start_servers(self) -> None:
        """The mailbox, the CRM, the inbox, the API, Alertmanager and Prometheus with the generated rules."""
        self.mailbox = self._stack.enter_context(Mailbox())
        self.crm = self._stack.enter_context(Receiver(secret=self._secrets["crm"]))
        channels = {
            "crm": {"kind": "webhook", "url": self.crm.url, "secret": self._secrets["crm"]},
            "mail": {
                "kind": "email",
                "server": self.mailbox.server,
                "security": "none",
                "sender": "Search by the Request <usage@search.example>",
            },
        }
        self._written("channels.yaml", yaml.safe_dump(channels, sort_keys=False))
        self.inbox = self._stack.enter_context(Inbox(self.folder / "inbox"))
        address = self.inbox.url.removesuffix("/sales")
        receivers = Receivers(
            upsell="",
            operations=f"{address}/operations",
            finance=f"{address}/finance",
            default=f"{address}/other",
            engine=f"{self.engine_url}/hooks/alertmanager",
            engine_token_file=str(self._written("hook_token", self._secrets["hook"])),
        )
        files = generate(_watched_closely(self.catalogue), receivers, replace(DEFAULT, forecast_for=SCRAPE))
        alertmanager = files.pop("alertmanager.yml")
        del files["rating.tmpl"]  # for receivers that write to people; here all are webhooks
        rules = self.folder / "prometheus" / "rules"
        rules.mkdir(parents=True)
        for name, text in files.items():
            (rules / name).write_text(_evaluated_closely(text))
        self._run("api", [sys.executable, "-m", "rating_demo.api", "--port", str(self.api_port)], self.api_url)
        self.alertmanager = self._stack.enter_context(Alertmanager(self.folder / "alertmanager", alertmanager))
        self.prometheus = self._stack.enter_context(Prometheus(self.folder / "prometheus", self._prometheus_yml()))

    def start_engine(self) -> None:
        self.engine = self._run("engine", [_command(), "run"], self.engine_url)

    def start_callers(self) -> None:
        self.callers = self._stack.enter_context(Callers(self.api_url, watched=(ALMOST_OUT,)))

    def _written(self, name: str, text: str) -> Path:
        """A file that only we may read: it holds secrets."""
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(text)
        return file

    def _run(self, name: str, command: list[str], url: str) -> Process:
        process = Process(name, command, self.folder / f"{name}.log", environment=self.environment)
        self._stack.callback(process.stop)
        process.start()
        process.wait_until(lambda: answers(f"{url}/metrics"), 30)
        return process

    # the engine's own commands and figures --------------------------------------------------------------------------

    @property
    def environment(self) -> Mapping[str, str]:
        """Ours without any RATING_ setting of its own, and the demonstration's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        kept |= {"RATING_CATALOG": str(self.folder / "catalogue"), "RATING_DATABASE_URL": self.book_url}
        if hasattr(self, "prometheus"):
            kept["RATING_PROMETHEUS_URL"] = self.prometheus.url
        kept |= {"RATING_LISTEN": f"127.0.0.1:{self.engine_port}", "RATING_TICK_SECONDS": "2"}
        kept |= {
            "RATING_HOOK_TOKEN": self._secrets["hook"],
            "RATING_TOKEN_SECRET": self._secrets["tokens"],
            "RATING_PUBLIC_URL": self.engine_url,
        }
        if (self.folder / "channels.yaml").exists():
            kept["RATING_CHANNELS"] = str(self.folder / "channels.yaml")
        return kept | {"RATING_SELLER": "Search by the Request, Inc.", "PYTHONUNBUFFERED": "1"}

    def rating(self, *words: str, width: int = 120, colour: bool = False) -> tuple[int, str]:
        """Run `rating WORDS` and return its exit code and everything it printed."""
        environment = dict(self.environment) | {"COLUMNS": str(width)}
        if colour:
            environment["FORCE_COLOR"] = "1"
        done = subprocess.run(
            [_command(), *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout

    def figures(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """The engine's metrics as it shows them now, by name and sorted labels."""
        text = requests.get(f"{self.engine_url}/metrics", timeout=10).text
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, metric: str, **labels: str) -> float:
        """The sum of one of the engine's metrics over the series that carry these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(
            value for (name, carried), value in self.figures().items() if name == metric and wanted <= set(carried)
        )

    def _prometheus_yml(self) -> str:
        address = self.alertmanager.url.removeprefix("http://")
        seconds = f"{SCRAPE.total_seconds():g}s"
        return f"""\
global: {{scrape_interval: {seconds}, scrape_timeout: {seconds}, evaluation_interval: {seconds}}}
rule_files: [rules/*.rules.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["{address}"]}}]}}]
scrape_configs:
  - job_name: api
    static_configs: [{{targets: ["127.0.0.1:{self.api_port}"]}}]
  - job_name: rating
    static_configs: [{{targets: ["127.0.0.1:{self.engine_port}"]}}]
"""


def _watched_closely(catalogue: Catalogue) -> Catalogue:
    """The catalogue for the rules: the live API is scraped more often than the history was."""
    meters = {name: replace(meter, scrape_interval=SCRAPE) for name, meter in catalogue.meters.items()}
    return replace(catalogue, meters=meters)


def _evaluated_closely(text: str) -> str:
    """Forecasts every few seconds in place of every minute: nobody watches a demonstration for minutes."""
    document = yaml.safe_load(text)
    for group in document["groups"]:
        if group["name"] in ("rating forecasts", "rating plans"):
            group["interval"] = f"{SCRAPE.total_seconds():g}s"
    return str(yaml.safe_dump(document, sort_keys=False, width=1000))


def _command() -> str:
    beside = Path(sys.executable).with_name("rating")
    found = str(beside) if beside.exists() else shutil.which("rating")
    if found is None:
        raise RatingError("the command `rating` is not installed beside this Python; run it with `make demo`")
    return found
