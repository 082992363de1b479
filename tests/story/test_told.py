"""A real Alertmanager, `rating run`, a mail server and a CRM: what is told, once, and what a forged alert comes to.

That Prometheus raises the alerts and the counters decide is told by `make demo`, from the call that crosses the line.
"""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from rating.adapters.store import open_book
from rating.bootstrap import load_catalogue
from rating.settings import Settings
from rating_demo.mailbox import Mailbox
from rating_demo.parts import Alertmanager, free_port
from rating_demo.receiver import Receiver
from rating_rules import Receivers, generate

from .platform_story import Engine, until

pytestmark = pytest.mark.slow

SECRET, TOKEN = "shared by both", "shown by Alertmanager"
CATALOGUE = """\
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: consumer_id}
plans:
  pro:
    charges: [{meter: calls, included: 100, unit_price: "0.10"}]
    upsell: {to: scale, at: [80%, 100%]}
  scale: {fee: "60.00", charges: [{meter: calls, unit_price: "0.01"}]}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01, trial_end: TRIAL}
notifications:
  routes: {upsell: [crm, mail], operations: [crm]}
  contacts: {acme: {email: ada@acme.example, language: de}}
"""


def raised(alertmanager: str, name: str, **labels: str) -> None:
    """As Prometheus raises an alert, again and again while it holds."""
    alert = {"labels": {"alertname": name, **labels}, "annotations": {"used": "999999"}}
    requests.post(f"{alertmanager}/api/v2/alerts", json=[alert], timeout=10).raise_for_status()


def test_told_once_by_two_engines_whatever_is_raised(tmp_path: Path, alertmanager_binary: Path) -> None:
    ends = (datetime.now(UTC) + timedelta(days=2)).date()
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE.replace("TRIAL", ends.isoformat()))
    (tmp_path / "token").write_text(TOKEN)
    port = free_port()
    hook = f"http://127.0.0.1:{port}/hooks/alertmanager"
    receivers = Receivers("", "", "", "", hook, str(tmp_path / "token"))
    routes = generate(load_catalogue(Settings(catalog=tmp_path / "catalogue.yaml")), receivers)["alertmanager.yml"]
    with (
        Receiver(secret=SECRET) as crm,
        Mailbox() as mailbox,
        Alertmanager(tmp_path / "alertmanager", routes) as alertmanager,
    ):
        (tmp_path / "channels.yaml").write_text(
            f'crm: {{kind: webhook, url: "{crm.url}", secret: "{SECRET}"}}\n'
            f'mail: {{kind: email, server: "{mailbox.server}", security: none, sender: api@seller.example}}\n'
        )
        settings = {
            "RATING_CATALOG": str(tmp_path / "catalogue.yaml"),
            "RATING_DATABASE_URL": f"sqlite:///{tmp_path / 'book.db'}",
            "RATING_PROMETHEUS_URL": "http://127.0.0.1:1",
            "RATING_CHANNELS": str(tmp_path / "channels.yaml"),
            "RATING_HOOK_TOKEN": TOKEN,
            "RATING_PUBLIC_URL": "https://rating.example",
            "RATING_TOKEN_SECRET": "sixteen characters and more",
        }
        with (
            Engine(tmp_path / "one", settings | {"RATING_LISTEN": f"127.0.0.1:{port}"}) as one,
            Engine(tmp_path / "two", settings) as two,
        ):
            assert one.url
            assert two.url
            for _ in range(3):
                raised(alertmanager.url, "RatingMeterSilent", audience="operations", meter="calls", severity="critical")
                for consumer in ("acme", "mallory"):
                    labels = {"consumer": consumer, "meter": "calls", "threshold": "100%", "audience": "upsell"}
                    raised(alertmanager.url, "RatingAllowanceReached", **labels)
            until(lambda: {post.document["type"] for post in crm.posted} >= {"alert", "trial_ending"})
            until(lambda: mailbox.received)
            until(lambda: len(heard(settings)) == 3)
            assert requests.post(hook, json={}, timeout=10).status_code == 401
            # The one that leads is killed; the other goes on and says nothing twice.
            leader, other = (one, two) if one.health()[1]["leading"] else (two, one)
            os.kill(leader.process.pid, signal.SIGKILL)
            until(lambda: other.health()[1]["leading"] and other.health()[1]["ticks"] > 2)
            assert TOKEN not in one.said + two.said
            assert SECRET not in one.said + two.said
        assert sorted(post.document["type"] for post in crm.posted) == ["alert", "trial_ending"]
        assert crm.dropped == 0
        [mail] = mailbox.received
    assert (mail.recipient, "Die Testphase von pro endet am" in mail.text) == ("ada@acme.example", True)
    assert "https://rating.example/unsubscribe?t=" in str(mail.message["List-Unsubscribe"])
    assert "RatingMeterSilent" in next(post for post in crm.posted if post.document["type"] == "alert").body.decode()


def heard(settings: dict[str, str]) -> list[str]:
    with open_book(settings["RATING_DATABASE_URL"]) as book:
        return [one.alert.name for one in book.heard(datetime.now(UTC) - timedelta(hours=1))]
