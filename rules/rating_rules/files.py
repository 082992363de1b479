"""The generated files by name, from a catalogue: what Prometheus and Alertmanager load, and what proves it."""

from __future__ import annotations

from rating.core.catalogue import Catalogue
from rating_rules.alertmanager import Receivers, configuration
from rating_rules.estimates import estimate_groups
from rating_rules.groups import Group, rules_file, to_yaml
from rating_rules.live import live_records
from rating_rules.operations import operations_group
from rating_rules.policy import DEFAULT, Policy
from rating_rules.upsell import allowance_alerts, plan_alerts, thresholds

COMMAND = "rating rules write"
_FIRST_LINE = f"Generated from the catalogue; do not edit. Made by: {COMMAND}"

ALLOWANCES, ESTIMATES, OPERATIONS = "allowances.rules.yml", "estimates.rules.yml", "operations.rules.yml"
ALERTMANAGER = "alertmanager.yml"


def groups(catalogue: Catalogue, policy: Policy = DEFAULT) -> dict[str, tuple[Group, ...]]:
    """Rule groups by the file they stand in."""
    meters = tuple(catalogue.meters[name] for name in sorted(catalogue.meters))
    return {
        # Alerts share a group with the records they read: all of one evaluation, in order.
        ALLOWANCES: tuple(
            Group(
                f"rating live: {meter.name}",
                meter.scrape_interval,
                (*live_records(meter, policy), *allowance_alerts(catalogue, meter.name, policy)),
            )
            for meter in meters
        ),
        ESTIMATES: estimate_groups(meters, policy),
        OPERATIONS: (plans_group(catalogue, policy), operations_group(meters, policy)),
    }


def plans_group(catalogue: Catalogue, policy: Policy) -> Group:
    return Group("rating plans", operations_group((), policy).interval, plan_alerts(catalogue, policy))


def generate(catalogue: Catalogue, receivers: Receivers | None = None, policy: Policy = DEFAULT) -> dict[str, str]:
    """File name -> text: rule files (`*.rules.yml`) for Prometheus and `alertmanager.yml`.

    The same catalogue gives the same text, byte for byte.
    """
    texts = {
        name: to_yaml(rules_file(content), _FIRST_LINE) for name, content in groups(catalogue, policy).items()
    }
    shares = sorted({share for _, share in thresholds(catalogue)})
    texts[ALERTMANAGER] = to_yaml(configuration(shares, receivers or Receivers()), _FIRST_LINE)
    return texts
