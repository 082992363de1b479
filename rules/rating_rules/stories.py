"""promtool's unit tests as values: series over time, and what must be firing when. Knows no rule.

A story is told with numbers just below a threshold, at it, and after it: a rule whose threshold moved contradicts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from rating_rules.groups import Alert, escaped
from rating_rules.promql import duration, quote

MISSING = "_"
STALE = "stale"


def series(metric: str, /, *runs: tuple[float | str, int], **labels: str) -> Series:
    """`(value, times)` runs, one sample each interval; MISSING leaves them out."""
    return Series(selector(metric, labels), tuple(runs))


def selector(metric: str, labels: Mapping[str, str]) -> str:
    return metric + "{" + ", ".join(f"{name}={quote(value)}" for name, value in labels.items()) + "}"


@dataclass(frozen=True, slots=True)
class Series:
    selector: str
    runs: tuple[tuple[float | str, int], ...]
    steps: tuple[float, ...] = ()
    """Added with each sample of the last runs, one for each."""

    def rising(self, *steps: float) -> Series:
        return replace(self, steps=steps)

    def document(self) -> dict[str, str]:
        steps = (*(0.0 for _ in self.runs[len(self.steps) :]), *self.steps)
        values = [self._run(*run, step) for run, step in zip(self.runs, steps, strict=True)]
        return {"series": self.selector, "values": " ".join(values)}

    def _run(self, value: float | str, times: int, step: float) -> str:
        if value == MISSING:
            return f"_x{times}"
        if value == STALE:
            return "stale"
        # promtool's `a+bxn` is n + 1 samples, though its `_xn` is n
        return f"{value:.12g}+{step:.12g}x{times - 1}"


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert that must be there: its labels beside the rule's own, and what its sentences are filled with."""

    labels: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moment:
    """At an instant, the alerts of one name: exactly these."""

    at: timedelta
    firing: tuple[tuple[Alert, Firing], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """At an instant, a query answers exactly this: selector -> value."""

    at: timedelta
    query: str
    samples: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Story:
    title: str
    interval: timedelta
    series: Sequence[Series]
    alert: str = ""
    moments: Sequence[Moment] = ()
    answers: Sequence[Answer] = ()

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "name": self.title,
            "interval": duration(self.interval),
            "input_series": [one.document() for one in self.series],
        }
        if self.moments:
            document["alert_rule_test"] = [_moment(self.alert, moment) for moment in self.moments]
        if self.answers:
            document["promql_expr_test"] = [_answer(answer) for answer in self.answers]
        return document


def _moment(name: str, moment: Moment) -> dict[str, Any]:
    return {
        "eval_time": _at(moment.at),
        "alertname": name,
        "exp_alerts": [
            {
                "exp_labels": {**{key: escaped(text) for key, text in alert.labels.items()}, **firing.labels},
                "exp_annotations": {
                    key: sentence.filled({**firing.labels, **firing.values})
                    for key, sentence in alert.annotations.items()
                },
            }
            for alert, firing in moment.firing
        ],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "eval_time": _at(answer.at),
        "expr": answer.query,
        "exp_samples": [{"labels": labels, "value": value} for labels, value in answer.samples.items()],
    }


def _at(at: timedelta) -> str:
    return duration(at) if at else "0s"


def story_file(
    stories: Iterable[Story], rule_files: Sequence[str], group_order: Sequence[str], evaluation: timedelta
) -> dict[str, Any]:
    return {
        "rule_files": list(rule_files),
        "evaluation_interval": duration(evaluation),
        # Groups that read another group's records come after it.
        "group_eval_order": list(group_order),
        "tests": [story.document() for story in stories],
    }
