"""A rule whose threshold moved, up or down, or that waits longer or shorter, fails its own test: none is decoration."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rating_rules.files import groups, suites
from rating_rules.groups import Alert, Group, Record, rules_file, to_yaml
from rating_rules.promql import Expr, Number, rewritten
from rating_rules.stories import story_file
from tests.outer.rules.catalogues import catalogue

FILES = groups(catalogue())
ALERTS = {
    f"{alert.name} {alert.labels.get('meter', '')} {alert.labels.get('threshold', '')}".strip(): alert
    for content in FILES.values()
    for group in content
    for alert in group.alerts
}


def moved(alert: Alert, direction: int) -> Alert:
    """Whole numbers move by one, others by a hundredth."""

    def move(node: Expr) -> Expr:
        if not isinstance(node, Number) or not node.threshold:
            return node
        step = 1 if node.value.is_integer() and node.value <= 100 else node.value / 100
        return replace(node, value=node.value + direction * step)

    def as_float(node: Expr) -> Expr:
        return replace(node, value=float(node.value)) if isinstance(node, Number) else node

    return replace(alert, expr=rewritten(rewritten(alert.expr, as_float), move))


def mutants(alert: Alert, evaluation: timedelta) -> Iterator[tuple[str, Alert]]:
    for word, direction in (("up", 1), ("down", -1)):
        other = moved(alert, direction)
        if str(other.expr) != str(alert.expr):
            yield f"threshold {word}", other
    if alert.waiting:
        yield "waits longer", replace(alert, waiting=alert.waiting + evaluation)
        yield "waits less", replace(alert, waiting=alert.waiting - evaluation)


def passes(promtool: Path, folder: Path, original: Alert, mutant: Alert) -> bool:
    """Whether the alert's own stories pass with the mutant in its place."""
    suite = suites(catalogue())[original.name]
    for name in suite.rules:
        content = tuple(
            Group(
                group.name,
                group.interval,
                # The other alerts are other tests' matter, and looking at weeks takes a while.
                tuple(
                    mutant if rule is original else rule
                    for rule in group.rules
                    if isinstance(rule, Record) or rule.name == original.name
                ),
            )
            for group in FILES[name]
        )
        (folder / name).write_text(to_yaml(rules_file(content)))
    order = [group.name for name in suite.rules for group in FILES[name]]
    test = folder / "mutant.test.yml"
    test.write_text(to_yaml(story_file(suite.stories, suite.rules, order, suite.evaluation)))
    done = subprocess.run([promtool, "test", "rules", test], capture_output=True, text=True)
    assert done.returncode == 0 or "FAILED" in done.stdout + done.stderr, done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("title", list(ALERTS))
def test_a_moved_threshold_is_noticed(title: str, promtool: Path, tmp_path: Path) -> None:
    alert = ALERTS[title]
    assert passes(promtool, tmp_path, alert, alert)
    found = list(mutants(alert, suites(catalogue())[alert.name].evaluation))
    assert found, f"{title} has neither a threshold nor a wait to move"
    survivors = [how for how, mutant in found if passes(promtool, tmp_path, alert, mutant)]
    assert not survivors
