"""The boards as text, by file name: what Grafana loads from a folder or is sent."""

from __future__ import annotations

import json
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from rating.core.catalogue import Catalogue
from rating_dashboards.consumer import consumer
from rating_dashboards.engine import engine
from rating_dashboards.metering import metering
from rating_dashboards.revenue import revenue
from rating_dashboards.stripe import stripe
from rating_dashboards.style import INFINITY, Board, build
from rating_dashboards.upsell import upsell
from rating_dashboards.usage import usage

COMMAND = "rating dashboards write"
FOLDER_UID, FOLDER_TITLE = "rating", "Rating"


def boards(catalogue: Catalogue) -> tuple[Board, ...]:
    return tuple(make(catalogue) for make in (revenue, usage, consumer, upsell, metering, engine, stripe))


def documents(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """Board uid -> the JSON document Grafana's API takes. The same catalogue gives the same documents.

    JSON knows no comments: the command that makes a board stands in its description.
    """
    made = {board.uid: json.loads(json.dumps(build(board), cls=JSONEncoder)) for board in boards(catalogue)}
    for document in made.values():
        document["description"] += f" Generated from the catalogue; do not edit. Made by: {COMMAND}"
    return made


LENT = {
    "rating-panel-accrued": ("rating-revenue", "Accrued in open periods"),
    "rating-panel-allowances": ("rating-upsell", "Fullest allowances"),
    "rating-panel-near": ("rating-upsell", "Half used or more"),
}
"""Library panels: uid -> the board and the title of the panel that other people's boards may use as well."""


def panels(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """Library panel's uid -> its model, the same as on our board. A panel a catalogue does not lead to is left out."""
    made = documents(catalogue)
    found = {}
    for uid, (board, title) in LENT.items():
        for panel in made[board]["panels"]:
            if panel.get("title") == title:
                # Where it stands and its number are the board's.
                found[uid] = {key: value for key, value in panel.items() if key not in ("id", "gridPos")}
                break
    return found


def source(url: str) -> dict[str, Any]:
    """The Prometheus that the boards read, as Grafana's API takes it; Grafana itself asks it."""
    return {
        "uid": "rating-prometheus",
        "name": "Rating Prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "jsonData": {"httpMethod": "POST"},
    }


def engine_source(url: str) -> dict[str, Any]:
    """The engine itself as a data source of Grafana's Infinity plugin: rows that no metric carries. Its token is a
    secret of its own: `bearerToken`."""
    return {
        "uid": "rating-engine",
        "name": "Rating engine",
        "type": INFINITY,
        "access": "proxy",
        "url": url,
        # The token goes nowhere else, whatever somebody writes into a panel.
        "jsonData": {"auth_method": "bearerToken", "allowedHosts": [url]},
    }


def files(catalogue: Catalogue) -> dict[str, str]:
    """File name -> text."""
    return {
        f"{uid}.json": json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        for uid, document in documents(catalogue).items()
    }
