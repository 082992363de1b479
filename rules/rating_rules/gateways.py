"""Alerts about gateways: what they collect differs from the book, is not compared, waits for a person, or is refused.

Money that differs is finance's; what is not looked at or not heard is operations'.
"""

from __future__ import annotations

from datetime import timedelta

from rating.core import vocabulary as names
from rating_rules.groups import Alert, Group
from rating_rules.operations import alert, rose
from rating_rules.policy import Policy
from rating_rules.promql import Number, by, call, metric

_GATEWAY = ("gateway",)


def differing(policy: Policy) -> Alert:
    count = by("max", ("gateway", "kind"), metric(names.PARITY_DIFFERENCES))
    return alert(
        "RatingGatewayDiffers",
        count.compared(">", Number(0, threshold=True)),
        "{gateway} differs from the book: {value} of {kind}",
        "The last comparison found {value} differences of the kind {kind} between {gateway} and the book. rating "
        "stripe reconcile names each one and what to do.",
        policy,
        audience="finance",
    )


def overdue(policy: Policy) -> Alert:
    age = call("time") - by("max", _GATEWAY, metric(names.PARITY_CHECKED))
    return alert(
        "RatingReconcileOverdue",
        age.compared(">", Number(policy.reconcile_within.total_seconds(), threshold=True)),
        "{gateway} was not compared with the book for {span}",
        "The daily comparison of {gateway} with the book has not ended well for {span}: differences go unseen. The "
        "engine's log names the reason.",
        policy,
    )


def papers_parked(policy: Policy) -> Alert:
    parked = by("max", _GATEWAY, metric(names.PUBLICATIONS_PARKED))
    return alert(
        "RatingPublicationsParked",
        parked.compared(">", Number(0, threshold=True)),
        "{value} papers for {gateway} are parked",
        "{value} papers or steps could not be carried to {gateway} and wait for a person: they are not collected. "
        "rating publish --parked says why.",
        policy,
        audience="finance",
    )


def signals_parked(policy: Policy) -> Alert:
    parked = by("max", _GATEWAY, metric(names.SIGNALS_PARKED))
    return alert(
        "RatingSignalsParked",
        parked.compared(">", Number(0, threshold=True)),
        "{value} things that {gateway} told are not in the book",
        "{value} events of {gateway} do not fit the book and wait for a person. rating stripe signals --parked says "
        "why.",
        policy,
        audience="finance",
    )


def refused(policy: Policy) -> Alert:
    count = by("sum", ("gateway", "reason"), rose(metric(names.WEBHOOKS_REFUSED), policy.refused_span))
    return alert(
        "RatingWebhooksRefused",
        count.compared(">", Number(policy.refused_least, threshold=True)),
        "Deliveries of {gateway} are refused: {reason}",
        "{value} deliveries to the hook of {gateway} were refused within the hour: {reason}. What is genuine is "
        "delivered again for three days, and asked for once a day.",
        policy,
    )


def gateways_group(policy: Policy) -> Group:
    """Without a gateway its metrics are absent, and nothing here can fire."""
    return Group(
        "rating gateways",
        timedelta(minutes=1),
        (differing(policy), overdue(policy), papers_parked(policy), signals_parked(policy), refused(policy)),
    )
