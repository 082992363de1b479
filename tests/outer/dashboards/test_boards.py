"""The generated boards: structure by the types the foundation SDK declares, expressions by the real promtool."""

from __future__ import annotations

import enum
import json
import re
import subprocess
import types
import typing
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.models import dashboard as models

from rating.bootstrap import load_catalogue
from rating.core.catalogue import Catalogue
from rating.core.meters import Kind
from rating.core.money import Currency
from rating.core.periods import Cadence
from rating.settings import Settings
from rating_dashboards.files import boards, documents, files
from rating_dashboards.revenue import recurring
from rating_dashboards.style import INFINITY, build, currency_unit
from tests.outer.rules.catalogues import CALLS, catalogue, with_meter

ROOT = Path(__file__).parents[3]
TITLES = {
    "rating-revenue": "Rating / Revenue",
    "rating-usage": "Rating / Usage",
    "rating-consumer": "Rating / Consumer",
    "rating-upsell": "Rating / Upsell pipeline",
    "rating-metering": "Rating / Metering quality",
    "rating-engine": "Rating / Engine",
    "rating-stripe": "Rating / Stripe parity",
}
DOCUMENTS = documents(catalogue())


def two_currencies() -> Catalogue:
    """One plan in yen beside plans in dollars, with fees by month, quarter and year."""
    given = catalogue()
    plans = dict(given.plans)
    plans["pro"] = replace(plans["pro"], fee=Fraction(49))
    plans["scale"] = replace(plans["scale"], fee=Fraction(600), cadence=Cadence.QUARTER)
    plans["free"] = replace(plans["free"], currency=Currency("JPY"), fee=Fraction(12_000), cadence=Cadence.YEAR)
    return replace(given, plans=plans)


def demonstration() -> Catalogue:
    return load_catalogue(Settings(catalog=ROOT / "compose" / "catalogue"))


CATALOGUES = {
    "by hand": catalogue(),
    "two currencies": two_currencies(),
    "a gauge of bytes": with_meter(
        replace(CALLS, metric="stored_bytes", where=(), kind=Kind.GAUGE, digits=6, conversion=Fraction(1, 2**30))
    ),
    "nothing to sell": Catalogue(Currency("XAF"), {}, {}),
}


# Structure


def wrong(value: Any, hint: Any, path: str) -> Iterator[str]:
    """Where a built object departs from the types its class declares."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (Any, object) or isinstance(hint, typing.TypeVar):
        return
    if origin in (typing.Union, types.UnionType):
        tries = [list(wrong(value, one, path)) for one in arguments]
        if all(tries):
            # Of the alternatives, the one the value meant to be: faults inside it rather than of its kind.
            yield from min(tries, key=lambda faults: (faults[0].startswith(f"{path}: "), len(faults)))
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{path}: {value!r} is none of {arguments}"
    elif origin in (list, tuple):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is not a list"
            return
        for index, one in enumerate(value):
            yield from wrong(one, arguments[0], f"{path}[{index}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is not an object"
            return
        for key, one in value.items():
            yield from wrong(one, arguments[1], f"{path}.{key}")
    elif hint is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{path}: {value!r} is not a number"
    elif hint is type(None) or isinstance(hint, type):
        expected = type(None) if hint is type(None) else hint
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            yield f"{path}: {value!r} is not {expected.__name__}"
        elif not isinstance(value, enum.Enum):
            yield from members(value, path)


def members(value: Any, path: str) -> Iterator[str]:
    for cls in type(value).__mro__:
        annotations = typing.get_type_hints(cls) if cls.__module__.startswith("grafana_foundation_sdk.models") else {}
        for name, hint in annotations.items():
            yield from wrong(getattr(value, name, None), hint, f"{path}.{name}")
    options = getattr(value, "options", None)
    if isinstance(value, models.Panel):
        yield from members(options, f"{path}.options")
        custom = value.field_config.defaults.custom if value.field_config and value.field_config.defaults else None
        if custom is not None:
            yield from members(custom, f"{path}.custom")
        for index, target in enumerate(value.targets or []):
            yield from members(target, f"{path}.targets[{index}]")


@pytest.mark.parametrize("given", CATALOGUES.values(), ids=list(CATALOGUES))
def test_every_board_has_the_structure_the_sdk_declares(given: Catalogue) -> None:
    found = [fault for board in boards(given) for fault in wrong(build(board), models.Dashboard, board.uid)]
    assert found == []


def test_the_structure_check_sees_a_wrong_type_deep_inside() -> None:
    board = build(boards(catalogue())[0])
    panel = next(panel for panel in board.panels or [] if isinstance(panel, models.Panel))
    panel.options.graph_mode = "wobbly"
    panel.targets[0].ref_id = 7  # type: ignore[index]
    faults = list(wrong(board, models.Dashboard, "board"))
    assert any("graph_mode" in fault and "wobbly" in fault for fault in faults)
    assert any("ref_id" in fault and "7" in fault for fault in faults)


def panels(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that show numbers."""
    return [panel for panel in document["panels"] if panel["type"] not in ("row", "text")]


@pytest.mark.parametrize("uid", TITLES)
def test_a_board_has_a_fixed_name_numbered_panels_and_no_overlap(uid: str) -> None:
    document = DOCUMENTS[uid]
    assert (document["uid"], document["title"], document["tags"]) == (uid, TITLES[uid], ["rating"])
    assert [panel["id"] for panel in document["panels"]] == list(range(1, len(document["panels"]) + 1))
    assert len(panels(document)) >= 6
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies on another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("uid", TITLES)
def test_every_panel_asks_the_chosen_data_source_and_names_its_unit(uid: str) -> None:
    for panel in panels(DOCUMENTS[uid]):
        assert panel["targets"], panel["title"]
        if panel["datasource"]["type"] == INFINITY:
            continue
        assert panel["datasource"]["uid"] == "${datasource}"
        units = [panel["fieldConfig"]["defaults"].get("unit")] + [
            value["value"]
            for override in panel["fieldConfig"]["overrides"]
            for value in override["properties"]
            if value["id"] == "unit"
        ]
        assert any(units), f"{panel['title']} shows numbers without a unit"


@pytest.mark.parametrize("uid", TITLES)
def test_a_board_uses_only_variables_it_offers(uid: str) -> None:
    document = DOCUMENTS[uid]
    offered = {variable["name"] for variable in document["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)\{?([a-z]+)", json.dumps([panel["targets"] for panel in panels(document)])))
    assert used <= offered, f"{uid} uses {used - offered} without offering a choice"
    assert "datasource" in offered


def test_boards_lead_to_each_other() -> None:
    for uid, document in DOCUMENTS.items():
        assert document["links"][0]["tags"] == ["rating"], uid
    linked = re.findall(r"/d/([a-z-]+)\?", json.dumps(DOCUMENTS))
    assert linked
    assert set(linked) <= set(DOCUMENTS)


def test_the_committed_boards_are_fresh_and_stable() -> None:
    texts = files(demonstration())
    assert texts == files(demonstration())
    for name, text in texts.items():
        assert (ROOT / "dashboards" / "generated" / name).read_text() == text, "run: rating dashboards write"
        assert "rating dashboards write" in json.loads(text)["description"]
    assert {path.name for path in (ROOT / "dashboards" / "generated").glob("*.json")} == set(texts)


# Money


def test_amounts_stand_in_their_own_currency() -> None:
    document = documents(two_currencies())["rating-revenue"]
    units = {
        panel["fieldConfig"]["defaults"]["unit"]
        for panel in panels(document)
        if 'currency="JPY"' in json.dumps([target.get("expr", "") for target in panel["targets"]]).replace("\\", "")
        and panel["type"] == "stat"
    }
    assert units == {"currencyJPY"}
    assert currency_unit("XAF") == "prefix:XAF "


def test_recurring_fees_are_fees_by_month(promtool: Path, tmp_path: Path) -> None:
    """2 on pro at 49 a month, 1 on scale at 600 a quarter: 98 + 200. Nobody on the plan in yen."""
    plans = [plan for plan in two_currencies().plans.values() if plan.currency.code == "USD"]
    expr = str(recurring(plans)).replace("$plan", ".*")
    document = {
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f'rating_subscription_info{{consumer="{who}", plan="{plan}"}}', "values": "1"}
                    for who, plan in (("a", "pro"), ("b", "pro"), ("c", "scale"))
                ],
                "promql_expr_test": [
                    {"expr": expr, "eval_time": "0s", "exp_samples": [{"labels": "{}", "value": 298}]}
                ],
            }
        ]
    }
    file = tmp_path / "fees.yml"
    file.write_text(json.dumps(document))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# Queries


def expressions(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in panels(document):
        for target in panel["targets"]:
            if "expr" in target:
                yield panel["title"], target["expr"]
    for annotation in document["annotations"].get("list", []):
        if "target" not in annotation:
            yield annotation["name"], annotation["expr"]
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], re.fullmatch(r"label_values\((.*), \w+\)", variable["query"])[1]  # type: ignore[index]


@pytest.mark.parametrize("given", CATALOGUES.values(), ids=list(CATALOGUES))
def test_prometheus_parses_every_expression(given: Catalogue, promtool: Path, tmp_path: Path) -> None:
    """Each expression becomes a recording rule: promtool's parser is Prometheus's own."""
    found = [pair for document in documents(given).values() for pair in expressions(document)]
    assert len(found) > 40
    rules = [
        {"record": "board:expression", "expr": text.replace("$", ""), "labels": {"number": str(index)}}
        for index, (_, text) in enumerate(found)
    ]
    file = tmp_path / "boards.rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "boards", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(found)} rules found" in done.stdout
