"""`rating run`: the scheduler, with /metrics and /healthz."""

from __future__ import annotations

import logging
import signal
from typing import Annotated

import typer

from rating.bootstrap import open_book
from rating.cli.frame import now, settings_of, stderr
from rating.engine import Engine
from rating.settings import safe_url
from rating.web.app import application, serving
from rating.web.doors import doors
from rating.web.metrics import EngineMetrics


def add(app: typer.Typer) -> None:
    app.command("run")(command)


def command(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step.")] = False,
) -> None:
    """Collect, accrue and bill on schedule until SIGTERM or Ctrl-C, catching up oldest first after any downtime.

    Two engines may run on one database: one works, the other waits. SIGTERM finishes the current step and leaves.
    """
    settings = settings_of(context)
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("rating").setLevel(logging.INFO)
    if not verbose:
        # A line for each retry of a connection and each tick that found the one before at work; failures are told once.
        for talkative in ("urllib3", "apscheduler"):
            logging.getLogger(talkative).setLevel(logging.ERROR)
    metrics = EngineMetrics()
    with open_book(settings) as book:
        engine = Engine(settings, book, metrics)
        scheduler = engine.scheduler(now)
        opened = doors(
            settings,
            book,
            lambda: engine.routing,
            now,
            engine.doors,
            refused=metrics.gateways.refused,
            accepted=metrics.gateways.accepted,
            pipeline=lambda: engine.pipeline,
        )
        for signalled in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signalled, lambda *_: scheduler.stop())
        with serving(application(metrics.registry, scheduler.health.facts, opened), settings.listen) as url:
            stderr.print(
                f"rating engine: metrics and health at {url}, book {safe_url(settings.database_url)}, "
                f"Prometheus {', '.join(safe_url(each) for each in settings.prometheus_urls)}",
                soft_wrap=True,
            )
            scheduler.run()
    stderr.print("rating engine: stopped; nothing is lost, the next run goes on from here")
