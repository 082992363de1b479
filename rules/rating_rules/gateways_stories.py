"""The stories of gateways: each trouble at its threshold, just below it, and mended."""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating_rules import gateways
from rating_rules.groups import Alert
from rating_rules.policy import Policy
from rating_rules.stories import Firing, Moment, Series, Story, series

_MINUTE = timedelta(minutes=1)


def _engine(metric: str, /, *runs: tuple[float | str, int], **labels: str) -> Series:
    return series(metric, *runs, **labels, instance="engine:9465", job="rating")


def _one_is_enough(alert: Alert, metric: str, title: str, **labels: str) -> Story:
    """A gauge: nothing, one, nothing again."""
    return Story(
        title,
        _MINUTE,
        [
            _engine(metric, (0, 3), (1, 7), (0, 3), gateway="main", **labels),
            _engine(metric, (0, 13), gateway="another", **labels),
        ],
        alert.name,
        (
            Moment(2 * _MINUTE),
            Moment(3 * _MINUTE, ((alert, Firing({"gateway": "main", **labels}, {"value": "1"})),)),
            Moment(9 * _MINUTE, ((alert, Firing({"gateway": "main", **labels}, {"value": "1"})),)),
            Moment(10 * _MINUTE),
        ),
    )


def _overdue(policy: Policy) -> Story:
    """Compared at the beginning, and again once it has been told."""
    alert = gateways.overdue(policy)
    step = timedelta(hours=1)
    late = policy.reconcile_within // step
    again = float((late + 2) * 3600)
    return Story(
        "a gateway is not compared with the book any more, and then it is",
        step,
        [
            _engine(names.PARITY_CHECKED, (0, late + 2), (again, 3), gateway="main"),
            # A comparison each day: never older than that.
            _engine(names.PARITY_CHECKED, (0, 20), (20 * 3600.0, late + 2 - 20), (again, 3), gateway="another"),
        ],
        alert.name,
        (
            Moment(late * step),
            Moment(late * step + _MINUTE, ((alert, Firing({"gateway": "main"}, {"span": _span(policy)})),)),
            Moment((late + 2) * step),
        ),
    )


def _span(policy: Policy) -> str:
    """As Prometheus's humanizeDuration writes it, one minute later."""
    hours = policy.reconcile_within // timedelta(hours=1)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h 1m 0s"


def _refused(policy: Policy) -> Story:
    alert = gateways.refused(policy)
    step, least = policy.refused_span / 12, policy.refused_least
    labels = {"gateway": "main", "reason": "signature"}
    firing = ((alert, Firing(labels, {"value": str(least + 1)})),)
    return Story(
        "deliveries are refused: a few that somebody tried are no news, more are, for an hour",
        step,
        [
            _engine(names.WEBHOOKS_REFUSED, (0, 14), (least + 1, 14), **labels),
            _engine(names.WEBHOOKS_REFUSED, (0, 14), (least, 14), gateway="main", reason="stale"),
        ],
        alert.name,
        (Moment(13 * step), Moment(14 * step, firing), Moment(25 * step, firing), Moment(26 * step)),
    )


def gateways_stories(policy: Policy) -> dict[str, tuple[list[Story], timedelta]]:
    """Alert name -> its stories and how often its rules are evaluated in them."""
    differs, papers, signals = (
        gateways.differing(policy),
        gateways.papers_parked(policy),
        gateways.signals_parked(policy),
    )
    return {
        differs.name: (
            [_one_is_enough(differs, names.PARITY_DIFFERENCES, "one amount differs, and is mended", kind="amount")],
            _MINUTE,
        ),
        "RatingReconcileOverdue": ([_overdue(policy)], _MINUTE),
        papers.name: ([_one_is_enough(papers, names.PUBLICATIONS_PARKED, "one paper is parked")], _MINUTE),
        signals.name: ([_one_is_enough(signals, names.SIGNALS_PARKED, "one signal is parked")], _MINUTE),
        "RatingWebhooksRefused": ([_refused(policy)], policy.refused_span / 12),
    }
