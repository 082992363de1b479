"""The engine's own tick carries what was issued, and looks again no more often than it must."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from rating.adapters.store import open_book
from rating.engine import JOBS, Engine
from rating.settings import Settings
from rating.web.metrics import EngineMetrics
from tests.adapters.stripe.months import NOW, month
from tests.stripe_peer.peer import StripePeer

CATALOGUE = """
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: consumer_id}
plans:
  pro: {charges: [{meter: calls, unit_price: "0.10"}]}
"""


def test_a_tick_carries_what_was_issued(tmp_path: Path, stripe_peer: StripePeer) -> None:
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    main = f"{{kind: stripe, key: {stripe_peer.key}, url: '{stripe_peer.url}', requests_per_second: 100}}"
    (tmp_path / "gateways.yaml").write_text(f"gateways:\n  main: {main}\n")
    settings = Settings(catalog=tmp_path / "catalogue.yaml", gateways=str(tmp_path / "gateways.yaml"))
    with open_book(f"sqlite:///{tmp_path}/rating.db") as book:
        month(book)
        engine = Engine(settings, book, EngineMetrics())
        assert JOBS.index("bill") < JOBS.index("publish")
        engine.publish(NOW, lambda: False)
        assert len(stripe_peer.state()["invoices"]) == 7
        calls = len(stripe_peer.requests())
        for later in (15, 90):
            engine.publish(NOW + timedelta(seconds=later), lambda: False)
        assert len(stripe_peer.requests()) == calls
        assert book.unfinished("main") == ()
