"""Every tax service that claims the port: the catalogue's rules, a file, and a real HTTP server of our own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rating.adapters.taxes import AnsweredTaxes, AskedTaxes, RuledTaxes
from rating.core.taxation import TaxDecision, TaxQuestion, TaxRule, Treatment
from rating.core.taxes import Tax
from rating.ports import TaxService

VAT = TaxDecision(taxes=(Tax("VAT", Fraction(19)), Tax("City", Fraction("0.5"))))
REVERSED = TaxDecision(Treatment.REVERSE_CHARGE, own_rates=False, note="Reverse charge.")
RULES = (TaxRule("home", VAT, ("DE",)), TaxRule("abroad", REVERSED, ("FR",)))
ANSWERS: dict[str, dict[str, Any]] = {
    "DE": {
        "treatment": "standard",
        "rates": [{"name": "VAT", "percent": "19"}, {"name": "City", "percent": "0.5"}],
        "own_rates": True,
    },
    "FR": {"treatment": "reverse_charge", "note": "Reverse charge."},
}


def question(country: str = "DE", customer: str = "") -> TaxQuestion:
    """The customer is called as its country unless said otherwise."""
    return TaxQuestion(
        "c42/pro/2026-10", date(2026, 10, 31), "EUR", "pro", customer or country, country, "X1", "",
        "main", "DE", "DE1", RULES,
    )  # fmt: skip


@dataclass
class TaxServer:
    """Answers by the customer's country; `status` and `body` make it say something else."""

    url: str = ""
    status: int = 200
    body: bytes | None = None
    heard: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def answer(self, headers: dict[str, str], asked: dict[str, Any]) -> tuple[int, bytes]:
        self.heard.append((headers, asked))
        if self.body is not None or self.status != 200:
            return self.status, self.body or b"it says no"
        found = ANSWERS.get(asked["customer"]["country"])
        return (422, b"no idea") if found is None else (200, json.dumps({"version": 1, **found}).encode())


@pytest.fixture
def tax_server() -> Iterator[TaxServer]:
    said = TaxServer()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = said.answer(dict(self.headers.items()), asked)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    said.url = f"http://127.0.0.1:{server.server_port}/decide"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield said
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(params=["ruled", "answered", "asked"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> TaxService:
    make: dict[str, Callable[[], TaxService]] = {
        "ruled": RuledTaxes,
        "answered": lambda: AnsweredTaxes(_file(tmp_path)),
        "asked": lambda: AskedTaxes(request.getfixturevalue("tax_server").url),
    }
    return make[request.param]()


def _file(folder: Path) -> Path:
    path = folder / "answers.json"
    path.write_text(json.dumps({"version": 1, "customers": ANSWERS}))
    return path
