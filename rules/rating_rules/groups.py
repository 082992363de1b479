"""Recording and alert rules as values, their groups, and the YAML that Prometheus loads.

Decides nothing about what is watched. A sentence of an alert is written once: as Prometheus's template in the rule, and
filled in with numbers in the rule's own test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import yaml

from rating_rules.promql import Expr, duration, render

_LABELS = (
    "consumer",
    "customer",
    "plan",
    "upsell_plan",
    "meter",
    "currency",
    "origin",
    "instance",
    "exported_job",
    "metric",
    "label",
    "gateway",
    "kind",
    "reason",
)
_ALLOWANCE = (
    '{{ with printf "max(rating_allowance_units{consumer=%q,plan=%q,meter=%q})"'
    " $labels.consumer $labels.plan $labels.meter | query }}"
    '{{ . | first | value | printf "%.0f" }}{{ end }}'
)
_USED = (
    '{{ with printf "max(rating:estimate:usage_units{consumer=%q,plan=%q,meter=%q})"'
    " $labels.consumer $labels.plan $labels.meter | query }}"
    '{{ . | first | value | printf "%.0f" }}{{ end }}'
)
_COUNTED = (
    '{{ with printf "max(rating_usage_units{consumer=%q,plan=%q,meter=%q})"'
    " $labels.consumer $labels.plan $labels.meter | query }}"
    '{{ . | first | value | printf "%.0f" }}{{ end }}'
)
"""By closed windows alone."""
_UPGRADE = (
    '{{ with printf "max by (currency) (rating_upgrade_amount{consumer=%q,plan=%q})"'
    " $labels.consumer $labels.plan | query }}"
    '{{ . | first | value | printf "%.2f" }} {{ . | first | label "currency" }}{{ end }}'
)
TEMPLATES: Mapping[str, str] = {
    **{label: f"{{{{ $labels.{label} }}}}" for label in _LABELS},
    "value": '{{ printf "%.0f" $value }}',
    "percent": "{{ $value | humanizePercentage }}",
    "span": "{{ $value | humanizeDuration }}",
    "allowance": _ALLOWANCE,
    "used": _USED,
    "counted": _COUNTED,
    "money": '{{ printf "%.2f" $value }}',
    "upgrade": _UPGRADE,
}
"""What may stand in braces in a sentence, and how Prometheus's template language says it."""


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str

    def template(self) -> str:
        return self.text.format_map(TEMPLATES)

    def filled(self, values: Mapping[str, str]) -> str:
        return self.text.format_map(values)


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    expr: Expr
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    expr: Expr
    labels: Mapping[str, str]
    annotations: Mapping[str, Sentence]
    waiting: timedelta = timedelta(0)
    """How long the condition must hold before the alert fires."""


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    interval: timedelta
    rules: tuple[Record | Alert, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))


def rules_file(groups: tuple[Group, ...]) -> dict[str, Any]:
    """The document Prometheus loads."""
    return {
        "groups": [
            {"name": group.name, "interval": duration(group.interval), "rules": [_rule(rule) for rule in group.rules]}
            for group in groups
        ]
    }


def _rule(rule: Record | Alert) -> dict[str, Any]:
    expr = render(rule.expr)
    if isinstance(rule, Record):
        return {"record": rule.name, "expr": expr} | ({"labels": dict(rule.labels)} if rule.labels else {})
    document: dict[str, Any] = {"alert": rule.name, "expr": expr}
    if rule.waiting:
        document["for"] = duration(rule.waiting)
    document["labels"] = {name: escaped(value) for name, value in rule.labels.items()}
    document["annotations"] = {name: sentence.template() for name, sentence in rule.annotations.items()}
    return document


def escaped(text: str) -> str:
    """Text that Prometheus's templates leave as it is."""
    return text.replace("{{", '{{ "{{" }}')


class _Dumper(yaml.SafeDumper):
    """Multi-line text as blocks, so that queries can be read; no anchors, no sorting."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block(dumper: _Dumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def to_yaml(document: Any, *comments: str) -> str:
    """Stable YAML under the given comment lines."""
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return "".join(f"# {comment}\n" for comment in comments) + body
