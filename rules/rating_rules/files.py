"""The generated files by name, from a catalogue: what Prometheus and Alertmanager load, and what proves it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from rating.core.catalogue import Catalogue
from rating_rules.alertmanager import NEVER, TEMPLATE_TEXT, TEMPLATES, Muted, Receivers, configuration
from rating_rules.behaviour import behaviour_group
from rating_rules.behaviour_stories import behaviour_stories
from rating_rules.estimates import estimate_groups
from rating_rules.gateways import gateways_group
from rating_rules.gateways_stories import gateways_stories
from rating_rules.groups import Group, rules_file, to_yaml
from rating_rules.live import live_records
from rating_rules.live_stories import live_stories
from rating_rules.operations import operations_group
from rating_rules.operations_stories import operations_stories
from rating_rules.policy import DEFAULT, Policy
from rating_rules.stories import Story, story_file
from rating_rules.upsell import (
    EXCEEDED,
    LIMITED,
    PREDICTED,
    PREPAID,
    REACHED,
    TRIAL,
    allowance_alerts,
    charge_alerts,
    plan_alerts,
    thresholds,
)
from rating_rules.upsell_stories import (
    burst_stories,
    exceeded_stories,
    limited_stories,
    predicted_stories,
    prepaid_stories,
    reached_stories,
    trend_stories,
    trial_stories,
)

COMMAND = "rating rules write"
_FIRST_LINE = f"Generated from the catalogue; do not edit. Made by: {COMMAND}"

ALLOWANCES, ESTIMATES, OPERATIONS = "allowances.rules.yml", "estimates.rules.yml", "operations.rules.yml"
BEHAVIOUR = "behaviour.rules.yml"
ALERTMANAGER = "alertmanager.yml"


def groups(catalogue: Catalogue, policy: Policy = DEFAULT) -> dict[str, tuple[Group, ...]]:
    """Rule groups by the file they stand in."""
    meters = tuple(catalogue.meters[name] for name in sorted(catalogue.meters))
    return {
        # Alerts share a group with the records they read: all of one evaluation, in order.
        ALLOWANCES: tuple(
            Group(
                f"rating live: {meter.name}",
                min(meter.scrape_interval, policy.live_interval),
                (*live_records(meter, policy), *allowance_alerts(catalogue, meter.name, policy)),
            )
            for meter in meters
        ),
        ESTIMATES: estimate_groups(meters, policy),
        OPERATIONS: (
            plans_group(catalogue, policy),
            *charges_groups(catalogue, policy),
            operations_group(meters, policy),
            gateways_group(policy),
        ),
        BEHAVIOUR: (behaviour_group(meters, policy),),
    }


def plans_group(catalogue: Catalogue, policy: Policy) -> Group:
    return Group("rating plans", operations_group((), policy).interval, plan_alerts(catalogue, policy))


def charges_groups(catalogue: Catalogue, policy: Policy) -> tuple[Group, ...]:
    """None where no plan includes anything."""
    alerts = charge_alerts(catalogue, policy)
    return (Group("rating charges", policy.charges_interval, alerts),) if alerts else ()


def generate(
    catalogue: Catalogue, receivers: Receivers | None = None, policy: Policy = DEFAULT, muted: Muted = NEVER
) -> dict[str, str]:
    """File name -> text: rule files (`*.rules.yml`) for Prometheus, `alertmanager.yml` and its templates.

    The same catalogue gives the same text, byte for byte.
    """
    texts = {name: to_yaml(rules_file(content), _FIRST_LINE) for name, content in groups(catalogue, policy).items()}
    shares = sorted({share for _, share in thresholds(catalogue)})
    texts[ALERTMANAGER] = to_yaml(configuration(shares, receivers or Receivers(), muted), _FIRST_LINE)
    texts[TEMPLATES] = TEMPLATE_TEXT
    return texts


@dataclass(frozen=True, slots=True)
class Suite:
    """Stories about one alert or one recorded number, and the rules they need."""

    stories: tuple[Story, ...]
    evaluation: timedelta
    rules: tuple[str, ...] = (OPERATIONS,)


def suites(catalogue: Catalogue, policy: Policy = DEFAULT) -> dict[str, Suite]:
    """What is told about (an alert's name, or a recorded number) -> its stories."""
    scrape = min((meter.scrape_interval for meter in catalogue.meters.values()), default=timedelta(seconds=15))
    minute = timedelta(minutes=1)
    live = tuple(story for name in sorted(catalogue.meters) for story in live_stories(catalogue.meters[name]))
    forecasts = (ALLOWANCES, ESTIMATES, OPERATIONS)
    told = {
        "live usage": Suite(live, scrape, (ALLOWANCES,)),
        "forecast": Suite(tuple(trend_stories(catalogue)), timedelta(minutes=10), forecasts),
        "burst": Suite(tuple(burst_stories(catalogue, policy)), scrape, (ALLOWANCES,)),
        REACHED: Suite(tuple(reached_stories(catalogue, policy)), minute, (ALLOWANCES,)),
        PREDICTED: Suite(tuple(predicted_stories(catalogue, policy)), minute, forecasts),
        EXCEEDED: Suite(tuple(exceeded_stories(catalogue, policy)), minute),
        LIMITED: Suite(tuple(limited_stories(catalogue, policy)), minute, (ALLOWANCES,)),
        TRIAL: Suite(tuple(trial_stories(catalogue, policy)), timedelta(minutes=30)),
        PREPAID: Suite(tuple(prepaid_stories(catalogue, policy)), minute),
    }
    for name, (stories, evaluation) in operations_stories(catalogue, policy).items():
        rules = (ESTIMATES, OPERATIONS) if name == "RatingEstimateDrift" else (OPERATIONS,)
        told[name] = Suite(tuple(stories), evaluation, rules)
    for name, (stories, evaluation) in gateways_stories(policy).items():
        told[name] = Suite(tuple(stories), evaluation)
    for name, story, evaluation in behaviour_stories(catalogue, policy):
        before = told[name].stories if name in told else ()
        told[name] = Suite((*before, story), evaluation, (BEHAVIOUR,))
    return {name: suite for name, suite in told.items() if suite.stories}


def proofs(catalogue: Catalogue, policy: Policy = DEFAULT) -> dict[str, str]:
    """File name -> text of promtool's unit tests. They load the rules from the folder `../generated`."""
    grouped = groups(catalogue, policy)
    return {
        f"{name.lower().replace(' ', '_')}.test.yml": to_yaml(
            story_file(
                suite.stories,
                [f"../generated/{file}" for file in suite.rules],
                [group.name for file in suite.rules for group in grouped[file]],
                suite.evaluation,
            ),
            _FIRST_LINE,
        )
        for name, suite in suites(catalogue, policy).items()
    }


def files(
    catalogue: Catalogue, receivers: Receivers | None = None, policy: Policy = DEFAULT, muted: Muted = NEVER
) -> dict[str, str]:
    """Everything committed under rules/: `generated/...` as `generate` makes it, and `promtool/...` that proves it."""
    return {
        **{f"generated/{name}": text for name, text in generate(catalogue, receivers, policy, muted).items()},
        **{f"promtool/{name}": text for name, text in proofs(catalogue, policy).items()},
    }
